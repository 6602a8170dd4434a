use crate::error::{FileError, Result};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Names that systems and storage devices create by themselves, besides those that begin with a
/// dot.
const SYSTEM: [&str; 8] = [
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "$recycle.bin",
    "system volume information",
    "__macosx",
    "@eadir",
    "lost+found",
];

/// Everything below a folder, with nothing dropped: each entry is in one of the lists or below a
/// folder that is.
#[derive(Debug, Default)]
pub struct Tree {
    /// Whatever is not a folder: files, links, pipes, devices. Sorted by path within each folder.
    pub files: Vec<PathBuf>,
    /// Hidden and system entries ([`is_hidden`]). A folder counts once and is not looked into.
    pub hidden: Vec<PathBuf>,
    /// Links to folders that are listed already, e.g. to a folder above.
    pub links: Vec<PathBuf>,
    /// Folders that could not be listed.
    pub faults: Vec<FileError>,
}

/// True for names that people do not choose: those that begin with a dot (`.DS_Store`, `._a.png`,
/// `.ipynb_checkpoints`), `Thumbs.db`, `desktop.ini` and the like.
pub fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".") || SYSTEM.iter().any(|s| name.eq_ignore_ascii_case(s))
}

/// A folder as the disk knows it, whatever its name.
type Identity = (u64, u64);

/// An entry that waits for its turn.
struct Entry {
    path: PathBuf,
    kind: fs::FileType,
    /// Below a link to a folder.
    linked: bool,
}

/// Searches a folder and all folders below it, to any depth. Links are followed, but no folder is
/// looked into again through a link, so that circles end.
///
/// # Errors
/// [`FileError`] if the folder itself cannot be listed; for those below see [`Tree::faults`].
pub fn walk(root: &Path) -> Result<Tree> {
    let mut tree = Tree::default();
    let mut known: HashSet<Identity> = HashSet::new();
    known.extend(identity(root));
    // A stack instead of recursion: paths may have thousands of parts.
    let mut waiting = entries(root, false)?;
    while let Some(entry) = waiting.pop() {
        let name = entry.path.file_name().unwrap_or_default();
        if is_hidden(name) {
            tree.hidden.push(entry.path);
            continue;
        }
        let is_link = entry.kind.is_symlink();
        if !(entry.kind.is_dir() || is_link && entry.path.is_dir()) {
            tree.files.push(entry.path);
            continue;
        }
        let linked = entry.linked || is_link;
        let is_new = identity(&entry.path).is_none_or(|id| known.insert(id));
        if linked && !is_new {
            tree.links.push(entry.path);
            continue;
        }
        match entries(&entry.path, linked) {
            Ok(inside) => waiting.extend(inside),
            Err(e) => tree.faults.push(e),
        }
    }
    Ok(tree)
}

/// The entries of a folder, the first by name last.
fn entries(folder: &Path, linked: bool) -> Result<Vec<Entry>> {
    let failed = |e| FileError::new("list the folder", folder, e);
    let mut inside = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        inside.push(Entry {
            path: entry.path(),
            kind: entry.file_type().map_err(failed)?,
            linked,
        });
    }
    inside.sort_by(|a, b| b.path.cmp(&a.path));
    Ok(inside)
}

fn identity(folder: &Path) -> Option<Identity> {
    let meta = fs::metadata(folder).ok()?;
    Some((meta.dev(), meta.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    fn below(root: &Path, paths: &[PathBuf]) -> Vec<Vec<u8>> {
        let names = paths.iter().map(|p| p.strip_prefix(root).unwrap());
        names.map(|p| p.as_os_str().as_bytes().to_vec()).collect()
    }

    #[test]
    fn nothing_below_a_folder_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let deep: PathBuf = std::iter::repeat_n("d", 20).collect();
        let odd = Path::new(OsStr::from_bytes(b"caf\xe9.png"));
        for file in [
            Path::new("b.BMP"),
            Path::new("a/no extension"),
            odd,
            &deep.join("x.png"),
            Path::new(".DS_Store"),
            Path::new("a/._b.png"),
            Path::new("a/THUMBS.DB"),
            Path::new(".ipynb_checkpoints/c.png"),
            Path::new("desktop.ini"),
        ] {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs::write(root.join(file), b"x").unwrap();
        }
        symlink("/nowhere", root.join("dangling.png")).unwrap();
        let tree = walk(root).unwrap();
        let expected: [&[u8]; 5] = [
            b"a/no extension",
            b"b.BMP",
            b"caf\xe9.png",
            b"d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/x.png",
            b"dangling.png",
        ];
        assert_eq!(below(root, &tree.files), expected);
        let hidden: [&[u8]; 5] = [
            b".DS_Store",
            b".ipynb_checkpoints",
            b"a/._b.png",
            b"a/THUMBS.DB",
            b"desktop.ini",
        ];
        assert_eq!(below(root, &tree.hidden), hidden);
        assert!(tree.links.is_empty() && tree.faults.is_empty());
        assert!(walk(&root.join("gone")).unwrap_err().is_not_found());
    }

    #[test]
    fn circles_of_links_end() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        for (file, content) in [("m/1.png", "1"), ("n/2.png", "2"), ("../aside/3.png", "3")] {
            let file = root.join(file);
            fs::create_dir_all(&root).unwrap();
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, content).unwrap();
        }
        symlink("..", root.join("m/up")).unwrap();
        symlink("../n", root.join("m/n")).unwrap();
        symlink("../m", root.join("n/m")).unwrap();
        symlink("../aside", root.join("aside")).unwrap();
        symlink("../root", root.join("../aside/back")).unwrap();
        let tree = walk(&root).unwrap();
        // What is behind links is there once by its own name, and once more where a link came
        // first.
        let files = ["aside/3.png", "m/1.png", "m/n/2.png", "n/2.png"];
        let links = ["aside/back", "m/n/m", "m/up", "n/m"];
        assert_eq!(below(&root, &tree.files), files.map(|f| f.as_bytes()));
        assert_eq!(below(&root, &tree.links), links.map(|f| f.as_bytes()));
    }

    #[test]
    fn a_folder_that_cannot_be_listed_is_a_fault() {
        let dir = tempfile::tempdir().unwrap();
        // Deeper than a path can be long, which not even the superuser can list.
        let script =
            "for i in $(seq 30); do n=$(printf 'd%.0s' $(seq 200)); mkdir $n && cd $n; done";
        let made = std::process::Command::new("bash")
            .args(["-c", script])
            .current_dir(dir.path())
            .status();
        assert!(made.unwrap().success());
        let tree = walk(dir.path()).unwrap();
        assert_eq!((tree.files.len(), tree.faults.len()), (0, 1));
    }
}
