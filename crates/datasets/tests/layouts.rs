//! Each layout on a tiny tree, and what is said when a tree is wrong.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod common;

use common::{SMALL_VAD, ids, manifest, numbered, png, put, small_vad, touch};
use segad_core::{ImageId, ImageLoader, Label, NoProgress, Seed};
use segad_datasets::{Dataset, Layout, Manifest, Part, Protocol, ProtocolParams};
use tempfile::tempdir;

fn defaults() -> ProtocolParams {
    ProtocolParams::default()
}

#[test]
fn vad_halves_and_lists() {
    let root = tempdir().unwrap();
    small_vad(root.path());
    let index = Dataset::open(manifest(SMALL_VAD), root.path())
        .unwrap()
        .index("vad")
        .unwrap();
    let order: Vec<&str> = index.entries().iter().map(|e| e.id.as_str()).collect();
    assert!(order.is_sorted() && order.len() == 23);
    assert_eq!(index.groups(), ["bad", "bad_unseen", "good"]);

    let split = Protocol::VadLowShot
        .split(&index, Seed(576), &defaults())
        .unwrap();
    let good = |n: &[u8]| {
        n.iter()
            .map(|i| format!("train/good/{i:03}.png"))
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(split.detector.samples()), good(&PERMUTATION_576[..4]));
    let forest = [
        good(&PERMUTATION_576[4..]),
        vec!["train/bad/000.png".into(), "train/bad/003.png".into()],
    ]
    .concat();
    assert_eq!(
        ids(split.forest.samples()),
        forest,
        "the second list belongs to the second seed"
    );
    assert_eq!(split.classifier.as_ref().unwrap().samples().len(), 8 + 2);
    assert_eq!(
        (split.test.samples().len(), split.detector_seed),
        (9, Seed(576))
    );
    assert_eq!(split.headline_groups, ["bad", "bad_unseen", "good"]);

    let high = Protocol::VadHighShot
        .split(&index, Seed(576), &defaults())
        .unwrap();
    assert_eq!(
        (
            high.detector,
            high.forest.count(Label::Bad),
            high.forest_generated
        ),
        (split.detector, 6, 0)
    );
    let one = Protocol::VadOneClass
        .split(&index, Seed(576), &defaults())
        .unwrap();
    assert_eq!(
        (
            one.forest.samples().len(),
            one.forest_generated,
            one.classifier
        ),
        (4, 4, None)
    );

    let error = Protocol::VadLowShot
        .split(&index, Seed(7), &defaults())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no list belongs to seed 7; seeds with a list: [333, 576]"),
        "{error}"
    );
    let third = ProtocolParams {
        low_shot_list: Some(2),
        ..defaults()
    };
    let error = Protocol::VadLowShot
        .split(&index, Seed(7), &third)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("low_shot_list = 2: expected less than 2, the number of lists"),
        "{error}"
    );
}

/// `numpy.random.RandomState(576).permutation(8)`.
const PERMUTATION_576: [u8; 8] = [7, 0, 1, 2, 5, 4, 6, 3];

