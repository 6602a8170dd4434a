//! Cells: commits that are killed, that race, that meet damage; listing, pruning, copying.
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]
#![expect(
    clippy::disallowed_methods,
    reason = "the tests damage files on purpose"
)]

mod support;

use segad_core::{Cancel, CellKind, Key, NoProgress};
use segad_store::{Damage, Entry, ErrorKind, Location, Published, Store, StoreError};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use support::{Place, files_below};

on_both! {
    a_cell_reads_back
    the_second_commit_changes_nothing
    any_flipped_byte_is_found_and_named
    truncated_and_missing_files_are_found_without_reading
    a_damaged_cell_gives_way_to_a_commit
    a_cell_in_another_ones_place_is_damage
    a_newer_cell_is_left_alone
    a_draft_that_is_no_cell_is_refused
    threads_that_race_leave_one_whole_cell
    reading_and_writing_are_told_apart
    ls_verify_and_prune
    export_and_import_copy_whole_cells
}

fn key(n: u8) -> Key {
    Key::of_bytes(&[n])
}

fn put(store: &Store, kind: CellKind, key: &Key, data: &[u8]) -> Published {
    let draft = store.draft(kind, key).unwrap();
    draft.write("a.bin", data).unwrap();
    draft
        .write_json("b.json", &json!({"n": data.len()}))
        .unwrap();
    draft.commit(json!({"seconds": 1.5})).unwrap()
}

fn a_cell_reads_back(place: &Place) {
    let store = place.open();
    assert!(!store.contains(CellKind::Forest, &key(1)).unwrap());
    assert!(store.entry(CellKind::Forest, &key(1)).unwrap().is_none());
    assert_eq!(
        put(&store, CellKind::Forest, &key(1), b"hello"),
        Published::New
    );
    assert!(
        store.contains(CellKind::Forest, &key(1)).unwrap()
            && !store.contains(CellKind::Fit, &key(1)).unwrap()
    );
    let entry = store.entry(CellKind::Forest, &key(1)).unwrap().unwrap();
    assert_eq!(entry.read("a.bin").unwrap(), b"hello");
    assert_eq!(
        entry.read_json::<serde_json::Value>("b.json").unwrap()["n"],
        5
    );
    assert_eq!(entry.meta().provenance["seconds"], 1.5);
    assert_eq!(entry.meta().files["a.bin"].blake3, Key::of_bytes(b"hello"));
    let hex = key(1).to_string();
    assert!(
        entry
            .dir()
            .ends_with(format!("v1/forest/{}/{hex}", &hex[..2]))
    );
    let e = entry.path("c.bin").unwrap_err();
    assert!(
        e.kind() == ErrorKind::Invalid && e.to_string().contains("a.bin, b.json"),
        "{e}"
    );
    assert_eq!(place.drafts(), [] as [PathBuf; 0]);
}

fn the_second_commit_changes_nothing(place: &Place) {
    let store = place.open();
    put(&store, CellKind::Fit, &key(1), b"x");
    let before: Vec<_> = place
        .files(CellKind::Fit, &key(1))
        .iter()
        .map(|p| fs::read(p).unwrap())
        .collect();
    assert_eq!(
        put(&store, CellKind::Fit, &key(1), b"x"),
        Published::Existing { identical: true }
    );
    assert_eq!(
        put(&store, CellKind::Fit, &key(1), b"y"),
        Published::Existing { identical: false }
    );
    let after: Vec<_> = place
        .files(CellKind::Fit, &key(1))
        .iter()
        .map(|p| fs::read(p).unwrap())
        .collect();
    assert_eq!(before, after);
    assert_eq!(place.drafts(), [] as [PathBuf; 0]);
}

