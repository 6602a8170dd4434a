use crate::error::XtaskError;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Seconds and seconds of processor time, or why there are none.
pub(crate) type Answer = Result<(f64, f64), String>;

/// A program that answers each line with a line.
pub(crate) struct Worker {
    name: &'static str,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts a program and waits until it is ready.
    pub(super) fn start(name: &'static str, command: &mut Command) -> Result<Self, XtaskError> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|source| XtaskError::Start {
                command: name.to_owned(),
                source,
            })?;
        let input = child.stdin.take().expect("stdin was just piped");
        let output = child.stdout.take().expect("stdout was just piped");
        let mut worker = Self {
            name,
            child,
            input,
            output: BufReader::new(output),
        };
        match worker.read_line()?.as_str() {
            "ready" => Ok(worker),
            line => Err(XtaskError::Build(format!("{name}: {line}"))),
        }
    }

    fn read_line(&mut self) -> Result<String, XtaskError> {
        let mut line = String::new();
        let read = self.output.read_line(&mut line);
        if read.is_ok_and(|n| n > 0) {
            return Ok(line.trim().to_owned());
        }
        Err(XtaskError::Build(format!(
            "{} ended early; its messages are above",
            self.name
        )))
    }

    pub(super) fn ask(&mut self, question: &str) -> Result<Answer, XtaskError> {
        writeln!(self.input, "{question}")
            .and_then(|()| self.input.flush())
            .map_err(|source| XtaskError::Start {
                command: self.name.to_owned(),
                source,
            })?;
        let answer = self.read_line()?;
        Ok(parse(&answer).ok_or(answer))
    }
}

/// Seconds and seconds of processor time in an answer.
fn parse(answer: &str) -> Option<(f64, f64)> {
    let (seconds, processor) = answer.split_once(' ')?;
    Some((seconds.parse().ok()?, processor.parse().ok()?))
}

impl Drop for Worker {
    fn drop(&mut self) {
        // A worker ends with its input; this is for one that does not.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        assert_eq!(parse("0.5 1.25"), Some((0.5, 1.25)));
        assert_eq!(parse("failed: no such file"), None);
    }
}
