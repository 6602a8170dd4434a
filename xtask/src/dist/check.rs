//! Runs what both distributions install where nothing else is: a root of its own, without the cache,
//! the clone, a compiler or any library but glibc.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use segad_provision::native::Native;

use super::{RUNTIME, tarball};
use crate::cargo;
use crate::error::XtaskError;
use crate::setup::Context;

/// What glibc consists of, as far as the program and its libraries name it.
const GLIBC: [&str; 6] = [
    "libc.so.6",
    "libm.so.6",
    "libdl.so.2",
    "libpthread.so.0",
    "librt.so.1",
    "ld-linux-x86-64.so.2",
];

/// What is run first, one after the other, in an empty folder: from images to a verdict.
const VERDICT: [&str; 4] = [
    "data miniature mini",
    "fit mini/vad --out trial.segad",
    "inspect trial.segad mini/vad/test/bad --json --out records.jsonl",
    "inspect trial.segad mini/vad/test/good",
];

const SERVE: &str = "serve trial.segad --listen 127.0.0.1:0";

const REPRODUCE: &str = "reproduce table5 --profile smoke --data mini";

/// Installs both into new roots and runs them there.
pub(super) fn run(
    context: &Context,
    native: &Native,
    archive: &Path,
    wheel: &Path,
) -> Result<(), XtaskError> {
    let say = context.provisioner.say;
    let folder = context.provisioner.cache.root().join("dist-check");
    segad_files::remove(&folder)?;
    let name = segad_files::name_of(archive);
    let program = format!("/{}/bin/segad", name.trim_end_matches(".tar.zst"));
    let root = Root::new(folder.join("archive"), program)?;
    root.unpack(archive)?;
    root.check(say)?;

    let root = Root::new(folder.join("wheel"), "/site/segad/bin/segad".to_owned())?;
    let everything = |entry: &str| Some(PathBuf::from(entry));
    let site = root.folder.join("site");
    segad_provision::archive::unpack(wheel, &site, 1 << 30, everything)?;
    segad_files::make_executable(&site.join("segad/bin/segad"))?;
    // In place of the wheel `torch`, which has the same libraries.
    for library in segad_files::list_dir(&native.libtorch.folder.join("lib"))? {
        let to = site.join("torch/lib").join(segad_files::name_of(&library));
        copy(&library, &to)?;
    }
    // Python's wheels may expect these of the system, as PEP 600 says.
    for library in RUNTIME {
        copy(
            &tarball::of_compiler(library)?,
            &root.folder.join("lib64").join(library),
        )?;
    }
    root.check(say)?;
    Ok(segad_files::remove(&folder)?)
}

/// A root folder with only glibc, and the program in it.
struct Root {
    folder: PathBuf,
    program: String,
}

impl Root {
    fn new(folder: PathBuf, program: String) -> Result<Self, XtaskError> {
        for library in GLIBC {
            let from = loader_finds(library)?;
            for below in ["lib64", "lib"] {
                let to = folder.join(below).join(library);
                copy(&from, &to)?;
                // The loader is itself executed.
                segad_files::make_executable(&to)?;
            }
        }
        for below in ["tmp", "work", "proc"] {
            segad_files::create_dir(&folder.join(below))?;
        }
        Ok(Self { folder, program })
    }

    fn unpack(&self, archive: &Path) -> Result<(), XtaskError> {
        let failed = |e| XtaskError::from(segad_files::FileError::new("unpack", archive, e));
        let decoder = zstd::Decoder::new(segad_files::open(archive)?).map_err(failed)?;
        tar::Archive::new(decoder)
            .unpack(&self.folder)
            .map_err(failed)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "how long a first verdict takes is a promise"
    )]
    fn check(&self, say: &dyn Fn(&str)) -> Result<(), XtaskError> {
        let start = Instant::now();
        for words in VERDICT {
            self.succeed(words)?;
        }
        let seconds = start.elapsed().as_secs_f64();
        let place = self.folder.display();
        say(&format!("{place}: {seconds:.1} s from nothing to verdicts"));
        self.answer()?;
        self.succeed(REPRODUCE)
    }

    /// The program in this root, in the folder `/work`.
    fn command(&self, words: &str) -> Command {
        let mut command = Command::new("unshare");
        command
            // A user namespace gives an ordinary user the right to change the root.
            .args(["--user", "--map-root-user", "--mount", "--pid", "--fork"])
            .arg("--kill-child")
            // Run paths relative to a program need to know where it is.
            .args(["--mount-proc=/proc", "--root"])
            .arg(&self.folder)
            .args(["--wd", "/work", &self.program])
            .args(words.split(' '))
            .env_clear()
            .env("HOME", "/tmp");
        command
    }

    fn succeed(&self, words: &str) -> Result<(), XtaskError> {
        let status = cargo::status(&mut self.command(words))?;
        if status.success() {
            return Ok(());
        }
        Err(self.failed(words, &format!("ended with {status}")))
    }

    /// Asks the page for its model.
    fn answer(&self) -> Result<(), XtaskError> {
        let mut command = self.command(SERVE);
        let child = command.stdout(Stdio::piped()).spawn();
        let mut server = child.map_err(|source| XtaskError::Start {
            command: self.program.clone(),
            source,
        })?;
        let answer = ask(&mut server);
        // Both fail only if it has ended already.
        let _ = server.kill();
        let _ = server.wait();
        match answer {
            Ok(text) if text.starts_with("HTTP/1.1 200") => Ok(()),
            Ok(text) => Err(self.failed(SERVE, &format!("answered {:?}", text.lines().next()))),
            Err(e) => Err(self.failed(SERVE, &e.to_string())),
        }
    }

    fn failed(&self, words: &str, what: &str) -> XtaskError {
        let place = self.folder.display();
        XtaskError::Build(format!(
            "segad {words}, in a root with only glibc ({place}), {what}"
        ))
    }
}

/// The answer to a request for the page at the address that a server prints.
fn ask(server: &mut Child) -> std::io::Result<String> {
    let mut address = String::new();
    if let Some(out) = server.stdout.take() {
        BufReader::new(out).read_line(&mut address)?;
    }
    let host = address
        .trim()
        .trim_start_matches("http://")
        .trim_end_matches('/');
    let mut stream = TcpStream::connect(host)?;
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn copy(from: &Path, to: &Path) -> Result<(), XtaskError> {
    segad_files::create_dir(segad_files::parent(to))?;
    segad_files::copy(from, to)?;
    Ok(())
}

/// The file that this machine's loader takes for a library of glibc.
fn loader_finds(library: &str) -> Result<PathBuf, XtaskError> {
    let path = tarball::of_compiler(library)?;
    if path.is_absolute() {
        return Ok(path);
    }
    Err(XtaskError::Build(format!(
        "the compiler does not find {library}"
    )))
}
