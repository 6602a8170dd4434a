use crate::read::read_to_string;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A process, identified so that neither a reused process id nor the same id in another container
/// is taken for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Host name, for people.
    pub host: String,
    /// 16 hexadecimal digits of a hash of host name, boot and process-id namespace: whether the
    /// process is alive can only be checked where they agree.
    pub machine: String,
    /// Process id.
    pub pid: u32,
    /// When the process started, in clock ticks after the boot; 0 where the system does not report
    /// it.
    pub started: u64,
}

impl Owner {
    /// This process.
    pub fn current() -> &'static Self {
        static CURRENT: OnceLock<Owner> = OnceLock::new();
        CURRENT.get_or_init(|| {
            let host = rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned();
            let boot =
                read_to_string(Path::new("/proc/sys/kernel/random/boot_id")).unwrap_or_default();
            // In a container the same id can be another process.
            let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
            let machine =
                segad_core::Key::of_bytes(format!("{host}\n{boot}\n{namespace:?}").as_bytes());
            let pid = std::process::id();
            let started = process(pid).map_or(0, |(_, started)| started);
            Self {
                host,
                machine: machine.to_string()[..16].to_owned(),
                pid,
                started,
            }
        })
    }

    /// True if the process has certainly ended; false if it runs or cannot be seen from here.
    pub fn is_dead(&self) -> bool {
        let here = Self::current();
        if self.machine != here.machine {
            return false;
        }
        if here.started == 0 {
            // No /proc: ask with a signal that does nothing. A process of another user refuses it
            // and counts as alive.
            let pid = i32::try_from(self.pid)
                .ok()
                .and_then(rustix::process::Pid::from_raw);
            return pid.is_none_or(|p| {
                rustix::process::test_kill_process(p).is_err_and(|e| e == rustix::io::Errno::SRCH)
            });
        }
        // A zombie holds nothing any more; another start time means that the id was reused.
        process(self.pid)
            .is_none_or(|(state, started)| matches!(state, 'Z' | 'X') || started != self.started)
    }

    /// A name that no other call returns, for temporary files and folders;
    /// [`Owner::from_tag`] reads the process from it.
    pub fn unique_tag(&self) -> String {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        format!("{}-{}-{}-{n}", self.machine, self.pid, self.started)
    }

    /// The process whose [`Owner::unique_tag`] this is, without its host name.
    pub fn from_tag(tag: &str) -> Option<Self> {
        let mut parts = tag.split('-');
        let machine = parts.next().filter(|m| m.len() == 16)?.to_owned();
        let pid = parts.next()?.parse().ok()?;
        let started = parts.next()?.parse().ok()?;
        parts.next()?.parse::<u64>().ok()?;
        parts.next().is_none().then(|| Self {
            host: String::new(),
            machine,
            pid,
            started,
        })
    }
}

/// State and start time from `/proc/<pid>/stat`. The program name in it may contain anything, so
/// the fields are counted from its end.
fn process(pid: u32) -> Option<(char, u64)> {
    let stat = read_to_string(Path::new(&format!("/proc/{pid}/stat"))).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
impl Owner {
    /// A process of this machine that has ended.
    pub(crate) fn dead() -> Self {
        Self {
            pid: 0x7fff_fff0,
            ..Self::current().clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_living_and_the_dead() {
        let me = Owner::current().clone();
        assert!(!me.is_dead());
        assert!(
            Owner {
                started: me.started + 1,
                ..me.clone()
            }
            .is_dead()
        ); // the id was used again
        assert!(
            Owner {
                pid: 0x7fff_fff0,
                ..me.clone()
            }
            .is_dead()
        );
        assert!(
            !Owner {
                pid: 0x7fff_fff0,
                machine: "0".repeat(16),
                ..me
            }
            .is_dead()
        ); // not ours to judge
    }

    #[test]
    fn a_child_that_was_not_waited_for_is_dead() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let (_, started) = process(child.id()).unwrap();
        let owner = Owner {
            pid: child.id(),
            started,
            ..Owner::current().clone()
        };
        assert!(!owner.is_dead());
        child.kill().unwrap();
        while !owner.is_dead() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(owner.is_dead());
    }

    #[test]
    fn tags_read_back() {
        let me = Owner::current();
        let (a, b) = (me.unique_tag(), me.unique_tag());
        assert_ne!(a, b);
        let back = Owner::from_tag(&a).unwrap();
        assert_eq!(
            (back.pid, back.started, &back.machine),
            (me.pid, me.started, &me.machine)
        );
        assert!(Owner::from_tag("x-1-2-3").is_none());
    }
}
