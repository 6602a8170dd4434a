//! Addresses to files, through `curl`: a broken download resumes where it stopped, in this run or
//! in the next.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::cache::Stage;
use crate::digest::Pin;
use crate::download::{CURL, Provisioner};
use crate::error::ProvisionError;

/// How often and how long a failing server is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Attempts in a row without progress before giving up.
    pub attempts: u32,
    /// The pause before the second attempt; doubled before each further one.
    pub pause: Duration,
    /// A connection with next to no progress for so long counts as broken.
    pub stall: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            attempts: 4,
            pause: Duration::from_secs(1),
            stall: Duration::from_secs(60),
        }
    }
}

/// Attempts in all: a server that sends a little each time is not asked forever.
const ATTEMPTS: u32 = 1000;

/// What an attempt ended with.
enum Attempt {
    Done,
    /// Worth another attempt, from where it stopped.
    Again(String),
    /// Worth another attempt, from the beginning.
    Anew(String),
    Useless(String),
}

impl Provisioner<'_> {
    /// Downloads an address to [`Cache::download`](crate::Cache::download) and checks the file.
    /// What an interrupted run left there is completed, what a finished one left is taken as it is;
    /// [`Provisioner::discard`] removes it when it is not needed any more.
    ///
    /// # Errors
    /// curl is missing, the server gives no file, or the file is another one than `pin` says.
    pub fn url(&self, url: &str, pin: Pin<'_>, _stage: &Stage) -> Result<PathBuf, ProvisionError> {
        let target = self.cache.download(file_name(url));
        // Without a published digest, the file may be an older version.
        if target.exists() && pin != Pin::Unknown && pin.check(&target).is_ok() {
            return Ok(target);
        }
        self.ensure(&[CURL])?;
        segad_files::create_dir(&self.cache.downloads())?;
        let part = beside(&target, ".part");
        let mut resumed = size(&part) > 0;
        let from = if resumed {
            format!(", from byte {} on", size(&part))
        } else {
            String::new()
        };
        (self.say)(&format!("downloading {url}{from}"));
        loop {
            resumed |= self.fetch(url, &part)?;
            match pin.check(&part) {
                Ok(()) => break,
                // The beginning may be an older version's.
                Err(ProvisionError::Digest { .. }) if resumed => {
                    (self.say)("the parts do not fit together; downloading it once more, whole");
                    segad_files::remove(&part)?;
                    resumed = false;
                }
                Err(error) => {
                    segad_files::remove(&part)?;
                    return Err(error);
                }
            }
        }
        segad_files::publish(&part, &target)?;
        Ok(target)
    }

    /// Removes what [`Provisioner::url`] brought. A file of the user's elsewhere stays.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn discard(&self, file: &Path) -> Result<(), ProvisionError> {
        if file.starts_with(self.cache.downloads()) {
            segad_files::remove(file)?;
        }
        Ok(())
    }

    /// Completes `part`; returns whether it is made of several pieces.
    fn fetch(&self, url: &str, part: &Path) -> Result<bool, ProvisionError> {
        let Patience {
            attempts, pause, ..
        } = self.patience;
        let mut fruitless = 0;
        let mut pieces = false;
        for _ in 0..ATTEMPTS {
            let had = size(part);
            let problem = match self.attempt(url, part)? {
                Attempt::Done => return Ok(pieces),
                Attempt::Useless(problem) => return Err(download_error(url, problem)),
                Attempt::Again(problem) => problem,
                Attempt::Anew(problem) => {
                    segad_files::remove(part)?;
                    problem
                }
            };
            let has = size(part);
            pieces = has > 0;
            // Only attempts that bring nothing count: a slow server is asked again from where it
            // is.
            fruitless = if has > had { 0 } else { fruitless + 1 };
            if fruitless >= attempts {
                let kept = if has > 0 {
                    "; the same command resumes from here"
                } else {
                    ""
                };
                return Err(download_error(
                    url,
                    format!("{problem}; given up after {attempts} attempts{kept}"),
                ));
            }
            (self.say)(&format!("{problem}; trying again from byte {has} on"));
            // Ever longer, up to 64 times the first pause.
            std::thread::sleep(pause * 2u32.saturating_pow(fruitless.min(6)));
        }
        let problem = "the connection breaks off too often".to_owned();
        Err(download_error(url, problem))
    }

    fn attempt(&self, url: &str, part: &Path) -> Result<Attempt, ProvisionError> {
        let has = size(part);
        let mut curl = self.command("curl");
        curl.args([
            "--fail",
            "--location",
            "--max-redirs",
            "10",
            "--connect-timeout",
            "10",
        ])
        // A redirection may not lead to a file of this machine.
        .args([
            "--proto",
            "=http,https,file",
            "--proto-redir",
            "=http,https",
            "--globoff",
        ])
        .args([
            "--speed-limit",
            "1000",
            "--speed-time",
            &self.patience.stall.as_secs().to_string(),
        ])
        .args(["--write-out", "%{http_code}"])
        .stdin(Stdio::null());
        // Resumes instead of starting again.
        if has > 0 {
            curl.args(["--continue-at", &has.to_string()]);
        }
        if self.show_progress {
            curl.arg("--progress-bar").stderr(Stdio::inherit());
        } else {
            curl.args(["--silent", "--show-error"])
                .stderr(Stdio::piped());
        }
        curl.arg("--output").arg(part).arg("--").arg(url);
        let output = curl.output().map_err(|e| ProvisionError::Command {
            command: "curl".to_owned(),
            status: "not started".to_owned(),
            output: e.to_string(),
        })?;
        let status = String::from_utf8_lossy(&output.stdout)
            .trim()
            .parse()
            .unwrap_or(0);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let message = stderr
            .lines()
            .find(|l| !l.trim().is_empty())
            .unwrap_or("curl stopped")
            .trim();
        Ok(match output.status.code() {
            Some(code) => judge(code, status, has, message),
            None => Attempt::Useless(format!("{message} ({})", output.status)),
        })
    }
}

