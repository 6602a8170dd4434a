//! Processes that die, race, or run out of disk. Each test starts this program again as a child
//! that runs one of the ignored tests, with the folder or store to work in as `SEGAD_STORE_CHILD`.
#![expect(
    clippy::print_stderr,
    reason = "tells that a machine lacks what a test needs"
)]
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]
#![expect(
    clippy::disallowed_methods,
    reason = "the tests look at files directly"
)]

mod support;

use segad_core::{AnomalyMap, Cancel, CellKind, ImageId, Key, Label, NoProgress};
use segad_store::{ErrorKind, Location, MapRecord, MapsReader, MapsWriter, Store, TryLease};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};
use support::Place;

const FOLDER: &str = "SEGAD_STORE_CHILD";
const COPIES: &str = "SEGAD_STORE_COPIES";

on_both! {
    a_killed_writer_leaves_whole_cells_and_the_next_one_goes_on
    processes_that_race_leave_whole_cells
}

fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(Into::into)
}

/// The store of a child.
fn store() -> Option<Store> {
    let address = folder()?;
    let copies = PathBuf::from(std::env::var_os(COPIES)?);
    let location = Location::parse(&address, &copies, &std::env::vars().collect());
    Some(location.unwrap().open().unwrap())
}

fn child(test: &str, place: &Place) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            test,
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(FOLDER, place.address())
        .env(COPIES, place.copies())
        .envs(place.environment());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn key(n: u32) -> Key {
    Key::of_bytes(&n.to_le_bytes())
}

fn publish(store: &Store, n: u32) {
    let draft = store.draft(CellKind::Maps, &key(n)).unwrap();
    let mut maps = MapsWriter::create(&draft.path("maps.parquet").unwrap(), 16, 16).unwrap();
    for i in 0..20u16 {
        let values = (0..256)
            .map(|p| f32::from(i) + p as f32 / 256.0 + n as f32)
            .collect();
        let record = MapRecord {
            id: ImageId::new(format!("{i}.png")),
            label: Label::Good,
            group: "good".into(),
            split: "test".into(),
            map: AnomalyMap::new(16, 16, values).unwrap(),
        };
        maps.push(&record).unwrap();
    }
    maps.finish().unwrap();
    draft.write("more.bin", &vec![n as u8; 100_000]).unwrap();
    draft.commit(serde_json::json!({"n": n})).unwrap();
}

#[test]
#[ignore = "run by the tests below in a process of its own"]
fn child_publishes_until_killed() {
    let Some(store) = store() else { return };
    let now = SystemTime::now();
    for n in 0.. {
        let lease = store
            .try_lease(CellKind::Maps, &key(n), now, Duration::from_secs(1000))
            .unwrap();
        if let TryLease::Taken(_lease) = lease
            && !store.contains(CellKind::Maps, &key(n)).unwrap()
        {
            publish(&store, n);
        }
    }
}

#[test]
#[ignore = "run by the tests below in a process of its own"]
fn child_publishes_forty() {
    let Some(store) = store() else { return };
    (0..40).for_each(|n| publish(&store, n));
}

fn whole(store: &Store) -> usize {
    let report = store.verify(&NoProgress, &Cancel::default()).unwrap();
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    for id in &report.cells {
        let entry = store.entry(id.kind, &id.key).unwrap().unwrap();
        assert_eq!(
            MapsReader::open(&entry.path("maps.parquet").unwrap())
                .unwrap()
                .len(),
            20
        );
    }
    report.cells.len()
}

fn a_killed_writer_leaves_whole_cells_and_the_next_one_goes_on(place: &Place) {
    let mut before = 0;
    for round in 0u64..20 {
        let mut run = child("child_publishes_until_killed", place)
            .spawn()
            .unwrap();
        // Killed at another moment each time, some before the store is open.
        std::thread::sleep(Duration::from_millis(3 + round * 7 % 60));
        run.kill().unwrap();
        run.wait().unwrap();
        if !place.root().join("v1/lease").is_dir() {
            continue;
        }
        let store = place.here();
        let drafts = place.drafts();
        assert!(
            drafts.is_empty(),
            "the dead process's folder is swept: {drafts:?}"
        );
        let now = whole(&store);
        assert!(now >= before);
        before = now;
    }
    // The lease of a dead process holds nobody up, long as it runs.
    let store = place.here();
    let next = key(before as u32);
    let lease = store
        .try_lease(
            CellKind::Maps,
            &next,
            SystemTime::now(),
            Duration::from_secs(1000),
        )
        .unwrap();
    assert!(matches!(lease, TryLease::Taken(_)), "{lease:?}");
    publish(&store, before as u32);
    assert_eq!(whole(&store), before + 1);
}

