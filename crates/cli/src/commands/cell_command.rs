//! The command of one task of a scheduler: `segad cell` with the options of the run that submits it.

use segad_args::{Machine, PlanArgs, RunArgs, SettingsArgs};
use segad_core::Device;
use std::path::Path;
use std::time::Duration;

/// The words after the program's name, up to the keys.
///
/// Of `run`, `out` and `check` concern tables, which a task does not write; failures that are to be
/// tried again are forgotten before anything is submitted, so that only one task tries.
pub(super) fn words(file: &Path, run: &RunArgs, device: Device) -> Vec<String> {
    let RunArgs {
        plan,
        retries,
        time_limit,
        out: _,
        check: _,
    } = run;
    let PlanArgs {
        settings,
        only,
        exclude,
        data,
        manifest,
        store,
        rerun_failed: _,
        machine,
        processor,
        batch,
    } = plan;
    let mut words = Words(vec!["cell".to_owned(), file.display().to_string()]);
    words.settings(settings);
    words.each("--only", only);
    words.each("--exclude", exclude);
    words.path("--data", data.as_deref());
    words.path("--manifest", manifest.as_deref());
    words.path("--store", store.as_deref());
    words.machine(machine, device);
    // The family that keys were planned for, so that another one says so.
    let processor = processor.as_deref();
    words.option(
        "--processor",
        processor.unwrap_or_else(|| segad_runner::machine::processor()),
    );
    words.option("--batch", &batch.to_string());
    words.option("--retries", &retries.to_string());
    if let Some(limit) = time_limit {
        words.option("--time-limit", &seconds(*limit));
    }
    words.0.push("--no-needs".to_owned());
    words.0
}

fn seconds(time: Duration) -> String {
    format!("{}s", time.as_secs_f64())
}

struct Words(Vec<String>);

impl Words {
    /// In one word: a value may begin with a dash.
    fn option(&mut self, name: &str, value: &str) {
        self.0.push(format!("{name}={value}"));
    }

    fn each(&mut self, name: &str, values: &[String]) {
        values.iter().for_each(|value| self.option(name, value));
    }

    fn path(&mut self, name: &str, path: Option<&Path>) {
        if let Some(path) = path {
            self.option(name, &path.display().to_string());
        }
    }

    fn settings(&mut self, settings: &SettingsArgs) {
        let SettingsArgs { profile, set, maps } = settings;
        self.option("--profile", profile);
        self.each("--set", set);
        self.path("--maps", maps.as_deref());
    }

    fn machine(&mut self, machine: &Machine, device: Device) {
        let Machine {
            threads,
            memory,
            device: _,
            precision,
        } = machine;
        // Schedulers show a task its own GPU alone.
        let device = match device {
            Device::Cpu => "cpu",
            Device::Cuda(_) => "cuda",
        };
        self.option("--threads", &threads.map_or(1, Into::into).to_string());
        self.option("--memory", &memory.to_string());
        self.option("--device", device);
        self.option("--precision", &precision.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use segad_args::{Cli, Command};

    /// Every option that decides what a cell is or how it is computed.
    const OPTIONS: [&str; 18] = [
        "--profile=smoke",
        "--set=seeds=[1,2]",
        "--set=defaults.forest=\"brf\"",
        "--maps=m",
        "--only=a b",
        "--exclude=-c",
        "--data=d",
        "--manifest=x.toml",
        "--store=s",
        "--threads=3",
        "--memory=1073741824",
        "--device=cuda",
        "--precision=bf16",
        "--processor=GenuineIntel/avx2",
        "--batch=4",
        "--retries=2",
        "--time-limit=90s",
        "--no-needs",
    ];

    fn run_of(words: &[String]) -> RunArgs {
        let parsed = Cli::try_parse_from([&["segad".to_owned()], words].concat());
        match parsed.unwrap().command {
            Command::Cell { run, .. } => run,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_task_has_the_options_of_its_run() {
        let mut given = ["cell", "a b.toml"].map(String::from).to_vec();
        given.extend(OPTIONS.map(String::from));
        let with_key = [given.clone(), vec!["00".to_owned()]].concat();
        assert_eq!(
            words(Path::new("a b.toml"), &run_of(&with_key), Device::Cuda(1)),
            given
        );
    }

    #[test]
    fn no_option_of_the_command_line_is_left_out() {
        use clap::CommandFactory;
        let command = Cli::command();
        let cell = command.find_subcommand("cell").unwrap();
        let of_tables = ["out", "check", "rerun_failed"];
        for argument in cell.get_arguments().filter(|a| a.get_long().is_some()) {
            let name = format!("--{}", argument.get_long().unwrap());
            let is_passed = OPTIONS.iter().any(|o| o.split('=').next() == Some(&name));
            let is_not = of_tables.contains(&argument.get_id().as_str());
            assert!(is_passed || is_not, "{name}");
        }
    }
}