fn any_flipped_byte_is_found_and_named(place: &Place) {
    let store = place.open();
    put(&store, CellKind::Maps, &key(1), b"some data");
    for path in place.files(CellKind::Maps, &key(1)) {
        let good = fs::read(&path).unwrap();
        // Opening an object store takes some requests.
        let step = if place.s3.is_some() { 5 } else { 1 };
        for i in (0..good.len()).step_by(step) {
            let mut bad = good.clone();
            bad[i] ^= 0x10;
            fs::write(&path, &bad).unwrap();
            // Opened again, so that nothing counts as verified.
            let read = place
                .open_read_only()
                .and_then(|s| s.entry(CellKind::Maps, &key(1)))
                .and_then(|e| {
                    let e = e.unwrap();
                    e.path("a.bin").and_then(|_| e.path("b.json"))
                });
            let e = read.unwrap_err();
            assert!(
                matches!(&e, StoreError::Damaged { path: p, .. } if *p == place.named(&path)),
                "byte {i}: {e}"
            );
        }
        fs::write(&path, &good).unwrap();
    }
    store
        .entry(CellKind::Maps, &key(1))
        .unwrap()
        .unwrap()
        .verify()
        .unwrap();
}

/// The first cell as a new process finds it.
fn look(place: &Place) -> Result<Option<Entry>, StoreError> {
    place.open_read_only()?.entry(CellKind::Maps, &key(1))
}

fn truncated_and_missing_files_are_found_without_reading(place: &Place) {
    let store = place.open();
    put(&store, CellKind::Maps, &key(1), b"some data");
    let path = place.file(CellKind::Maps, &key(1), "a.bin");
    for n in 0..9 {
        fs::write(&path, &b"some data"[..n]).unwrap();
        let e = look(place).unwrap_err();
        assert!(
            matches!(&e, StoreError::Damaged { damage: Damage::Size { expected: 9, actual }, path: p }
                if *actual == n as u64 && *p == place.named(&path)),
            "{e}"
        );
    }
    fs::remove_file(&path).unwrap();
    let e = look(place).unwrap_err();
    assert!(
        matches!(
            &e,
            StoreError::Damaged {
                damage: Damage::Missing,
                ..
            }
        ),
        "{e}"
    );
    let to = store.quarantine(CellKind::Maps, &key(1)).unwrap().unwrap();
    assert!(to.starts_with(place.address().join("v1/quarantine")));
    assert!(store.entry(CellKind::Maps, &key(1)).unwrap().is_none());
    assert!(store.quarantine(CellKind::Maps, &key(1)).unwrap().is_none());
    assert_eq!(
        put(&store, CellKind::Maps, &key(1), b"some data"),
        Published::New
    );
    assert_eq!(place.quarantined(), 1);
}

#[test]
fn verified_once_means_once_per_file() {
    let place = Place::folder();
    let store = place.open();
    put(&store, CellKind::Maps, &key(1), b"some data");
    let entry = store.entry(CellKind::Maps, &key(1)).unwrap().unwrap();
    let path = entry.path("a.bin").unwrap();
    fs::write(&path, b"same size").unwrap();
    entry.path("a.bin").unwrap();
    assert_eq!(entry.read("a.bin").unwrap_err().kind(), ErrorKind::Damaged);
    assert_eq!(entry.verify().unwrap_err().kind(), ErrorKind::Damaged);
    let again = place.open_read_only().unwrap();
    let entry = again.entry(CellKind::Maps, &key(1)).unwrap().unwrap();
    assert_eq!(entry.path("a.bin").unwrap_err().kind(), ErrorKind::Damaged);
    // After quarantine and a new commit nothing is taken as verified.
    store.quarantine(CellKind::Maps, &key(1)).unwrap();
    put(&store, CellKind::Maps, &key(1), b"some data");
    fs::write(&path, b"same size").unwrap();
    let entry = store.entry(CellKind::Maps, &key(1)).unwrap().unwrap();
    assert_eq!(entry.path("a.bin").unwrap_err().kind(), ErrorKind::Damaged);
}

