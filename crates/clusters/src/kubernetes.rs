//! Kubernetes: for every wave an [Indexed Job] and a ConfigMap with its tasks.
//!
//! Jobs have no order among themselves, so all but the first wave are suspended until the user
//! releases them. Pods run the image `segad` in the folder `/segad`, where the volume claim `segad`
//! is mounted; the cache folder is `/segad/cache`. A task that ends with an exit code that another
//! try cannot change fails at once (`FailIndex`), one whose node goes away does not count, and
//! everything else is tried three times more.
//!
//! Manifests are JSON, which `kubectl apply -f -` reads as it reads YAML. They are valid by
//! the published schemas of Kubernetes 1.29 to 1.36; no cluster has run them.
//!
//! [Indexed Job]: https://kubernetes.io/docs/concepts/workloads/controllers/job/

use crate::Job;
use crate::shell::line;
use segad_provision::exit;
use serde_json::{Value, json};

/// Tasks of one Job: their list has to fit into a ConfigMap, which holds 1 MiB.
const MOST_TASKS: usize = 500;

/// Further tries of a task.
const RETRIES: u32 = 3;

/// What another try does not change. Codes are in ascending order, as the rules ask for.
const FINAL: [u8; 7] = [
    exit::FAILED,
    exit::USAGE,
    exit::CONFIGURATION,
    exit::NOTHING_SELECTED,
    exit::INPUT,
    exit::DIFFERS,
    exit::INTERNAL,
];

/// The manifests as one `List`; `run.command` names the program as the image has it.
pub fn manifests(job: &Job) -> Value {
    let mut items = Vec::new();
    let waves = job.waves();
    for (at, wave) in waves.iter().enumerate() {
        for (part, tasks) in wave.chunks(MOST_TASKS).enumerate() {
            let name = format!("{}-{at}-{part}", job.run.name);
            items.push(task_list(job, &name, tasks));
            items.push(indexed_job(job, &name, tasks, at));
        }
    }
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

fn task_list(job: &Job, name: &str, tasks: &[usize]) -> Value {
    let lines = tasks.iter().map(|&i| job.tasks[i].keys.join(" ") + "\n");
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": labels(job)},
        "data": {"tasks": lines.collect::<String>()},
    })
}

fn labels(job: &Job) -> Value {
    json!({"app.kubernetes.io/name": "segad", "app.kubernetes.io/instance": job.run.name})
}

fn indexed_job(job: &Job, name: &str, tasks: &[usize], wave: usize) -> Value {
    let mut labels = labels(job);
    labels["segad/wave"] = json!(wave.to_string());
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "completionMode": "Indexed",
            "completions": tasks.len(),
            "parallelism": tasks.len(),
            "suspend": wave > 0,
            "backoffLimitPerIndex": RETRIES,
            "podFailurePolicy": {"rules": [
                {
                    "action": "FailIndex",
                    "onExitCodes": {"containerName": "segad", "operator": "In", "values": FINAL},
                },
                {
                    "action": "Ignore",
                    "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                },
            ]},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 30,
                    "containers": [container(job, tasks)],
                    "volumes": [
                        {"name": "segad", "persistentVolumeClaim": {"claimName": "segad"}},
                        {"name": "tasks", "configMap": {"name": name}},
                    ],
                },
            },
        },
    })
}

fn container(job: &Job, tasks: &[usize]) -> Value {
    // `exec`, so that the program itself gets SIGTERM.
    let command = format!(
        "exec {} $(sed -n $((JOB_COMPLETION_INDEX + 1))p /tasks/tasks)",
        line(&job.run.command)
    );
    let mut environment = job.run.environment.clone();
    environment.insert("SEGAD_CACHE_DIR".to_owned(), "/segad/cache".to_owned());
    let env = environment
        .iter()
        .map(|(name, value)| json!({"name": name, "value": value}));
    let env: Vec<Value> = env.collect();
    json!({
        "name": "segad",
        "image": "segad",
        "command": ["sh", "-c", command],
        "workingDir": "/segad",
        "env": env,
        "resources": resources(job, tasks),
        "volumeMounts": [
            {"name": "segad", "mountPath": "/segad"},
            {"name": "tasks", "mountPath": "/tasks", "readOnly": true},
        ],
    })
}

