//! Downloads from a server that breaks off, stalls, lies and redirects.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests lay out files"
)]

#[path = "common/server.rs"]
mod server;

use segad_provision::digest::{self, Pin};
use segad_provision::{Cache, Patience, ProvisionError, Provisioner, exit};
use server::{Behave, Server};
use std::fs;
use std::path::Path;
use std::time::Duration;

fn content() -> Vec<u8> {
    (0..200_000u32)
        .flat_map(|i| (i.wrapping_mul(2_654_435_761) >> 7).to_le_bytes())
        .collect()
}

fn provisioner(dir: &Path) -> Provisioner<'static> {
    Provisioner {
        cache: Cache::at(dir.to_path_buf()),
        offline: false,
        install_packages: false,
        path: None,
        show_progress: false,
        patience: Patience {
            attempts: 3,
            pause: Duration::ZERO,
            stall: Duration::from_secs(1),
        },
        say: &|_| (),
    }
}

/// Downloads `x.bin` with the right digest.
fn get(dir: &Path, server: &Server) -> Result<Vec<u8>, ProvisionError> {
    let p = provisioner(dir);
    let sha256 = digest::sha256(&content());
    let file = p.url(
        &server.url("a/x.bin?download=1"),
        Pin::Sha256(&sha256),
        &p.stage()?,
    )?;
    assert_eq!(file, p.cache.download("x.bin"));
    Ok(fs::read(file).unwrap())
}

fn part(dir: &Path) -> std::path::PathBuf {
    dir.join("downloads/x.bin.part")
}

#[test]
fn broken_connections_go_on_where_they_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let broken = vec![
        Behave::BreakAfter(300_000),
        Behave::BreakAfter(1),
        Behave::Stall(100_000),
        Behave::Well,
    ];
    let server = Server::start(content(), broken);
    assert!(get(dir.path(), &server).unwrap() == content());
    let asked = "GET /a/x.bin?download=1";
    let expected =
        ["", " from 300000", " from 300001", " from 400001"].map(|from| format!("{asked}{from}"));
    assert_eq!(server.requests(), expected);
    assert!(!part(dir.path()).exists());
    // What is there is taken as it is.
    assert!(get(dir.path(), &server).unwrap() == content());
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn the_next_run_goes_on_too() {
    let dir = tempfile::tempdir().unwrap();
    let down = Server::start(
        content(),
        vec![Behave::BreakAfter(500_000), Behave::Status(503)],
    );
    let error = get(dir.path(), &down).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("503") && text.contains("3 attempts") && text.contains("resumes from here"),
        "{text}"
    );
    assert_eq!((error.exit_code(), down.requests().len()), (exit::INPUT, 4));
    assert_eq!(fs::metadata(part(dir.path())).unwrap().len(), 500_000);
    let up = Server::start(content(), vec![Behave::Well]);
    assert!(get(dir.path(), &up).unwrap() == content());
    assert_eq!(up.requests(), ["GET /a/x.bin?download=1 from 500000"]);
}

#[test]
fn a_server_without_ranges_is_asked_for_all() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(content(), vec![Behave::BreakAfter(1000), Behave::NoRanges]);
    assert!(get(dir.path(), &server).unwrap() == content());
    assert_eq!(server.requests().last().unwrap(), "GET /a/x.bin?download=1");
}

#[test]
fn parts_of_another_version_are_thrown_away() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("downloads")).unwrap();
    for old in [
        vec![7; 1000],
        vec![7; content().len()],
        vec![7; content().len() + 5],
    ] {
        fs::write(part(dir.path()), &old).unwrap();
        let server = Server::start(content(), vec![Behave::Well]);
        assert!(get(dir.path(), &server).unwrap() == content());
        assert_eq!(server.requests().len(), 2);
        fs::remove_file(dir.path().join("downloads/x.bin")).unwrap();
    }
    // A complete part, left by a run that was killed before it could check it.
    fs::write(part(dir.path()), content()).unwrap();
    let server = Server::start(content(), vec![Behave::Well]);
    assert!(get(dir.path(), &server).unwrap() == content());
}

#[test]
fn another_file_is_refused_and_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut other = content();
    other[9] ^= 1;
    let server = Server::start(other, vec![Behave::Well]);
    let error = get(dir.path(), &server).unwrap_err();
    assert!(matches!(error, ProvisionError::Digest { .. }), "{error}");
    assert_eq!(
        fs::read_dir(dir.path().join("downloads")).unwrap().count(),
        0
    );
}

#[test]
fn what_is_not_there_is_not_asked_for_again() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(content(), vec![Behave::Status(404)]);
    let text = get(dir.path(), &server).unwrap_err().to_string();
    assert!(
        text.contains(&server.url("a/x.bin")) && text.contains("404"),
        "{text}"
    );
    assert_eq!(server.requests().len(), 1);
    let gone = Server::start(vec![], vec![Behave::Well]).url("");
    let gone = gone.rsplit_once(':').unwrap().0;
    let p = provisioner(dir.path());
    // Port 1 of this machine serves nobody.
    let error = p
        .url(
            &format!("{gone}:1/x.bin"),
            Pin::Unknown,
            &p.stage().unwrap(),
        )
        .unwrap_err()
        .to_string();
    assert!(error.contains("given up after 3 attempts"), "{error}");
}

#[test]
fn redirections_are_followed_but_not_into_this_machine() {
    let dir = tempfile::tempdir().unwrap();
    let goal = Server::start(content(), vec![Behave::Well]);
    let server = Server::start(vec![], vec![Behave::Redirect(goal.url("elsewhere"))]);
    assert!(get(dir.path(), &server).unwrap() == content());
    assert_eq!(goal.requests(), ["GET /elsewhere"]);
    fs::remove_file(dir.path().join("downloads/x.bin")).unwrap();

    let secret = dir.path().join("secret");
    fs::write(&secret, content()).unwrap();
    let server = Server::start(
        vec![],
        vec![Behave::Redirect(format!("file://{}", secret.display()))],
    );
    let error = get(dir.path(), &server).unwrap_err();
    assert!(matches!(error, ProvisionError::Download { .. }), "{error}");
    let endless = Server::start(vec![], vec![Behave::Redirect("/again".to_owned())]);
    let error = get(dir.path(), &endless).unwrap_err().to_string();
    assert!(error.contains("redirect"), "{error}");
}
