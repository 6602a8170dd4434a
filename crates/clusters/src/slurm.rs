//! Slurm: one job array per wave, in parts below the site's limit.
//!
//! An array's index has to be below `MaxArraySize`, so every part counts from 0 and brings its own
//! list of tasks. A wave begins once those before it are over, however they ended
//! (`afterany`): a task whose input failed says so within seconds, while `afterok` would leave the
//! whole wave in the queue for good.

use crate::program::Program;
use crate::shell::{line, quote};
use crate::{ClusterError, Job};
use std::fmt::Write;
use std::path::PathBuf;

/// Slurm's own default of `MaxArraySize`.
pub const ARRAY_LIMIT: usize = 1001;

/// Seconds before the time limit at which a task is asked to stop: it keeps a checkpoint within 15.
const NOTICE: u32 = 60;

/// The least minutes to request: file systems and queues have slow days.
const LEAST_MINUTES: f64 = 10.0;

/// Times longer than expected that a task may take.
const SLACK: f64 = 3.0;

const SBATCH: Program = Program {
    name: "sbatch",
    scheduler: "Slurm",
};
const SQUEUE: Program = Program {
    name: "squeue",
    scheduler: "Slurm",
};
const SCONTROL: Program = Program {
    name: "scontrol",
    scheduler: "Slurm",
};

/// A job array that is to be submitted.
#[derive(Clone, Debug)]
pub struct Array {
    /// The batch script.
    pub script: String,
    /// Which of the job's tasks it runs.
    pub tasks: Vec<usize>,
    /// Which of the arrays before it must be over.
    pub after: Vec<usize>,
}

/// A job as arrays with fewer than `limit` tasks each.
pub fn arrays(job: &Job, limit: usize) -> Vec<Array> {
    let mut arrays: Vec<Array> = Vec::new();
    let mut array_of = vec![0; job.tasks.len()];
    for wave in job.waves() {
        for tasks in wave.chunks(limit.saturating_sub(1).max(1)) {
            let needs = tasks.iter().flat_map(|&i| &job.tasks[i].needs);
            let mut after: Vec<usize> = needs.map(|&need| array_of[need]).collect();
            after.sort_unstable();
            after.dedup();
            tasks.iter().for_each(|&i| array_of[i] = arrays.len());
            arrays.push(Array {
                script: script(job, tasks),
                tasks: tasks.to_vec(),
                after,
            });
        }
    }
    arrays
}

fn script(job: &Job, tasks: &[usize]) -> String {
    let mut text = "#!/bin/bash\n".to_owned();
    for option in options(job, tasks) {
        text.push_str(&format!("#SBATCH {option}\n"));
    }
    text.push_str("tasks=(\n");
    for &i in tasks {
        text.push_str(&format!("'{}'\n", job.tasks[i].keys.join(" ")));
    }
    text.push_str(")\n");
    for (name, value) in &job.run.environment {
        text.push_str(&format!("export {name}={}\n", quote(value)));
    }
    let command = line(&job.run.command);
    text.push_str(&format!("{command} ${{tasks[SLURM_ARRAY_TASK_ID]}} &\n"));
    text.push_str(SUPERVISE);
    text
}

/// Runs the command to its end. The notice before the time limit (USR1) has it stop and the task
/// queued again, where a training goes on from its checkpoint; ten times at most. What else asks to
/// stop (TERM: `scancel`, pre-emption) is passed on, and Slurm decides what follows.
const SUPERVISE: &str = r#"trap 'out_of_time=1; kill -TERM $!' USR1
trap 'kill -TERM $!' TERM
wait $!
code=$?
# A trap ends the wait, not the command.
while kill -0 $! 2>/dev/null; do wait $!; code=$?; done
if [ -n "$out_of_time" ] && [ $code = 143 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt 10 ]; then
  scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
fi
exit $code
"#;

