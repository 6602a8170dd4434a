//! What only an object store can do wrong: services that are busy, unreachable, or not fit for it.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests may fail loudly"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "the tests damage objects on purpose, and read clocks"
)]

mod support;

use segad_core::{Cancel, CellKind, Key, NoProgress};
use segad_files::Owner;
use segad_store::{ErrorKind, Lease, Location, Published, Store, TryLease};
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};
use support::service::Fault;
use support::{Place, files_below};

const TTL: Duration = Duration::from_secs(60);

fn key(n: u8) -> Key {
    Key::of_bytes(&[n])
}

fn put(store: &Store, n: u8) -> Published {
    let draft = store.draft(CellKind::Fit, &key(n)).unwrap();
    draft.write("model.bin", &vec![n; 5000]).unwrap();
    draft.commit(serde_json::json!({})).unwrap()
}

fn read(store: &Store, n: u8) -> Vec<u8> {
    let entry = store.entry(CellKind::Fit, &key(n)).unwrap().unwrap();
    entry.read("model.bin").unwrap()
}

fn lease(store: &Store, n: u8, now: SystemTime, ttl: Duration) -> TryLease {
    store.try_lease(CellKind::Fit, &key(n), now, ttl).unwrap()
}

fn taken(lease: TryLease) -> Lease {
    match lease {
        TryLease::Taken(lease) => lease,
        TryLease::Held(by) => panic!("held by {by:?}"),
    }
}

#[test]
fn faults_of_every_kind_lose_nothing() {
    let place = Place::s3();
    let stores: Vec<Store> = (0..3).map(|_| place.open()).collect();
    let service = place.s3.as_ref().unwrap();
    let faults = [Fault::Busy, Fault::Torn, Fault::Unanswered, Fault::Late];
    service.misbehave(7, &faults);
    let published: Vec<Published> = std::thread::scope(|s| {
        let work = |store: &Store| -> Vec<Published> {
            (0..12)
                .map(|n| {
                    let held = lease(store, n, SystemTime::now(), TTL);
                    let published = put(store, n);
                    assert_eq!(read(store, n), vec![n; 5000]);
                    drop(held);
                    published
                })
                .collect()
        };
        let runs: Vec<_> = stores
            .iter()
            .map(|store| s.spawn(move || work(store)))
            .collect();
        runs.into_iter().flat_map(|r| r.join().unwrap()).collect()
    });
    service.misbehave(0, &[]);
    let new = published.iter().filter(|p| **p == Published::New).count();
    assert_eq!(new, 12, "{published:?}");
    let other = Published::Existing { identical: false };
    assert!(!published.contains(&other), "{published:?}");
    let report = place
        .open()
        .verify(&NoProgress, &Cancel::default())
        .unwrap();
    assert_eq!((report.cells.len(), report.failed.len()), (12, 0));
    // An answer that is lost must not leave a lease that nobody holds.
    let left = files_below(&place.root().join("v1/lease"));
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_service_that_is_not_fit_is_refused_with_the_reason() {
    for (fault, kind, reasons) in [
        (
            Fault::Ignores("if-none-match"),
            ErrorKind::Invalid,
            ["If-None-Match", "overwrites"],
        ),
        (
            Fault::Ignores("if-match"),
            ErrorKind::Invalid,
            ["If-Match", "overwrites"],
        ),
        (
            Fault::Always(403, "AccessDenied"),
            ErrorKind::Permission,
            ["permit", "delete"],
        ),
        (
            Fault::Always(403, "RequestTimeTooSkewed"),
            ErrorKind::Permission,
            ["clock", "set"],
        ),
        (
            Fault::Always(403, "InvalidAccessKeyId"),
            ErrorKind::Permission,
            ["credentials", "AWS_"],
        ),
        (
            Fault::Always(501, "NotImplemented"),
            ErrorKind::Io,
            ["cannot write", "501"],
        ),
    ] {
        let place = Place::s3();
        place.s3.as_ref().unwrap().misbehave(1, &[fault]);
        let e = place.location().open().unwrap_err();
        let text = e.to_string();
        assert_eq!(e.kind(), kind, "{fault:?}: {text}");
        assert!(text.starts_with("s3://results/some/prefix/"), "{text}");
        assert!(
            reasons.iter().all(|r| text.contains(r)),
            "{fault:?}: {text}"
        );
        assert!(!text.contains("nobody may see"), "{text}");
    }
}

#[test]
fn a_bucket_that_cannot_be_used_is_named() {
    let place = Place::s3();
    let open = |address: &str, changes: &[(&str, &str)]| {
        let mut environment = place.environment();
        environment.extend(
            changes
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned())),
        );
        let location = Location::parse(Path::new(address), &place.copies(), &environment).unwrap();
        let (read, written) = (location.open_read_only(), location.open());
        [read.unwrap_err(), written.unwrap_err()]
    };
    for e in open("s3://no-such-bucket/x", &[]) {
        assert_eq!(e.kind(), ErrorKind::NotFound, "{e}");
        assert!(e.to_string().contains("no such bucket"), "{e}");
    }
    for e in open("s3://results", &[("AWS_SECRET_ACCESS_KEY", "wrong")]) {
        assert_eq!(e.kind(), ErrorKind::Permission, "{e}");
        assert!(
            e.to_string().contains("does not accept the credentials"),
            "{e}"
        );
    }
    // Nobody listens there.
    for e in open(
        "s3://results",
        &[("AWS_ENDPOINT_URL", "http://127.0.0.1:9")],
    ) {
        assert_eq!(e.kind(), ErrorKind::Io, "{e}");
        assert!(e.to_string().contains("127.0.0.1:9"), "{e}");
    }
    let none = [
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
        ("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9"),
    ];
    for e in open("s3://results", &none) {
        assert_eq!(e.kind(), ErrorKind::Permission, "{e}");
        assert!(e.to_string().contains("no credentials"), "{e}");
    }
    let e = place.open_read_only().unwrap_err();
    assert!(
        e.kind() == ErrorKind::NotFound && e.to_string().contains("there is none"),
        "{e}"
    );
}