fn processes_that_race_leave_whole_cells(place: &Place) {
    let mut runs: Vec<_> = (0..3)
        .map(|_| child("child_publishes_forty", place).spawn().unwrap())
        .collect();
    for run in &mut runs {
        assert!(run.wait().unwrap().success());
    }
    let store = place.open();
    assert_eq!(whole(&store), 40);
    assert!(place.drafts().is_empty());
}

#[test]
#[ignore = "run by the test below on a small file system of its own"]
fn child_fills_the_disk() {
    let Some(folder) = folder() else { return };
    let small = folder.join("full");
    let store = Store::open(&small).unwrap();
    publish(&store, 0);
    let draft = store.draft(CellKind::Fit, &key(1)).unwrap();
    let e = draft.write("model.bin", &vec![1; 4 << 20]).unwrap_err();
    assert!(
        e.kind() == ErrorKind::NoSpace && e.path().unwrap().ends_with("model.bin"),
        "{e}"
    );
    let path = draft.path("maps.parquet").unwrap();
    let noise: Vec<f32> = segad_core::Seed(1)
        .derive("noise")
        .0
        .to_le_bytes()
        .map(f32::from)
        .to_vec();
    let mut maps = MapsWriter::create(&path, 256, 256).unwrap();
    let mut failed = None;
    for i in 0..200usize {
        let values =
            (0..65536usize).map(|p| noise[p % 8] * ((p * 7919 + i * 104_729) % 65_521) as f32);
        let record = MapRecord {
            id: ImageId::new(i.to_string()),
            label: Label::Bad,
            group: "bad".into(),
            split: "test".into(),
            map: AnomalyMap::new(256, 256, values.collect()).unwrap(),
        };
        if let Err(e) = maps.push(&record) {
            failed = Some(e);
            break;
        }
    }
    let e = match failed {
        Some(e) => {
            drop(maps); // an open file keeps its space
            e
        }
        None => maps.finish().unwrap_err(),
    };
    assert!(
        e.kind() == ErrorKind::NoSpace && e.path().unwrap().ends_with("maps.parquet"),
        "{e}"
    );
    drop(draft);
    assert_eq!(whole(&store), 1); // nothing is lost
    assert!(!store.contains(CellKind::Fit, &key(1)).unwrap());
    publish(&store, 2); // and the space is free again
    std::fs::write(small.join("filler"), vec![0; 4 << 20]).unwrap_err();
    assert_eq!(Store::open(&small).unwrap_err().kind(), ErrorKind::NoSpace);

    let sealed = folder.join("sealed");
    assert!(sealed.join("v1").is_dir());
    assert_eq!(
        Store::open(&sealed).unwrap_err().kind(),
        ErrorKind::ReadOnly
    );
    assert_eq!(whole(&Store::open_read_only(&sealed).unwrap()), 1);
    std::fs::write(folder.join("done"), b"").unwrap();
}

#[test]
fn full_and_read_only_disks_are_named_and_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (full, sealed) = (dir.path().join("full"), dir.path().join("sealed"));
    std::fs::create_dir(&full).unwrap();
    publish(&Store::open(&sealed).unwrap(), 0);
    let exe = std::env::current_exe().unwrap();
    // A mount of its own, seen by the child alone; needs no root where the kernel lets users have
    // namespaces.
    let script = "mount -t tmpfs -o size=2m none \"$1\" && mount --bind \"$2\" \"$2\" && \
                  mount -o remount,bind,ro \"$2\" && touch \"$3\" && exec \"$4\" --exact child_fills_the_disk --ignored";
    let ready = dir.path().join("ready");
    let run = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            script,
            "sh",
        ])
        .args([&full, &sealed, &ready, &exe])
        .env(FOLDER, dir.path())
        .output();
    if !ready.exists() {
        // No such namespaces here. `/dev/full` in the unit tests shows the same error for a single
        // file.
        eprintln!("no private mounts here, not run: {run:?}");
        return;
    }
    let run = run.unwrap();
    assert!(
        run.status.success() && dir.path().join("done").exists(),
        "{run:?}"
    );
}