fn options(job: &Job, tasks: &[usize]) -> Vec<String> {
    let run = &job.run;
    let request = job.request(tasks);
    let mut options = vec![
        format!("--job-name={}", run.name),
        format!("--comment={}", job.tasks[tasks[0]].kind),
        format!("--array=0-{}", tasks.len() - 1),
        format!("--chdir={}", quoted(&run.folder.display().to_string())),
        format!(
            "--output={}",
            quoted(&format!("{}/%A_%a.log", run.logs.display()))
        ),
        "--open-mode=append".to_owned(),
        "--requeue".to_owned(),
        format!("--signal=B:USR1@{NOTICE}"),
        "--ntasks=1".to_owned(),
        format!("--cpus-per-task={}", run.cpus),
    ];
    if let Some(seconds) = request.seconds {
        let minutes = (SLACK * seconds / 60.0).max(LEAST_MINUTES).ceil();
        options.push(format!("--time={minutes:.0}"));
    }
    if let Some(memory) = request.memory_mib {
        options.push(format!("--mem={memory}M"));
    }
    if request.gpu {
        options.push("--gres=gpu:1".to_owned());
    }
    options
}

/// Quoted as Slurm reads the lines of a script.
fn quoted(text: &str) -> String {
    match text.contains([' ', '\t']) {
        true => format!("\"{text}\""),
        false => text.to_owned(),
    }
}

/// A shell script that submits the arrays in order.
pub fn submission(arrays: &[Array], arguments: &[String]) -> String {
    let mut text = "#!/bin/bash\nset -e\n".to_owned();
    for (i, array) in arrays.iter().enumerate() {
        let jobs: Vec<String> = array.after.iter().map(|a| format!("$job{a}")).collect();
        let after = match jobs.is_empty() {
            true => String::new(),
            false => format!(" --dependency=afterany:{}", jobs.join(":")),
        };
        let more: String = arguments.iter().map(|a| format!(" {}", quote(a))).collect();
        let script = &array.script;
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "job{i}=$(sbatch --parsable{after}{more} <<'END'\n{script}END\n)\njob{i}=${{job{i}%%;*}}\n"
        );
    }
    text
}

/// Whether its programs are here.
///
/// # Errors
/// [`ClusterError::NotStarted`] if they are not.
pub fn probe() -> Result<(), ClusterError> {
    SBATCH.call(&["--version".to_owned()], "").map(drop)
}

/// The limit of array sizes at this site, if Slurm tells.
///
/// # Errors
/// [`ClusterError`] where its programs are missing or refuse.
pub fn array_limit() -> Result<usize, ClusterError> {
    let arguments = ["show", "config"].map(String::from);
    let config = SCONTROL.call(&arguments, "")?;
    let line = config.lines().find_map(|l| l.strip_prefix("MaxArraySize"));
    let value = line.and_then(|l| l.trim_start_matches([' ', '=']).trim().parse().ok());
    value.ok_or_else(|| SCONTROL.answer(&arguments, "a number as MaxArraySize", &config))
}

/// Submits an array that begins when these jobs are over; gives its number.
///
/// # Errors
/// [`ClusterError`], with what `sbatch` said.
pub fn submit(array: &Array, after: &[String], more: &[String]) -> Result<String, ClusterError> {
    let mut arguments = vec!["--parsable".to_owned()];
    if !after.is_empty() {
        arguments.push(format!("--dependency=afterany:{}", after.join(":")));
    }
    // Last, so that what the user says wins over the script.
    arguments.extend_from_slice(more);
    let said = SBATCH.call(&arguments, &array.script)?;
    // The number, and with several clusters a semicolon and the name of one.
    let id = said.trim().split(';').next().unwrap_or_default();
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_digit()) {
        return Err(SBATCH.answer(&arguments, "the number of a job", &said));
    }
    Ok(id.to_owned())
}

/// Whether a job of this name is still queued or running.
///
/// # Errors
/// [`ClusterError`] where Slurm's controller does not answer, which says nothing about the jobs.
pub fn is_queued(name: &str) -> Result<bool, ClusterError> {
    let arguments = [
        "--me",
        "--noheader",
        "--format=%A",
        &format!("--name={name}"),
    ];
    Ok(!SQUEUE
        .call(&arguments.map(String::from), "")?
        .trim()
        .is_empty())
}