fn a_damaged_cell_gives_way_to_a_commit(place: &Place) {
    let store = place.open();
    put(&store, CellKind::Fit, &key(1), b"x");
    fs::write(place.file(CellKind::Fit, &key(1), "a.bin"), b"too long").unwrap();
    let store = place.open();
    assert_eq!(put(&store, CellKind::Fit, &key(1), b"x"), Published::New);
    assert_eq!(place.quarantined(), 1);
    // Data files without a commit mark.
    fs::remove_file(place.mark(CellKind::Fit, &key(1))).unwrap();
    let store = place.open();
    assert!(store.entry(CellKind::Fit, &key(1)).unwrap().is_none());
    assert_eq!(put(&store, CellKind::Fit, &key(1), b"x"), Published::New);
    let entry = store.entry(CellKind::Fit, &key(1)).unwrap().unwrap();
    entry.verify().unwrap();
}

#[test]
fn a_file_in_place_of_a_cell_gives_way_to_a_commit() {
    let place = Place::folder();
    let store = place.open();
    put(&store, CellKind::Fit, &key(1), b"x");
    let dir = store.entry(CellKind::Fit, &key(1)).unwrap().unwrap().dir();
    fs::remove_dir_all(&dir).unwrap();
    fs::write(&dir, b"").unwrap();
    assert!(store.entry(CellKind::Fit, &key(1)).unwrap().is_none());
    assert_eq!(put(&store, CellKind::Fit, &key(1), b"x"), Published::New);
    assert_eq!(place.quarantined(), 1);
}

fn a_cell_in_another_ones_place_is_damage(place: &Place) {
    let store = place.open();
    put(&store, CellKind::Fit, &key(1), b"x");
    put(&store, CellKind::Fit, &key(2), b"y");
    let [one, two] = [1, 2].map(|n| place.mark(CellKind::Fit, &key(n)));
    fs::rename(one, two).unwrap();
    let e = store.entry(CellKind::Fit, &key(2)).unwrap_err();
    assert!(
        e.kind() == ErrorKind::Damaged && e.to_string().contains(&key(1).to_string()),
        "{e}"
    );
}

fn a_newer_cell_is_left_alone(place: &Place) {
    let store = place.open();
    put(&store, CellKind::Fit, &key(1), b"x");
    let path = place.mark(CellKind::Fit, &key(1));
    let text = fs::read_to_string(&path)
        .unwrap()
        .replace("\"schema\": 1", "\"schema\": 2");
    let rest = text.split_once("\",").unwrap().1;
    let sealed = format!(
        "{{\n  \"seal\": \"{}\",{rest}",
        Key::of_bytes(rest.as_bytes())
    );
    fs::write(&path, &sealed).unwrap();
    let e = store.entry(CellKind::Fit, &key(1)).unwrap_err();
    assert!(
        e.kind() == ErrorKind::NewerSchema && e.path() == Some(place.named(&path).as_path()),
        "{e}"
    );
    let draft = store.draft(CellKind::Fit, &key(1)).unwrap();
    assert_eq!(
        draft.commit(json!(null)).unwrap_err().kind(),
        ErrorKind::NewerSchema
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), sealed);
}

fn a_draft_that_is_no_cell_is_refused(place: &Place) {
    let store = place.open();
    let draft = store.draft(CellKind::Fit, &key(1)).unwrap();
    for name in ["../x", "meta.json", ".hidden", "a/b"] {
        assert_eq!(
            draft.write(name, b"").unwrap_err().kind(),
            ErrorKind::Invalid,
            "{name}"
        );
    }
    let path = draft.path("open.bin").unwrap();
    let open = segad_files::AtomicFile::create(&path).unwrap();
    let e = draft.commit(json!(null)).unwrap_err();
    assert!(e.to_string().contains("still being written"), "{e}");
    drop(open);
    let draft = store.draft(CellKind::Fit, &key(1)).unwrap();
    fs::create_dir(draft.path("folder").unwrap()).unwrap();
    assert_eq!(
        draft.commit(json!(null)).unwrap_err().kind(),
        ErrorKind::Invalid
    );
    assert!(!store.contains(CellKind::Fit, &key(1)).unwrap());
    assert_eq!(files_below(&place.root()), [] as [PathBuf; 0]);
}

