//! Debian's Slurm on this machine, with its own configuration, ports and key.

use super::{not_run, same_as_one_process, table};
use crate::support::{Place, expect};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const PROGRAMS: [&str; 4] = ["munged", "slurmctld", "slurmd", "sbatch"];

/// Slurm's daemons, which end with this.
struct Cluster {
    daemons: Vec<Child>,
    conf: PathBuf,
}

/// Debian's daemons are where only root looks for them.
fn path() -> String {
    format!("{}:/usr/sbin", std::env::var("PATH").unwrap())
}

/// Why it cannot run here.
fn missing() -> Option<String> {
    let is_there = |name: &str| {
        path()
            .split(':')
            .any(|folder| PathBuf::from(folder).join(name).exists())
    };
    if let Some(absent) = PROGRAMS.iter().find(|name| !is_there(name)) {
        return Some(format!("no {absent}"));
    }
    let id = Command::new("id").arg("-u").output().unwrap();
    (id.stdout.trim_ascii() != b"0").then(|| "not root".to_owned())
}

fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

impl Cluster {
    fn start(place: &Place) -> Self {
        let folder = place.path("slurm");
        for below in ["run", "state", "spool"] {
            std::fs::create_dir_all(folder.join(below)).unwrap();
        }
        let key: Vec<u8> = (0..=255).collect();
        std::fs::write(folder.join("key"), key).unwrap();
        let restrict = Command::new("chmod")
            .arg("600")
            .arg(folder.join("key"))
            .status();
        assert!(restrict.unwrap().success());
        let host = Command::new("hostname").arg("-s").output().unwrap();
        let host = String::from_utf8(host.stdout).unwrap().trim().to_owned();
        let conf = folder.join("slurm.conf");
        std::fs::write(&conf, configuration(&folder.display().to_string(), &host)).unwrap();
        let mut cluster = Self {
            daemons: Vec::new(),
            conf,
        };
        let of = |name: &str| folder.join(name).display().to_string();
        let munge = [
            "--foreground".to_owned(),
            "--force".to_owned(),
            format!("--key-file={}", of("key")),
            format!("--socket={}", of("run/munge.socket")),
            format!("--pid-file={}", of("run/munged.pid")),
            format!("--seed-file={}", of("run/munged.seed")),
            format!("--log-file={}", of("munged.log")),
        ];
        cluster.spawn("munged", &munge);
        let alone = ["-D".to_owned(), "-c".to_owned()];
        cluster.spawn("slurmctld", &alone);
        cluster.spawn("slurmd", &alone);
        let since = Instant::now();
        while !cluster.is_idle() {
            assert!(
                since.elapsed() < Duration::from_secs(60),
                "Slurm does not start"
            );
            sleep(Duration::from_millis(200));
        }
        cluster
    }

    fn spawn(&mut self, program: &str, arguments: &[String]) {
        let daemon = Command::new(program)
            .args(arguments)
            .env("PATH", path())
            .env("SLURM_CONF", &self.conf)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.daemons.push(daemon.unwrap());
    }

    fn is_idle(&self) -> bool {
        let nodes = self
            .of(Command::new("sinfo"))
            .args(["-h", "-o", "%t"])
            .output()
            .unwrap();
        nodes.stdout.trim_ascii() == b"idle"
    }

    fn of(&self, mut command: Command) -> Command {
        command.env("SLURM_CONF", &self.conf);
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for daemon in self.daemons.iter_mut().rev() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

/// One node of two processors; arrays of four tasks at most, so that waves have several parts.
fn configuration(folder: &str, host: &str) -> String {
    let [controller, daemon] = [port(), port()];
    format!(
        "ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort={controller}
SlurmdPort={daemon}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
ReturnToService=2
SwitchType=switch/none
MaxArraySize=5
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=8000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"
    )
}

#[test]
fn tasks_of_slurm_leave_the_same_bytes() {
    if let Some(why) = missing() {
        not_run(&format!("no Slurm here ({why})"));
        return;
    }
    let place = Place::bare();
    let cluster = Cluster::start(&place);
    let start = |out: &str, more: &[&str]| {
        let executor = [&["--executor", "slurm"], more].concat();
        cluster.of(table(&place, out, &executor))
    };
    // A partition that does not exist: nothing is submitted, nothing is lost.
    let message = expect(start("tasks", &["--slurm-arg=--partition=none"]), 3);
    assert!(
        message.contains("sbatch") && message.contains("partition"),
        "{message}"
    );
    // The login node goes away while tasks are queued; the same command waits for them.
    let mut login = start("tasks", &[]).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = std::io::BufReader::new(login.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("submitted") {
        assert!(
            std::io::BufRead::read_line(&mut said, &mut line).unwrap() > 0,
            "{line}"
        );
    }
    login.kill().unwrap();
    login.wait().unwrap();
    let message = expect(start("tasks", &[]), 0);
    assert!(
        message.contains("of an earlier call") && !message.contains("submitted"),
        "{message}"
    );
    std::fs::remove_dir_all(place.path("tasks-store")).unwrap();
    same_as_one_process(&place, |out| start(out, &[]));
}
