//! Calls a scheduler's program.

use crate::ClusterError;
use std::io::Write;
use std::process::{Command, Stdio};

/// A program of a scheduler.
#[derive(Clone, Copy)]
pub(crate) struct Program {
    pub name: &'static str,
    pub scheduler: &'static str,
}

impl Program {
    /// Runs it to its end with this standard input and gives its standard output.
    pub(crate) fn call(self, arguments: &[String], input: &str) -> Result<String, ClusterError> {
        let mut child = Command::new(self.name)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| self.not_started(e))?;
        if let Some(mut pipe) = child.stdin.take() {
            // A program that refuses its arguments reads no input, and says why below.
            let _ = pipe.write_all(input.as_bytes());
        }
        let output = child.wait_with_output();
        let output = output.map_err(|e| self.not_started(e))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(ClusterError::Refused {
            command: self.shown(arguments),
            status: output.status,
            said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    fn not_started(self, reason: std::io::Error) -> ClusterError {
        ClusterError::NotStarted {
            program: self.name,
            scheduler: self.scheduler,
            reason,
        }
    }

    pub(crate) fn answer(
        self,
        arguments: &[String],
        expected: &'static str,
        said: &str,
    ) -> ClusterError {
        ClusterError::Answer {
            command: self.shown(arguments),
            expected,
            said: said.to_owned(),
        }
    }

    fn shown(self, arguments: &[String]) -> String {
        format!("{} {}", self.name, arguments.join(" "))
    }
}