/// The file with what a task printed.
pub fn log(job: &Job, id: &str, index: usize) -> PathBuf {
    job.run.logs.join(format!("{id}_{index}.log"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::tests::job;

    #[test]
    fn arrays_stay_below_the_limit_and_wait_for_what_they_need() {
        let job = job(50, None);
        let arrays = arrays(&job, 21);
        // 50 fits and 50 maps by 20, 4 tasks of statistics, the row.
        let sizes: Vec<usize> = arrays.iter().map(|a| a.tasks.len()).collect();
        assert_eq!(sizes, [20, 20, 10, 20, 20, 10, 4, 1]);
        for array in &arrays {
            let option = format!("#SBATCH --array=0-{}\n", array.tasks.len() - 1);
            assert!(array.script.contains(&option));
        }
        assert!(arrays[1].after.is_empty());
        assert_eq!(arrays[4].after, [1]);
        assert_eq!(arrays[6].after, [3, 4, 5]);
    }

    #[test]
    fn requests_come_from_earlier_runs() {
        let mut job = job(1, Some(300.0));
        let script = |job: &Job| arrays(job, ARRAY_LIMIT)[0].script.clone();
        let first = script(&job);
        for option in [
            "--time=150",
            "--mem=3000M",
            "--gres=gpu:1",
            "--cpus-per-task=1",
        ] {
            assert!(
                first.contains(&format!("#SBATCH {option}\n")),
                "{option}: {first}"
            );
        }
        job.run.doublings = 2;
        assert!(script(&job).contains("#SBATCH --time=600\n"));
        assert!(script(&job).contains("#SBATCH --mem=12000M\n"));
        job.tasks[0].request.seconds = None;
        assert!(!script(&job).contains("--time"));
    }

    /// Runs the script of a job whose command is this, with a `scontrol` that only tells.
    fn run(command: &str, signal: &str) -> (Option<i32>, String) {
        let dir = tempfile::tempdir().unwrap();
        let mut job = job(1, None);
        job.run.command = ["bash", "-c", command].map(String::from).to_vec();
        let script = &arrays(&job, ARRAY_LIMIT)[0].script;
        let script = format!("scontrol() {{ echo \"$@\"; }}\n({signal}) &\n{script}");
        let output = std::process::Command::new("bash")
            .args(["-c", &script])
            .current_dir(dir.path())
            .env("SLURM_ARRAY_JOB_ID", "7")
            .env("SLURM_ARRAY_TASK_ID", "0")
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    }

    #[test]
    fn a_task_that_runs_out_of_time_is_queued_again() {
        let stops = "trap 'exit 143' TERM; for i in {1..100}; do sleep 0.1; done";
        let wait = "sleep 0.3; kill -USR1 $$";
        assert_eq!(run(stops, wait), (Some(143), "requeue 7_0\n".to_owned()));
        // Cancelled, finished in time, and failed: not again.
        let cancelled = run(stops, "sleep 0.3; kill -TERM $$");
        assert_eq!(cancelled, (Some(143), String::new()));
        let finishes = "trap 'exit 0' TERM; for i in {1..100}; do sleep 0.1; done";
        assert_eq!(run(finishes, wait), (Some(0), String::new()));
        assert_eq!(run("exit 5", "true"), (Some(5), String::new()));
    }

    #[test]
    fn the_printed_script_submits_everything_in_order() {
        let job = job(2, None);
        let arguments = ["--partition=gpu".to_owned(), "--comment=a b".to_owned()];
        let text = submission(&arrays(&job, ARRAY_LIMIT), &arguments);
        // An `sbatch` that shows its arguments and counts.
        let fake = "n=/dev/fd/3; sbatch() { echo \"$@\" >&2; grep -c . >&2; echo \"4$RANDOM;x\"; }";
        let output = std::process::Command::new("bash")
            .args(["-c", &format!("{fake}\n{text}")])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        let calls: Vec<&str> = said.lines().filter(|l| l.starts_with("--")).collect();
        assert_eq!(calls.len(), 4);
        assert_eq!(calls[0], "--parsable --partition=gpu --comment=a b");
        assert!(calls[1].starts_with("--parsable --dependency=afterany:4"));
        assert!(!calls[3].contains(';'));
    }
}
