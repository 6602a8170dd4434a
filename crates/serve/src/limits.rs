use crate::ServeError;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Where and how to serve.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Host names that requests may be addressed to, beside `localhost` and the address itself.
    pub hosts: Vec<String>,
    /// How much is accepted.
    pub limits: Limits,
}

impl Default for Settings {
    /// Port 8080 of this machine alone.
    fn default() -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
        Self {
            listen,
            hosts: Vec::new(),
            limits: Limits::default(),
        }
    }
}

/// How much of everything. Beyond a limit a request is refused; nothing waits without end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one request's body.
    pub body: usize,
    /// Bytes of all bodies that are being received or wait for a worker.
    pub bodies: usize,
    /// Open connections; more wait in the system's queue.
    pub connections: usize,
    /// Inspections at a time. A network uses all its threads for one image, so one is usually best.
    pub workers: usize,
    /// Requests that may wait for a worker.
    pub queue: usize,
    /// For the head of a request; also how long an idle connection is kept.
    pub head_time: Duration,
    /// For the body of a request.
    pub body_time: Duration,
    /// For a worker to become free.
    pub queue_time: Duration,
    /// For one inspection or picture, after which the client is told so; the worker stays busy
    /// until it is done.
    pub work_time: Duration,
    /// For a connection as a whole, however busy.
    pub connection_time: Duration,
    /// For running requests to end once the server is asked to stop, and for what is left of a
    /// refused body to arrive.
    pub drain_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 32 << 20,
            bodies: 256 << 20,
            connections: 256,
            workers: 1,
            queue: 32,
            head_time: Duration::from_secs(10),
            body_time: Duration::from_secs(30),
            queue_time: Duration::from_secs(30),
            work_time: Duration::from_secs(60),
            connection_time: Duration::from_secs(300),
            drain_time: Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// Beyond this a number of permits no longer fits where it is counted.
    const MOST: usize = 1 << 30;

    pub(crate) fn check(&self) -> Result<(), ServeError> {
        let sizes = [
            ("body", self.body),
            // In KiB, in which they are counted, since a semaphore has 32 bits.
            ("bodies", self.bodies >> 10),
            ("connections", self.connections),
            ("workers", self.workers),
            ("queue", self.queue),
        ];
        for (name, value) in sizes {
            if !(1..=Self::MOST).contains(&value) {
                let expected = "at least 1 (bodies: 1 KiB), at most 2^30 (bodies: 1 TiB)";
                return Err(ServeError::Setting {
                    name,
                    value: value.to_string(),
                    expected,
                });
            }
        }
        let times = [
            ("head_time", self.head_time),
            ("body_time", self.body_time),
            ("queue_time", self.queue_time),
            ("work_time", self.work_time),
            ("connection_time", self.connection_time),
            ("drain_time", self.drain_time),
        ];
        for (name, value) in times {
            if value.is_zero() {
                let value = format!("{value:?}");
                return Err(ServeError::Setting {
                    name,
                    value,
                    expected: "above 0",
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_nothing_are_refused() {
        assert!(Limits::default().check().is_ok());
        let e = Limits {
            workers: 0,
            ..Limits::default()
        }
        .check()
        .unwrap_err()
        .to_string();
        assert!(e.starts_with("workers = 0"), "{e}");
        assert!(
            Limits {
                bodies: 1023,
                ..Limits::default()
            }
            .check()
            .is_err()
        );
        assert!(
            Limits {
                body_time: Duration::ZERO,
                ..Limits::default()
            }
            .check()
            .is_err()
        );
    }
}