fn download_error(url: &str, problem: String) -> ProvisionError {
    ProvisionError::Download {
        url: url.to_owned(),
        problem,
    }
}

/// The path with something appended to its file name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Size of a file; 0 if there is none.
fn size(path: &Path) -> u64 {
    segad_files::size_and_time(path).map_or(0, |(size, _)| size)
}

/// What curl's exit code and the server's status mean where `has` bytes were there before.
fn judge(code: i32, status: u32, has: u64, message: &str) -> Attempt {
    match (code, status) {
        (0, _) => Attempt::Done,
        // Nothing is behind the last byte: it was complete already.
        (22, 416) if has > 0 => Attempt::Done,
        (22, 408 | 425 | 429 | 500..=599) => Attempt::Again(format!("the server answers {status}")),
        (22, _) => Attempt::Useless(format!("the server answers {status}")),
        // The server cannot give a part, or not this one.
        (33 | 36, _) => Attempt::Anew(message.to_owned()),
        // Names, connections, time-outs, broken streams.
        (5 | 6 | 7 | 16 | 18 | 28 | 35 | 52 | 55 | 56 | 92 | 95, _) => {
            Attempt::Again(message.to_owned())
        }
        (23, _) => Attempt::Useless(format!("{message}; is the disk full?")),
        _ => Attempt::Useless(message.to_owned()),
    }
}

/// The last part of an address's path.
fn file_name(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    path.rsplit('/')
        .find(|part| !part.is_empty() && *part != "..")
        .unwrap_or("file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_address() {
        for (url, name) in [
            ("https://x.org/a/b.tar.xz", "b.tar.xz"),
            ("https://x.org/a/b.zip?download=1&x=/c", "b.zip"),
            ("https://x.org/a/../", "a"),
        ] {
            assert_eq!(file_name(url), name);
        }
    }
}