#[test]
fn places_are_read_or_refused() {
    let place = Place::folder();
    let parse = |text: &str| {
        Location::parse(Path::new(text), &place.copies(), &place.environment()).map(|l| l.name())
    };
    for (text, name) in [
        ("some/folder", "some/folder"),
        ("file:///some/folder", "/some/folder"),
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/a/b/", "s3://bucket/a/b"),
    ] {
        assert_eq!(parse(text).unwrap(), Path::new(name), "{text}");
    }
    for text in [
        "s3:/bucket",
        "s3://",
        "s3://b",
        "s3://user:password@bucket",
        "s3://bucket/a//b",
        "s3://bucket/../a",
        "s3://bucket/a?b",
        "file://host/folder",
        "file:///a%20b",
        "gs://bucket",
    ] {
        let e = parse(text).unwrap_err();
        assert!(e.starts_with("expected "), "{text}: {e}");
    }
}

#[test]
fn leases_go_by_the_clock_of_the_service() {
    let place = Place::s3();
    let [here, there] = [place.open(), place.open()];
    let hour = Duration::from_secs(3600);
    let (slow, fast) = (SystemTime::now() - hour, SystemTime::now() + hour);
    let mut held = taken(lease(&here, 1, slow, TTL));
    for now in [slow, fast] {
        assert!(matches!(
            lease(&there, 1, now, TTL),
            TryLease::Held(Some(_))
        ));
        assert!(there.holder(CellKind::Fit, &key(1), now).unwrap().is_some());
    }
    assert!(held.refresh(fast, TTL).unwrap());
    drop(held);
    drop(taken(lease(&there, 1, slow, TTL)));
    // Objects are dated in whole seconds.
    let short = Duration::from_secs(2);
    let mut lost = taken(lease(&here, 2, fast, short));
    std::thread::sleep(2 * short);
    let mut won = taken(lease(&there, 2, slow, TTL));
    assert!(!lost.refresh(slow, TTL).unwrap());
    drop(lost); // must not remove the other's
    assert!(won.refresh(slow, TTL).unwrap());
}

