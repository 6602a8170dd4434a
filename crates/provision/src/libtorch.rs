//! libtorch: the shell's, PyTorch's own archive, or the CPU libraries out of PyPI's wheel.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::archive::unpack;
use crate::cache::Stage;
use crate::digest::Pin;
use crate::download::Provisioner;
use crate::error::ProvisionError;
use crate::programs::{self, COMPILER, READELF};
use crate::versions::{Download, LIBTORCH, LIBTORCH_ARCHIVE, TORCH_WHEEL};

/// More than the unpacked archive or wheel holds (about 0.6 GB).
const MAX_BYTES: u64 = 3_000_000_000;

/// What is wrong with a libtorch folder, or `None`: it must hold headers, the libraries and the
/// pinned version. A folder without `build-version` (as in Python's `torch` package) is accepted:
/// the version is then not known.
#[must_use]
pub fn problem(folder: &Path) -> Option<String> {
    for file in [
        "include/torch/csrc/api/include/torch/torch.h",
        "lib/libc10.so",
        "lib/libtorch_cpu.so",
        "lib/libtorch.so",
    ] {
        if !segad_files::size_and_time(&folder.join(file)).is_ok_and(|(size, _)| size > 0) {
            return Some(format!("{file} is missing"));
        }
    }
    match version(folder) {
        Some(version) if version.split('+').next() != Some(LIBTORCH) => {
            Some(format!("build-version says {version}, expected {LIBTORCH}"))
        }
        _ => None,
    }
}

/// What the folder's `build-version` says.
#[must_use]
pub fn version(folder: &Path) -> Option<String> {
    let text = segad_files::read_to_string_if_present(&folder.join("build-version")).ok()??;
    Some(text.trim().to_owned())
}

/// Installs libtorch into the cache, unless it is there; returns its folder.
///
/// # Errors
/// Offline and missing, no pinned download for this machine, a download or a tool failed, or the
/// cache cannot be written to.
pub fn provide(p: &Provisioner<'_>) -> Result<PathBuf, ProvisionError> {
    let folder = p.cache.libtorch();
    if is_complete(&folder) {
        return Ok(folder);
    }
    let what = format!("libtorch {LIBTORCH}");
    p.need_network(&what, &folder)?;
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(ProvisionError::Platform {
            what,
            platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            variable: "LIBTORCH",
        });
    }
    let stage = p.stage()?;
    // Another process may have brought it while this one waited.
    if is_complete(&folder) {
        return Ok(folder);
    }
    let made = match from_archive(p, &stage, &LIBTORCH_ARCHIVE)? {
        Some(made) => made,
        None => from_wheel(p, &stage)?,
    };
    if let Some(problem) = problem(&made) {
        return Err(ProvisionError::Archive {
            path: made,
            problem,
        });
    }
    stage.publish(&made, &folder)?;
    Ok(folder)
}

fn is_complete(folder: &Path) -> bool {
    version(folder).is_some() && problem(folder).is_none()
}