fn threads_that_race_leave_one_whole_cell(place: &Place) {
    let store = place.open();
    for round in 0..20 {
        let barrier = std::sync::Barrier::new(4);
        let locations: Vec<Location> = (0..4).map(|_| place.location()).collect();
        let run = |location: &Location| {
            let other = location.open().unwrap();
            barrier.wait();
            put(&other, CellKind::Maps, &key(round), &vec![round; 10_000])
        };
        let results: Vec<Published> = std::thread::scope(|s| {
            let runs: Vec<_> = locations.iter().map(|l| s.spawn(|| run(l))).collect();
            runs.into_iter().map(|r| r.join().unwrap()).collect()
        });
        assert_eq!(
            results.iter().filter(|r| **r == Published::New).count(),
            1,
            "{results:?}"
        );
        assert!(
            results
                .iter()
                .all(|r| *r != Published::Existing { identical: false })
        );
    }
    let report = store.verify(&NoProgress, &Cancel::default()).unwrap();
    assert_eq!((report.cells.len(), report.failed.len()), (20, 0));
    assert_eq!(place.drafts(), [] as [PathBuf; 0]);
}

fn reading_and_writing_are_told_apart(place: &Place) {
    let store = place.open();
    put(&store, CellKind::Fit, &key(1), b"x");
    let reader = place.open_read_only().unwrap();
    assert_eq!(
        reader
            .entry(CellKind::Fit, &key(1))
            .unwrap()
            .unwrap()
            .read("a.bin")
            .unwrap(),
        b"x"
    );
    for refused in [
        reader.draft(CellKind::Fit, &key(2)).map(drop),
        reader.quarantine(CellKind::Fit, &key(1)).map(drop),
        reader.prune(|_| true, false).map(drop),
        reader
            .import(store.root(), &NoProgress, &Cancel::default())
            .map(drop),
    ] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ReadOnly);
    }
    let none = place.dir.path().join("none");
    let e = Store::open_read_only(&none).unwrap_err();
    assert!(
        e.kind() == ErrorKind::NotFound && e.to_string().contains("none"),
        "{e}"
    );
    assert!(!none.exists());
}

#[test]
fn a_place_that_cannot_be_written_is_named_at_once() {
    let e = Store::open(Path::new("/proc/segad")).unwrap_err();
    assert!(e.path().unwrap().starts_with("/proc/segad"), "{e}");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, b"").unwrap();
    let e = Store::open(&file).unwrap_err();
    assert!(e.path().unwrap().starts_with(&file), "{e}");
}