#[test]
fn bad_low_shot_lists_stop_only_the_low_shot_protocol() {
    for (json, message) in [
        (
            r#"{"a": ["000.png", "900.png"], "b": ["001.png", "002.png"]}"#,
            "900.png is not in train/bad",
        ),
        (
            r#"{"a": ["000.png", "000.png"], "b": ["001.png", "002.png"]}"#,
            "names 000.png twice",
        ),
        (
            r#"{"a": ["000.png"], "b": ["001.png", "002.png"]}"#,
            "names 1 images, expected 2",
        ),
        (r#"{"a": ["000.png", "001.png"]}"#, "1 lists, expected 2"),
        (r#"{"a": 3}"#, "expected lists of file names by key"),
        (
            r#"{"a": ["000.png", "001.png"], "a": ["002.png", "003.png"]}"#,
            "appears twice",
        ),
    ] {
        let root = tempdir().unwrap();
        small_vad(root.path());
        put(root.path(), "vad/low_shot_train.json", json.as_bytes());
        let vad = Dataset::open(manifest(SMALL_VAD), root.path()).unwrap();
        let index = vad.index("vad").unwrap();
        assert!(
            Protocol::VadHighShot
                .split(&index, Seed(333), &defaults())
                .is_ok()
        );
        let error = Protocol::VadLowShot
            .split(&index, Seed(333), &defaults())
            .unwrap_err()
            .to_string();
        assert!(error.contains(message), "{error}");
        let report = vad.verify("vad", &NoProgress).unwrap();
        assert!(
            report.faults.iter().any(|f| f.contains(message)),
            "{report:?}"
        );
    }
}

#[test]
fn low_shot_folders_serve_as_well() {
    let root = tempdir().unwrap();
    small_vad(root.path());
    std::fs::remove_file(root.path().join("vad/low_shot_train.json")).unwrap();
    let vad = Dataset::open(manifest(SMALL_VAD), root.path()).unwrap();
    let index = vad.index("vad").unwrap();
    let error = Protocol::VadLowShot
        .split(&index, Seed(333), &defaults())
        .unwrap_err()
        .to_string();
    assert!(error.contains("low_shot_train.json is missing"), "{error}");
    let files = [
        "1/bad/004.png",
        "1/bad/002.png",
        "0/bad/001.png",
        "0/bad/005.png",
    ];
    touch(&root.path().join("vad/low_shot_train"), files);
    let split = Protocol::VadLowShot
        .split(&vad.index("vad").unwrap(), Seed(576), &defaults())
        .unwrap();
    assert_eq!(
        ids(split.forest.samples())[4..],
        ["train/bad/002.png", "train/bad/004.png"]
    );
}

#[test]
fn unseen_defects_count_once() {
    let root = tempdir().unwrap();
    small_vad(root.path());
    touch(
        root.path(),
        ["vad/test/bad/100.png", "vad/test/bad/101.png"],
    );
    let index = Dataset::open(manifest(SMALL_VAD), root.path())
        .unwrap()
        .index("vad")
        .unwrap();
    assert_eq!(index.counts()[&(Part::Test, "bad_unseen".to_owned())], 2);
    assert_eq!(index.counts()[&(Part::Test, "bad".to_owned())], 3);
}

#[test]
fn verify_lists_all_that_is_wrong() {
    let root = tempdir().unwrap();
    small_vad(root.path());
    let folder = root.path().join("vad");
    for (prefix, n) in [
        ("train/good/", 8),
        ("train/bad/", 6),
        ("test/good/", 4),
        ("test/bad/", 3),
    ] {
        numbered(prefix, n)
            .iter()
            .for_each(|f| put(&folder, f, &png(9)));
    }
    ["100", "101"].iter().for_each(|n| {
        put(
            &folder,
            &format!("test/bad_unseen_defects/{n}.png"),
            &png(1),
        )
    });
    let vad = Dataset::open(manifest(SMALL_VAD), root.path()).unwrap();
    let report = vad.verify("vad", &NoProgress).unwrap();
    assert!(report.is_ok() && report.images == 23, "{report:?}");

    let whole = png(9);
    put(&folder, "test/good/001.png", &whole[..whole.len() - 20]);
    put(&folder, "test/bad/002.png", b"");
    std::fs::remove_file(folder.join("train/good/003.png")).unwrap();
    touch(
        &folder,
        [
            "train/good/Thumbs.db",
            "test/new_defects/1.png",
            "train/good/.hidden",
        ],
    );
    let report = vad.verify("vad", &NoProgress).unwrap();
    assert_eq!(report.extra, ["test/new_defects/"]);
    let unreadable: Vec<&str> = report
        .unreadable
        .iter()
        .map(|(id, _)| id.as_str())
        .collect();
    assert_eq!(unreadable, ["test/bad/002.png", "test/good/001.png"]);
    let [count] = report.counts.as_slice() else {
        panic!("{report:?}")
    };
    assert_eq!(
        (
            count.part,
            count.group.as_str(),
            count.expected,
            count.found
        ),
        (Part::Train, "good", 8, 7)
    );
    assert!(matches!(
        vad.index("vad"),
        Err(segad_datasets::DatasetError::ExtraFiles { count: 1, .. })
    ));
    ["test/new_defects/1.png", "train/good/Thumbs.db"]
        .iter()
        .for_each(|f| std::fs::remove_file(folder.join(f)).unwrap());
    std::fs::remove_dir(folder.join("test/new_defects")).unwrap();
    let error = vad.index("vad").unwrap_err().to_string();
    assert!(
        error.starts_with("vad: train good has 7 images, but the manifest says 8"),
        "{error}"
    );
}

#[test]
fn mvtec_defects_are_groups() {
    let text = "schema = 1\nname = 'mvtec'\ntitle = 'T'\nlayout = 'mvtec'\n[[group]]\nname = 'good'\nlabel = 'good'\n\
                [[class]]\nname = 'bottle'\ntrain = { good = 20 }\ntest = { good = 3 }\ntest_bad = 30\n\
                defects = ['crack', 'hole']\n[[class]]\nname = 'cable'";
    let root = tempdir().unwrap();
    let class = root.path().join("mvtec/bottle");
    for (prefix, n) in [
        ("train/good/", 20),
        ("test/good/", 3),
        ("test/crack/", 12),
        ("test/hole/", 18),
    ] {
        touch(&class, numbered(prefix, n).iter().map(String::as_str));
    }
    touch(&class, ["ground_truth/crack/000_mask.png"]);
    let mvtec = Dataset::open(manifest(text), root.path()).unwrap();
    let index = mvtec.index("bottle").unwrap();
    let split = Protocol::MvtecSupervised20
        .split(&index, Seed(333), &defaults())
        .unwrap();
    assert_eq!(
        (
            split.detector.count(Label::Good),
            split.forest.count(Label::Good)
        ),
        (18, 2)
    );
    assert_eq!(
        (
            split.forest.count(Label::Bad),
            split.test.count(Label::Good),
            split.test.count(Label::Bad)
        ),
        (20, 3, 10)
    );
    assert_eq!(split.headline_groups, ["crack", "good", "hole"]);
    assert_eq!(
        ids(split.test.samples())[0],
        "bottle/test/good/000.png",
        "good images come first"
    );
    let more = ProtocolParams {
        train_bad: Some(30),
        ..defaults()
    };
    let error = Protocol::MvtecSupervised20
        .split(&index, Seed(333), &more)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("test folder needs 31 bad images, found 30"),
        "{error}"
    );

    std::fs::rename(class.join("test"), class.join("not-test")).unwrap();
    let error = mvtec.index("bottle").unwrap_err().to_string();
    assert!(
        error.contains(
            "bottle/test: expected a folder of layout mvtec: no such folder, so the data set is incomplete"
        ),
        "{error}"
    );
    std::fs::rename(class.join("not-test"), class.join("test")).unwrap();

    touch(&class, ["test/hole/099.png"]);
    let error = mvtec.index("bottle").unwrap_err().to_string();
    assert!(
        error.starts_with("bottle: test any bad has 31 images, but the manifest says 30"),
        "{error}"
    );
    touch(&class, ["test/scratch/000.png"]);
    assert!(
        mvtec
            .index("bottle")
            .unwrap_err()
            .to_string()
            .contains("first bottle/test/scratch/")
    );
}

#[test]
fn plain_folders_know_kinds() {
    let root = tempdir().unwrap();
    touch(
        root.path(),
        [
            "good/b.JPG",
            "good/a.png",
            "bad/c.png",
            "bad/scratch/a2.jpeg",
            "bad/scratch/2024/05/d",
            "good/.DS_Store",
            "good/desktop.ini",
        ],
    );
    let plain = Dataset::open(Manifest::plain("cups", Layout::GoodBad), root.path()).unwrap();
    let index = plain.index("cups").unwrap();
    let seen: Vec<(&str, &str, usize)> = index
        .entries()
        .iter()
        .map(|e| (e.id.as_str(), e.group.as_str(), e.order))
        .collect();
    let expected = [
        ("bad/c.png", "bad", 3),
        ("bad/scratch/2024/05/d", "scratch", 4),
        ("bad/scratch/a2.jpeg", "scratch", 1),
        ("good/a.png", "good", 0),
        ("good/b.JPG", "good", 2),
    ];
    assert_eq!(seen, expected);
    let empty = tempdir().unwrap();
    let error = Dataset::open(Manifest::plain("cups", Layout::GoodBad), empty.path())
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("expected a folder of layout good-bad: expected good there"),
        "{error}"
    );
}