fn resources(job: &Job, tasks: &[usize]) -> Value {
    let request = job.request(tasks);
    let mut requests = json!({"cpu": job.run.cpus.to_string()});
    let mut limits = json!({});
    if let Some(memory) = request.memory_mib {
        let memory = format!("{memory}Mi");
        requests["memory"] = json!(memory);
        limits["memory"] = json!(memory);
    }
    if request.gpu {
        limits["nvidia.com/gpu"] = json!("1");
    }
    json!({"requests": requests, "limits": limits})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::tests::job;

    fn items(n: usize) -> Vec<Value> {
        manifests(&job(n, None))["items"]
            .as_array()
            .unwrap()
            .clone()
    }

    #[test]
    fn every_wave_is_an_indexed_job_with_its_tasks() {
        let items = items(600);
        // Fits and maps in two parts each, statistics, the row.
        assert_eq!(items.len(), 2 * 6);
        for pair in items.chunks(2) {
            let [list, job] = pair else {
                panic!("{pair:?}")
            };
            let tasks = list["data"]["tasks"].as_str().unwrap();
            let spec = &job["spec"];
            assert_eq!(spec["completions"], tasks.lines().count());
            let name = list["metadata"]["name"].as_str().unwrap();
            assert_eq!(
                spec["template"]["spec"]["volumes"][1]["configMap"]["name"],
                name
            );
            // Pods are called after it, and a name of a label's form has 63 characters at most.
            assert!(name.len() <= 57, "{name}");
        }
        assert_eq!(items[1]["spec"]["suspend"], false);
        assert_eq!(items[5]["spec"]["suspend"], true);
        assert_eq!(items[5]["metadata"]["labels"]["segad/wave"], "1");
    }

    /// What the reference of `batch/v1` demands where a failure policy goes with Indexed Jobs.
    #[test]
    fn the_rules_of_the_failure_policy_are_kept() {
        for job in items(1).iter().skip(1).step_by(2) {
            let spec = &job["spec"];
            assert_eq!(spec["completionMode"], "Indexed");
            assert_eq!(spec["template"]["spec"]["restartPolicy"], "Never");
            assert!(spec["backoffLimitPerIndex"].as_u64().is_some());
            let rules = spec["podFailurePolicy"]["rules"].as_array().unwrap();
            assert!(rules.len() <= 20);
            for rule in rules {
                let both = [&rule["onExitCodes"], &rule["onPodConditions"]];
                assert_eq!(both.iter().filter(|b| !b.is_null()).count(), 1);
            }
            let values = rules[0]["onExitCodes"]["values"].as_array().unwrap();
            let values: Vec<u64> = values.iter().map(|v| v.as_u64().unwrap()).collect();
            assert!(values.is_sorted_by(|a, b| a < b) && !values.contains(&0));
        }
    }

    #[test]
    fn what_another_try_may_change_is_tried_again() {
        let may_change = [exit::OK, exit::SYSTEM, exit::INTERRUPTED, exit::TERMINATED];
        for (code, _) in exit::ALL {
            assert_ne!(FINAL.contains(&code), may_change.contains(&code), "{code}");
        }
    }

    #[test]
    fn a_pod_runs_the_task_of_its_index() {
        let dir = tempfile::tempdir().unwrap();
        let mut job = job(3, None);
        job.run.command = ["echo", "a b"].map(String::from).to_vec();
        let container = container(&job, &[0, 1]);
        let command = container["command"][2].as_str().unwrap();
        let list = task_list(&job, "n", &[0, 1]);
        let tasks = dir.path().join("tasks");
        write(&tasks, list["data"]["tasks"].as_str().unwrap());
        let command = command.replace("/tasks/tasks", tasks.to_str().unwrap());
        let output = std::process::Command::new("sh")
            .args(["-c", &command])
            .env("JOB_COMPLETION_INDEX", "1")
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said, format!("a b {}\n", job.tasks[1].keys[0]));
    }

    #[expect(clippy::disallowed_methods, reason = "a test makes the file it needs")]
    fn write(path: &std::path::Path, text: &str) {
        std::fs::write(path, text).unwrap();
    }
}