fn ls_verify_and_prune(place: &Place) {
    let store = place.open();
    put(&store, CellKind::Maps, &key(1), &[1; 100]);
    put(&store, CellKind::Fit, &key(2), &[2; 200]);
    put(&store, CellKind::Maps, &key(3), &[3; 300]);
    fs::write(place.file(CellKind::Maps, &key(3), "a.bin"), [4; 300]).unwrap();
    let ls = store.ls().unwrap();
    assert_eq!(ls.len(), 3);
    assert_eq!(ls[0].id.kind, CellKind::Fit);
    assert!(ls[0].bytes() >= 200);

    let report = store.verify(&NoProgress, &Cancel::default()).unwrap();
    assert_eq!((report.cells.len(), report.failed.len()), (2, 1));
    assert!(report.failed[0].0.key == key(3) && report.failed[0].1.to_string().contains("a.bin"));
    let cancel = Cancel::default();
    cancel.cancel();
    assert_eq!(
        store.verify(&NoProgress, &cancel).unwrap_err().kind(),
        ErrorKind::Cancelled
    );

    // A damaged commit mark is a line of ls and can be pruned.
    fs::write(place.mark(CellKind::Maps, &key(1)), b"{}").unwrap();
    let damaged = |c: &segad_store::Listed| c.meta.is_err();
    assert_eq!(store.ls().unwrap().iter().filter(|c| damaged(c)).count(), 1);
    assert_eq!(store.prune(damaged, true).unwrap().cells.len(), 1);
    assert_eq!(store.ls().unwrap().len(), 3);
    assert_eq!(store.prune(damaged, false).unwrap().cells[0].key, key(1));
    assert_eq!(store.ls().unwrap().len(), 2);

    // Oldest first; the age is that of the commit mark.
    let old = std::time::SystemTime::UNIX_EPOCH;
    let mark = place.mark(CellKind::Maps, &key(3));
    fs::File::options()
        .append(true)
        .open(mark)
        .unwrap()
        .set_modified(old)
        .unwrap();
    assert_eq!(store.prune_to_size(1000, false).unwrap().cells.len(), 0);
    let pruned = store.prune_to_size(300, false).unwrap();
    assert_eq!(
        pruned.cells.iter().map(|c| c.key).collect::<Vec<_>>(),
        [key(3)]
    );
    assert_eq!(store.prune_to_size(0, false).unwrap().cells.len(), 1);
    assert!(store.ls().unwrap().is_empty());
    // What a damaged mark of an object store referred to is left until it is old.
    let left = files_below(&place.root());
    assert!(
        left.iter()
            .all(|path| path.starts_with(place.root().join("v1/data"))),
        "{left:?}"
    );
    assert_eq!(left.is_empty(), place.s3.is_none());
}

fn export_and_import_copy_whole_cells(place: &Place) {
    let store = place.open();
    for n in 1..4 {
        put(&store, CellKind::Maps, &key(n), &[n; 50]);
    }
    fs::write(place.file(CellKind::Maps, &key(3), "a.bin"), [9; 50]).unwrap();
    // Without the copies that the first one made.
    let store = place.open();
    let (none, cells) = (Cancel::default(), store.ls().unwrap());
    let mut ids: Vec<_> = cells.iter().map(|c| c.id).collect();
    ids.push(segad_store::CellId {
        kind: CellKind::Fit,
        key: key(9),
    });
    let out = place.dir.path().join("out");
    let report = store.export(&ids, &out, &NoProgress, &none).unwrap();
    assert_eq!((report.cells.len(), report.failed.len()), (2, 2));
    let kinds: Vec<_> = report
        .failed
        .iter()
        .map(|(id, e)| (id.key, e.kind()))
        .collect();
    assert!(
        kinds.contains(&(key(3), ErrorKind::Damaged))
            && kinds.contains(&(key(9), ErrorKind::NotFound))
    );
    let report = store.export(&ids[..3], &out, &NoProgress, &none).unwrap();
    assert_eq!((report.cells.len(), report.skipped.len()), (0, 2));

    let other = Store::open(&place.dir.path().join("other")).unwrap();
    let report = other.import(&out, &NoProgress, &none).unwrap();
    assert_eq!((report.cells.len(), report.failed.len()), (2, 0));
    let report = other.import(&out, &NoProgress, &none).unwrap();
    assert_eq!((report.cells.len(), report.skipped.len()), (0, 2));
    assert_eq!(other.verify(&NoProgress, &none).unwrap().cells.len(), 2);
    for n in [1, 2] {
        let [a, b] = [&store, &other].map(|s| s.entry(CellKind::Maps, &key(n)).unwrap().unwrap());
        for name in ["a.bin", "b.json"] {
            assert_eq!(a.read(name).unwrap(), b.read(name).unwrap());
        }
        assert_eq!(a.meta().provenance, b.meta().provenance);
    }
    let e = other
        .import(&place.dir.path().join("none"), &NoProgress, &none)
        .unwrap_err();
    assert_eq!(e.kind(), ErrorKind::NotFound);
}