#[test]
fn the_lease_of_a_dead_process_is_taken_over_by_one() {
    let place = Place::s3();
    let store = place.open();
    drop(taken(lease(&store, 1, SystemTime::now(), TTL)));
    let held = taken(lease(&store, 1, SystemTime::now(), TTL));
    let path = place.root().join(format!("v1/lease/fit-{}.json", key(1)));
    let text = fs::read_to_string(&path).unwrap();
    let me = Owner::current().pid;
    let dead = text.replace(&format!("\"pid\":{me}"), "\"pid\":2147483632");
    assert_ne!(dead, text);
    fs::write(&path, dead).unwrap();
    let stores: Vec<Store> = (0..6).map(|_| place.open()).collect();
    let results: Vec<TryLease> = std::thread::scope(|s| {
        let take = |store| s.spawn(move || lease(store, 1, SystemTime::now(), TTL));
        let runs: Vec<_> = stores.iter().map(take).collect();
        runs.into_iter().map(|r| r.join().unwrap()).collect()
    });
    let won = results
        .iter()
        .filter(|r| matches!(r, TryLease::Taken(_)))
        .count();
    assert_eq!(won, 1, "{results:?}");
    drop(held);
}

#[test]
fn a_damaged_copy_is_fetched_again_and_a_damaged_object_is_found() {
    let place = Place::s3();
    put(&place.open(), 1);
    let store = place.here();
    assert_eq!(read(&store, 1), vec![1; 5000]);
    let copies = files_below(&place.copies());
    let copy = copies.iter().find(|p| p.ends_with("model.bin")).unwrap();
    let service = place.s3.as_ref().unwrap();
    let before = service.requests();
    assert_eq!(read(&store, 1), vec![1; 5000]);
    assert_eq!(service.requests() - before, 1, "the commit mark alone");
    fs::write(copy, vec![2; 5000]).unwrap();
    assert_eq!(read(&store, 1), vec![1; 5000]);
    fs::write(copy, vec![2; 5000]).unwrap();
    let again = place.here().entry(CellKind::Fit, &key(1)).unwrap().unwrap();
    assert_eq!(
        fs::read(again.path("model.bin").unwrap()).unwrap(),
        vec![1; 5000]
    );
    // The copy is good, the object is not.
    fs::write(
        place.file(CellKind::Fit, &key(1), "model.bin"),
        vec![3; 5000],
    )
    .unwrap();
    assert_eq!(read(&place.here(), 1), vec![1; 5000]);
    let report = place
        .here()
        .repair(&NoProgress, &Cancel::default())
        .unwrap();
    assert_eq!(report.failed.len(), 1);
    assert!(
        place
            .open()
            .entry(CellKind::Fit, &key(1))
            .unwrap()
            .is_none()
    );
    assert_eq!(put(&store, 1), Published::New);
}

#[test]
fn what_a_killed_worker_left_goes_once_it_is_old() {
    let place = Place::s3();
    let store = place.open();
    put(&store, 1);
    let folder = place.file(CellKind::Fit, &key(1), "model.bin");
    let folder = folder.parent().unwrap().parent().unwrap();
    let [old, new] = ["old", "new"].map(|draft| folder.join(draft).join("model.bin"));
    let committed = place.file(CellKind::Fit, &key(1), "model.bin");
    for path in [&old, &new] {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"half").unwrap();
    }
    for path in [&old, &committed] {
        let file = fs::File::options().append(true).open(path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }
    store.prune(|_| false, false).unwrap();
    assert!(!old.exists() && new.exists() && committed.exists());
}

#[test]
fn large_files_travel_in_parts() {
    let place = Place::s3();
    let (store, size) = (place.open(), 33 << 20);
    let bytes: Vec<u8> = (0..size).map(|i: u32| (i / 251) as u8).collect();
    let draft = store.draft(CellKind::Maps, &key(1)).unwrap();
    draft.write("maps.parquet", &bytes).unwrap();
    draft.commit(serde_json::json!({})).unwrap();
    let entry = place
        .open()
        .entry(CellKind::Maps, &key(1))
        .unwrap()
        .unwrap();
    assert!(entry.read("maps.parquet").unwrap() == bytes);
}
