//! Downloads that fail, through a `python3` of the test's own.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests lay out files"
)]
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use segad_provision::native::{self, Build, Shell};
use segad_provision::{Cache, ProvisionError, Provisioner, elpv, exit, libtorch, xgboost};

/// A folder of programs: `python3` answers `-m pip --version` and runs `download` (with `$dest`
/// set) else.
fn programs(folder: &Path, download: &str) {
    let script = format!(
        "#!/bin/sh\n[ \"$3\" = --version ] && exit 0\n\
         while [ $# -gt 0 ]; do [ \"$1\" = --dest ] && dest=$2; shift; done\n{download}\n"
    );
    for (name, text) in [("python3", script.as_str()), ("c++", "#!/bin/sh\n")] {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

fn provisioner<'a>(dir: &Path, offline: bool, say: &'a dyn Fn(&str)) -> Provisioner<'a> {
    Provisioner {
        cache: Cache::at(dir.join("cache")),
        offline,
        install_packages: false,
        path: Some(dir.join("bin").into_os_string()),
        show_progress: false,
        patience: segad_provision::Patience::default(),
        say,
    }
}

fn prepared(download: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("bin")).unwrap();
    programs(&dir.path().join("bin"), download);
    dir
}

#[test]
fn offline_names_what_is_missing() {
    let dir = prepared("exit 9");
    let p = provisioner(dir.path(), true, &|_| ());
    for (error, what) in [
        (libtorch::provide(&p).unwrap_err(), "libtorch 2.13.0"),
        (xgboost::provide(&p).unwrap_err(), "XGBoost 2.1.4"),
        (elpv::provide(&p).unwrap_err(), "ELPV"),
    ] {
        let text = error.to_string();
        assert!(
            text.contains(what) && text.contains("cache") && text.contains("--offline"),
            "{text}"
        );
        assert_eq!(error.exit_code(), exit::INPUT);
    }
    assert!(!p.cache.root().exists(), "offline must not write");
}

#[test]
fn a_download_that_breaks_off_leaves_nothing() {
    let dir = prepared("echo half > $dest/x.whl; echo 'connection reset' >&2; exit 1");
    let p = provisioner(dir.path(), false, &|_| ());
    let error = xgboost::provide(&p).unwrap_err();
    assert!(error.to_string().contains("connection reset"), "{error}");
    assert!(!p.cache.xgboost().exists());
    assert!(!p.cache.root().join("partial").exists());
}

/// The process is killed in the middle of a download: the next run starts clean.
#[test]
fn a_killed_run_is_cleaned_up_by_the_next() {
    let dir = prepared("exit 1");
    let p = provisioner(dir.path(), false, &|_| ());
    let left = p.cache.root().join("partial/wheel-xgboost-cpu/x.whl");
    fs::create_dir_all(left.parent().unwrap()).unwrap();
    fs::write(&left, b"half").unwrap();
    xgboost::provide(&p).unwrap_err();
    assert!(!left.exists());
    assert!(!p.cache.xgboost().exists());
}

#[test]
fn a_wheel_with_another_digest_is_refused() {
    let dir = prepared("echo other > $dest/xgboost_cpu.whl");
    let p = provisioner(dir.path(), false, &|_| ());
    let error = xgboost::provide(&p).unwrap_err();
    assert!(matches!(error, ProvisionError::Digest { .. }), "{error}");
    assert!(error.to_string().contains("ac3281127b2f"), "{error}");
    assert!(!p.cache.xgboost().exists());
}

/// Where there is no pip, a wheel comes from its address.
#[test]
fn without_pip_curl_is_asked() {
    let dir = prepared("exit 1");
    let bin = dir.path().join("bin");
    fs::remove_file(bin.join("python3")).unwrap();
    let script = "#!/bin/sh\n[ \"$1\" = --version ] && exit 0\n\
                  while [ $# -gt 0 ]; do [ \"$1\" = --output ] && echo other > \"$2\"; shift; done\n";
    fs::write(bin.join("curl"), script).unwrap();
    fs::set_permissions(bin.join("curl"), fs::Permissions::from_mode(0o755)).unwrap();
    let said = std::cell::RefCell::new(String::new());
    let say = |line: &str| said.borrow_mut().push_str(line);
    let error = xgboost::provide(&provisioner(dir.path(), false, &say)).unwrap_err();
    assert!(error.to_string().contains("ac3281127b2f"), "{error}");
    let said = said.borrow();
    assert!(
        said.contains("https://files.pythonhosted.org/packages/a0/57/"),
        "{said}"
    );
}

#[test]
fn pip_must_bring_one_wheel() {
    let dir = prepared("echo a > $dest/a.whl; echo b > $dest/b.whl");
    let p = provisioner(dir.path(), false, &|_| ());
    let error = xgboost::provide(&p).unwrap_err().to_string();
    assert!(error.contains("not exactly one wheel"), "{error}");
}

#[test]
fn damaged_data_is_named() {
    let dir = prepared("exit 1");
    let p = provisioner(dir.path(), true, &|_| ());
    let folder = p.cache.data("elpv");
    fs::create_dir_all(folder.join("images")).unwrap();
    fs::write(folder.join("images/cell0001.png"), b"damaged").unwrap();
    let sum = "0".repeat(64);
    fs::write(
        folder.join("SHA256SUMS"),
        format!("{sum}  images/cell0001.png\n"),
    )
    .unwrap();
    let error = elpv::provide(&p).unwrap_err().to_string();
    assert!(error.contains("images/cell0001.png is damaged"), "{error}");
}

#[test]
fn a_cache_that_cannot_be_written_to_is_named() {
    // The kernel's /sys takes no folders, not even from root.
    let dir = prepared("exit 1");
    let mut p = provisioner(dir.path(), false, &|_| ());
    p.cache = Cache::at("/sys/segad".into());
    let error = xgboost::provide(&p).unwrap_err();
    assert!(matches!(error, ProvisionError::File(_)), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("/sys/segad") && text.contains("SEGAD_CACHE_DIR"),
        "{text}"
    );
    assert_eq!(error.exit_code(), exit::SYSTEM);
}

#[test]
fn the_shells_folders_win_and_are_checked() {
    let dir = prepared("exit 1");
    let p = provisioner(dir.path(), true, &|_| ());
    let torch = dir.path().join("torch");
    for file in [
        "include/torch/csrc/api/include/torch/torch.h",
        "lib/libc10.so",
        "lib/libtorch_cpu.so",
        "lib/libtorch.so",
        "lib/libxgboost.so",
    ] {
        fs::create_dir_all(torch.join(file).parent().unwrap()).unwrap();
        fs::write(torch.join(file), b"x").unwrap();
    }
    let mut shell = Shell {
        libtorch: Some(torch.clone().into()),
        xgboost: Some(torch.join("lib").into()),
    };
    let native = native::provide(&p, &shell, Build::Cpu).unwrap();
    assert!(native.libtorch.users && native.libtorch.folder == torch);
    shell.libtorch = Some(dir.path().join("nowhere").into());
    let error = native::provide(&p, &shell, Build::Cpu)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("LIBTORCH=") && error.contains("nowhere"),
        "{error}"
    );
}