#[test]
fn general_images_may_lie_anywhere() {
    let root = tempdir().unwrap();
    touch(
        root.path(),
        [
            "top.png",
            "train/n02/b.JPEG",
            "train/n01/a.jpg",
            "noisy.csv",
            ".hidden.png",
        ],
    );
    let images = Dataset::open(Manifest::plain("general", Layout::Images), root.path()).unwrap();
    let index = images.index("general").unwrap();
    let seen: Vec<&str> = index.entries().iter().map(|e| e.id.as_str()).collect();
    assert_eq!(seen, ["top.png", "train/n01/a.jpg", "train/n02/b.JPEG"]);
    assert!(
        index
            .entries()
            .iter()
            .all(|e| (e.label, e.part) == (Label::Good, Part::All))
    );
    let counted = Dataset::open(Manifest::shipped("imagenette").unwrap(), root.path()).unwrap();
    let error = counted.index("imagenette").unwrap_err().to_string();
    assert!(error.contains("13394") && error.contains('3'), "{error}");
    let gone = Dataset::open(
        Manifest::plain("general", Layout::Images),
        &root.path().join("x"),
    )
    .err()
    .unwrap();
    assert!(gone.to_string().contains("no such folder"), "{gone}");
}

#[test]
fn lists_are_read_as_people_have_them() {
    let root = tempdir().unwrap();
    touch(root.path(), ["x/1.png", "x/2.png"]);
    let absolute = root.path().join("x/2.png");
    let semicolons = format!(
        "path;operator;label;group\nx/1.png;Ann, Bo;OK;s1\n{};Cy;NG;s2\n",
        absolute.display()
    );
    let utf16 = |order: fn(u16) -> [u8; 2]| -> Vec<u8> {
        let text = format!("\u{feff}{semicolons}");
        text.encode_utf16().flat_map(order).collect()
    };
    let open = |bytes: &[u8]| {
        put(root.path(), "my.csv", bytes);
        let path = root.path().join("my.csv");
        Dataset::open(Manifest::plain("cups", Layout::Csv), &path)?.index("cups")
    };
    let tabs = semicolons.replace(';', "\t");
    let marked = format!("\u{feff}{semicolons}");
    for bytes in [
        semicolons.as_bytes(),
        tabs.as_bytes(),
        marked.as_bytes(),
        &utf16(u16::to_le_bytes),
        &utf16(u16::to_be_bytes),
    ] {
        let index = open(bytes).unwrap();
        let seen = index.entries().iter();
        let seen: Vec<_> = seen
            .map(|e| (e.id.as_str(), e.label, e.unit.as_deref()))
            .collect();
        let expected = [
            ("x/1.png", Label::Good, Some("s1")),
            ("x/2.png", Label::Bad, Some("s2")),
        ];
        assert_eq!(seen, expected);
    }
    for (bytes, message) in [
        (
            &b"path,label,groups\nx/1.png,good,a\n"[..],
            "column \"groups\": expected \"group\"",
        ),
        (
            b"path,label\nx/1.png,maybe\n",
            "label \"maybe\": expected 0 or good, ok, normal, or 1 or bad, ng,",
        ),
        (b"path,label\nx/\xe9.png,good\n", "not UTF-8"),
        (b"\xff\xfep\0a\0t", "not UTF-16"),
        (
            b"path,label,path\nx/1.png,good,x/2.png\n",
            "column \"path\" appears twice",
        ),
    ] {
        let error = open(bytes).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn tables_of_anomalib_are_lists() {
    let root = tempdir().unwrap();
    touch(
        root.path(),
        ["lists/own.png", "data/a.png", "data/b.png", "data/c.png"],
    );
    let data = root.path().canonicalize().unwrap().join("data");
    let data = data.display();
    // As pandas writes the samples of a data module: an index, the folder as `path`, and masks.
    let table = format!(
        ",path,split,label,image_path,mask_path,label_index\n\
         0,{data},train,good,{data}/a.png,,0\n\
         1,{data},Split.TEST,scratch,{data}/b.png,{data}/m.png,1\n\
         2,{data},val,abnormal,{data}/c.png,,1.0\n\
         3,,,normal,own.png,,0\n"
    );
    let open = |table: &str| {
        put(root.path(), "lists/my.csv", table.as_bytes());
        let list = root.path().join("lists/my.csv");
        Dataset::open(Manifest::plain("cups", Layout::Csv), &list)
    };
    let dataset = open(&table).unwrap();
    assert_eq!(dataset.base(), root.path().canonicalize().unwrap());
    let index = dataset.index("cups").unwrap();
    let seen: Vec<_> = index
        .entries()
        .iter()
        .map(|e| (e.id.as_str(), e.label, e.group.as_str(), e.part))
        .collect();
    let expected = [
        ("data/a.png", Label::Good, "good", Part::Train),
        ("data/b.png", Label::Bad, "scratch", Part::Test),
        ("data/c.png", Label::Bad, "bad", Part::Test),
        ("lists/own.png", Label::Good, "good", Part::All),
    ];
    assert_eq!(seen, expected);
    let wrong = open(&table.replace("scratch", "good")).unwrap();
    let error = wrong.index("cups").unwrap_err().to_string();
    assert!(
        error.contains("line 3: \"good\" contradicts the label bad"),
        "{error}"
    );
}

#[test]
fn folders_may_have_any_names() {
    let root = tempdir().unwrap();
    touch(
        root.path(),
        [
            "OK/a.png",
            "NG/b.png",
            "NG/dent/c.png",
            "misc/d.png",
            "burr/e.png",
        ],
    );
    let names = |folders: &[&str]| folders.iter().map(|f| f.to_string()).collect::<Vec<_>>();
    let [good, bad] = Manifest::usual_folders(root.path()).unwrap();
    assert_eq!((&good, &bad), (&names(&["OK"]), &names(&["NG"])));
    let seen = |good: &[String], bad: &[String]| {
        let manifest = Manifest::folders("cups", good, bad);
        let gathered = Dataset::open(manifest, root.path())
            .unwrap()
            .gather()
            .unwrap();
        let entries = gathered.index.entries().iter();
        let seen = entries.map(|e| format!("{} {} {}", e.id, e.label, e.group));
        (seen.collect::<Vec<_>>(), gathered.left_out.outside)
    };
    let (entries, outside) = seen(&good, &bad);
    assert_eq!(
        entries,
        [
            "NG/b.png bad bad",
            "NG/dent/c.png bad dent",
            "OK/a.png good good"
        ]
    );
    assert_eq!(outside, ["burr", "misc"]);
    let (entries, outside) = seen(&names(&["misc"]), &names(&["NG", "burr"]));
    assert_eq!(
        entries,
        [
            "NG/b.png bad NG",
            "NG/dent/c.png bad NG",
            "burr/e.png bad burr",
            "misc/d.png good good"
        ]
    );
    assert_eq!(outside, ["OK"]);
}

#[test]
fn lists_are_read_line_by_line() {
    let root = tempdir().unwrap();
    touch(root.path(), ["x/1.png", "x/2.png", "x/3.png"]);
    let open = |list: &str| {
        put(root.path(), "my.csv", list.as_bytes());
        let list = root.path().join("my.csv");
        Dataset::open(Manifest::plain("cups", Layout::Csv), &list)?.index("cups")
    };
    let index = open(
        "path,label,group,type,split\nx/3.png,bad,s1,dent,\nx/1.png,0,s1,,train\nx/2.png, good ,,,test\n",
    )
    .unwrap();
    let seen: Vec<_> = index
        .entries()
        .iter()
        .map(|e| {
            (
                e.id.as_str(),
                e.label,
                e.group.as_str(),
                e.unit.as_deref(),
                e.part,
                e.order,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("x/3.png", Label::Bad, "dent", Some("s1"), Part::All, 0),
            ("x/1.png", Label::Good, "good", Some("s1"), Part::Train, 1),
            ("x/2.png", Label::Good, "good", None, Part::Test, 2),
        ]
    );
    for (list, message) in [
        (
            "path,labels\nx/1.png,good\n",
            "line 1: column \"labels\": expected \"label\"",
        ),
        (
            "path,label\nx/1.png,good\nx/1.png,bad\n",
            "line 3: x/1.png is listed twice",
        ),
        (
            "path,label\nx/1.png,fine\n",
            "line 2: label \"fine\": expected 0 or good, ok,",
        ),
        (
            "path,label\n../1.png,good\n",
            "line 2: \"../1.png\": expected a path below",
        ),
        (
            "path,label\n/x/../1.png,good\n",
            "line 2: \"x/../1.png\": expected a path below",
        ),
        (
            "path,label,split\nx/1.png,good,eval\n",
            "line 2: split \"eval\": expected train, test, val or nothing",
        ),
        ("path,label\nx/1.png,good,3\n", "line 2"),
        (
            "path,label\nx/1.png,good\nx/9.png,bad\n",
            "1 file(s) are listed but missing, first x/9.png",
        ),
    ] {
        let error = open(list).unwrap_err().to_string();
        assert!(error.contains(message), "{list:?}: {error}");
    }
}

#[test]
fn digests_follow_content_and_outlive_a_run() {
    let root = tempdir().unwrap();
    put(root.path(), "good/a.png", &png(5));
    let cache = root.path().join("cache/digests");
    let open = || {
        let plain = Manifest::plain("cups", Layout::GoodBad);
        Dataset::open(plain, root.path())
            .unwrap()
            .with_digest_cache(&cache)
            .unwrap()
    };
    let id = ImageId::new("good/a.png");
    let first = open();
    let key = first.digest(&id).unwrap();
    assert_eq!(key, segad_core::Key::of_bytes(&png(5)));
    first.save_digests().unwrap();

    // A digest that is kept is not taken again: a forged line for an unchanged file is believed.
    let line = std::fs::read_to_string(&cache).unwrap();
    let forged = line.replace(&key.to_string(), &"0".repeat(64));
    put(
        root.path(),
        "cache/digests",
        format!("no digest\n{forged}").as_bytes(),
    );
    assert_eq!(open().digest(&id).unwrap().to_string(), "0".repeat(64));
    put(root.path(), "good/a.png", &[png(5), vec![0]].concat());
    assert_eq!(
        open().digest(&id).unwrap(),
        segad_core::Key::of_bytes(&[png(5), vec![0]].concat())
    );
    assert!(
        open()
            .digest(&ImageId::new("good/b.png"))
            .unwrap_err()
            .to_string()
            .contains("good/b.png")
    );
}

#[test]
fn loaders_name_the_file() {
    let root = tempdir().unwrap();
    put(root.path(), "good/a.png", &png(5));
    put(root.path(), "good/b.png", b"text");
    let loader = Dataset::open(Manifest::plain("cups", Layout::GoodBad), root.path())
        .unwrap()
        .loader();
    assert_eq!(loader.load(&ImageId::new("good/a.png")).unwrap().width(), 3);
    let error = loader
        .load(&ImageId::new("good/b.png"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("b.png"), "{error}");
}