/// PyTorch's own archive; `None`, and a word why, where it cannot be had.
fn from_archive(
    p: &Provisioner<'_>,
    stage: &Stage,
    archive: &Download,
) -> Result<Option<PathBuf>, ProvisionError> {
    let mut probe = p.command("curl");
    probe
        .args(["--fail", "--silent", "--show-error", "--head", "--location"])
        .args(["--connect-timeout", "5", "--max-time", "15", archive.url]);
    if let Err(error) = programs::run(&mut probe) {
        let why = match error {
            ProvisionError::Command { output, .. } => output,
            other => other.to_string(),
        };
        (p.say)(&format!(
            "{} cannot be reached ({why}); taking PyPI's wheel",
            archive.url
        ));
        return Ok(None);
    }
    let file = match p.url(archive.url, Pin::Sha256(archive.sha256), stage) {
        Ok(file) => file,
        // Another file behind the address is no reason to fail: the wheel has a digest of its own.
        Err(error @ (ProvisionError::Digest { .. } | ProvisionError::Download { .. })) => {
            (p.say)(&format!(
                "{}: {error}; taking PyPI's wheel instead",
                archive.url
            ));
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    (p.say)("unpacking libtorch");
    let out = stage.path().join("archive");
    unpack(&file, &out, MAX_BYTES, |name| {
        let inner = name.strip_prefix("libtorch/")?;
        let wanted = inner.starts_with("include/")
            || inner == "build-version"
            || inner
                .strip_prefix("lib/")
                .is_some_and(|lib| !lib.contains('/') && lib.contains(".so"));
        wanted.then(|| PathBuf::from(inner))
    })?;
    p.discard(&file)?;
    Ok(Some(out))
}

/// PyPI's wheel is built for CUDA; its CPU libraries work by themselves once what they want of CUDA
/// is stood in for.
fn from_wheel(p: &Provisioner<'_>, stage: &Stage) -> Result<PathBuf, ProvisionError> {
    p.ensure(&[COMPILER, READELF])?;
    let wheel = p.wheel(&TORCH_WHEEL, stage)?;
    (p.say)("unpacking libtorch");
    let out = stage.path().join("wheel");
    unpack(&wheel, &out, MAX_BYTES, |name| {
        wanted_of_wheel(name).map(PathBuf::from)
    })?;
    p.discard(&wheel)?;
    without_cuda(p, stage, &out.join("lib"))?;
    let marker = out.join("build-version");
    segad_files::write_with_parents(&marker, format!("{LIBTORCH}\n").as_bytes())?;
    Ok(out)
}

/// The place of a file of the wheel that is kept.
fn wanted_of_wheel(name: &str) -> Option<&str> {
    let inner = name.strip_prefix("torch/")?;
    let wanted = match inner.strip_prefix("lib/") {
        Some(lib) => {
            ["libtorch.so", "libtorch_cpu.so", "libc10.so"].contains(&lib)
                || (lib.starts_with("libgomp") && lib.contains(".so"))
        }
        None => inner.starts_with("include/"),
    };
    wanted.then_some(inner)
}

/// Makes the libraries of a CUDA build usable without CUDA.
///
/// `libtorch_cpu.so` names `libcudart` and `libcupti`, of which it calls a few functions when it
/// profiles a GPU. The loader wants both to exist, with those symbols: two small libraries answer
/// "no device". `libtorch.so` names the CUDA libraries; only the linker reads it, so an empty
/// one over `libtorch_cpu.so` takes its place.
fn without_cuda(p: &Provisioner<'_>, stage: &Stage, lib: &Path) -> Result<(), ProvisionError> {
    let cpu = lib.join("libtorch_cpu.so");
    let symbols = readelf(p, &["--wide", "--dyn-syms"], &cpu)?;
    // A library of that name and those symbols is all that the loader asks for.
    for needed in needed(&readelf(p, &["--dynamic"], &cpu)?) {
        // cudaErrorNoDevice and CUPTI_ERROR_NOT_INITIALIZED.
        let code = match needed.split(".so").next() {
            Some("libcudart") => 100,
            Some("libcupti") => 15,
            _ => continue,
        };
        let source = stage.path().join("stub.c");
        segad_files::write_with_parents(
            &source,
            stub(&imported(&symbols, &needed), code).as_bytes(),
        )?;
        let script = stage.path().join("stub.map");
        segad_files::write_with_parents(
            &script,
            format!("{needed} {{ global: *; }};\n").as_bytes(),
        )?;
        let mut link = String::from("-Wl,--version-script=");
        link.push_str(&script.to_string_lossy());
        let mut cc = p.command("c++");
        cc.args(["-x", "c", "-shared", "-fPIC", "-O1", "-w", &link])
            .arg(format!("-Wl,-soname,{needed}"))
            .arg("-o")
            .arg(lib.join(&needed))
            .arg(&source)
            .arg("-nostdlib");
        programs::run(&mut cc)?;
    }
    let torch = lib.join("libtorch.so");
    if readelf(p, &["--dynamic"], &torch)?.contains("libtorch_cuda") {
        let source = stage.path().join("empty.c");
        segad_files::write_with_parents(&source, b"\n")?;
        let empty = stage.path().join("libtorch.so");
        let mut cc = p.command("c++");
        cc.args(["-x", "c", "-shared", "-fPIC"])
            .arg(&source)
            .args(["-x", "none", "-nostdlib", "-Wl,-soname,libtorch.so"])
            .args(["-Wl,--no-as-needed", "-Wl,--allow-shlib-undefined"])
            .args(["-Wl,-rpath,$ORIGIN", "-ltorch_cpu", "-L"])
            .arg(lib)
            .arg("-o")
            .arg(&empty);
        programs::run(&mut cc)?;
        stage.publish(&empty, &torch)?;
    }
    Ok(())
}

fn readelf(p: &Provisioner<'_>, arguments: &[&str], file: &Path) -> Result<String, ProvisionError> {
    programs::run(
        p.command("readelf")
            .args(arguments)
            .arg(file)
            .env("LC_ALL", "C"),
    )
}

/// The libraries that `readelf --dynamic` lists as needed.
fn needed(dynamic: &str) -> Vec<String> {
    dynamic
        .lines()
        .filter(|line| line.contains("(NEEDED)"))
        .filter_map(|line| Some(line.split_once('[')?.1.split_once(']')?.0.to_owned()))
        .collect()
}

/// The symbols of the version `library` that `readelf --dyn-syms` lists.
fn imported(symbols: &str, library: &str) -> BTreeSet<String> {
    symbols
        .split_whitespace()
        .filter_map(|word| word.split_once('@'))
        .filter(|(_, version)| *version == library)
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// C source of a library whose functions all answer `code`.
fn stub(symbols: &BTreeSet<String>, code: i32) -> String {
    symbols
        .iter()
        .map(|name| match name.as_str() {
            "cudaGetErrorString" => {
                format!("const char *{name}(int e) {{ return \"libtorch without CUDA\"; }}\n")
            }
            _ => format!("int {name}(void) {{ return {code}; }}\n"),
        })
        .collect()
}

/// Refuses a folder that the shell's `LIBTORCH` names and that cannot be used.
///
/// # Errors
/// A part is missing or the version is another one.
pub fn check_users(folder: &Path) -> Result<(), ProvisionError> {
    match problem(folder) {
        None => Ok(()),
        Some(problem) => Err(ProvisionError::UserFolder {
            variable: "LIBTORCH",
            path: folder.to_path_buf(),
            problem: format!(
                "{problem}; point it to libtorch {LIBTORCH}, or unset it to have set-up provide one"
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_cpu_part_of_the_wheel() {
        for name in [
            "torch/include/ATen/ATen.h",
            "torch/lib/libtorch_cpu.so",
            "torch/lib/libc10.so",
            "torch/lib/libgomp.so.1",
        ] {
            assert_eq!(wanted_of_wheel(name), name.strip_prefix("torch/"));
        }
        for name in [
            "torch/lib/libtorch_cuda.so",
            "torch/lib/libc10_cuda.so",
            "torch/__init__.py",
            "other/include/x.h",
        ] {
            assert_eq!(wanted_of_wheel(name), None);
        }
    }

    #[test]
    fn reads_what_readelf_prints() {
        let dynamic = "\
 0x0000000000000001 (NEEDED)             Shared library: [libcudart.so.13]
 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]
 0x000000000000000e (SONAME)             Library soname: [libtorch_cpu.so]
";
        assert_eq!(needed(dynamic), ["libcudart.so.13", "libc.so.6"]);
        let symbols = "\
    12: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND cudaGetErrorString@libcudart.so.13 (9)
    13: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND cudaFree@libcudart.so.13 (9)
    14: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND cuptiFinalize@libcupti.so.13 (3)
    15: 0000000000001230     7 FUNC    GLOBAL DEFAULT   12 at_own
";
        let names = imported(symbols, "libcudart.so.13");
        assert_eq!(
            stub(&names, 100),
            "int cudaFree(void) { return 100; }\n\
             const char *cudaGetErrorString(int e) { return \"libtorch without CUDA\"; }\n"
        );
    }

    /// The route of PyTorch's own archive, with a small one behind a file address.
    #[test]
    fn the_archive_is_taken_if_its_digest_is_right_and_left_if_not() {
        use std::io::Write;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("libtorch.zip");
        let mut zip = zip::ZipWriter::new(segad_files::create(&path).unwrap());
        for name in [
            "include/torch/csrc/api/include/torch/torch.h",
            "lib/libc10.so",
            "lib/libtorch_cpu.so",
            "lib/libtorch.so",
            "lib/libgomp-98b21ff3.so.1",
            "share/cmake/Torch/TorchConfig.cmake",
            "lib/libtorch_cpu.a",
        ] {
            let options = zip::write::SimpleFileOptions::default();
            zip.start_file(format!("libtorch/{name}"), options).unwrap();
            zip.write_all(b"x").unwrap();
        }
        zip.finish().unwrap();
        let url: &'static str = format!("file://{}", path.display()).leak();
        let right: &'static str = crate::digest::sha256_file(&path).unwrap().leak();
        let said = std::cell::RefCell::new(String::new());
        let say = |line: &str| said.borrow_mut().push_str(line);
        let p = Provisioner {
            cache: crate::Cache::at(dir.path().join("cache")),
            offline: false,
            install_packages: false,
            path: None,
            show_progress: false,
            patience: crate::Patience::default(),
            say: &say,
        };
        let stage = p.stage().unwrap();
        let take = |url, sha256| from_archive(&p, &stage, &Download { url, sha256 }).unwrap();

        let out = take(url, right).unwrap();
        assert_eq!(problem(&out), None);
        assert!(out.join("lib/libgomp-98b21ff3.so.1").exists());
        assert!(!out.join("share").exists() && !out.join("lib/libtorch_cpu.a").exists());

        assert_eq!(take(url, "00000000"), None);
        assert!(said.borrow().contains(right), "{}", said.borrow());
        assert_eq!(take("file:///no/such/file.zip", right), None);
        assert!(said.borrow().contains("cannot be reached"));
    }

    #[test]
    fn an_unusable_folder_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let error = check_users(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains("LIBTORCH=") && error.contains("torch.h is missing"),
            "{error}"
        );
        for file in [
            "include/torch/csrc/api/include/torch/torch.h",
            "lib/libc10.so",
            "lib/libtorch_cpu.so",
            "lib/libtorch.so",
        ] {
            segad_files::write_with_parents(&dir.path().join(file), b"x").unwrap();
        }
        assert!(check_users(dir.path()).is_ok());
        assert!(!is_complete(dir.path()), "the version is not known");
        let marker = dir.path().join("build-version");
        segad_files::write_with_parents(&marker, b"2.11.0+cpu\n").unwrap();
        let error = check_users(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains("2.11.0+cpu") && error.contains(LIBTORCH),
            "{error}"
        );
        segad_files::write_with_parents(&marker, format!("{LIBTORCH}+cu130\n").as_bytes()).unwrap();
        assert!(is_complete(dir.path()));
    }
}
