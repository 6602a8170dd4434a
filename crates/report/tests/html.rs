//! Plots by hand-counted numbers; the report's markup by a parser; escaping by hostile names.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests, which clippy does not take for tests"
)]

mod common;

use common::{AUROC, FPR, failure, groups, png, synthetic, value};
use segad_core::{ImageId, Label};
use segad_report::{
    CellSource, Experiment, FeatureDrift, Figure, GroupKind, GroupSpec, Histogram, Host,
    Importance, LossCurve, Measure, Note, Provenance, Reason, Report, Results, ScoreRow,
    ScoreTable, Stage, TableShape, WrongImage, WrongKind, class_bars, loss_plot, report_html,
    roc_curves, roc_plot, slug, standard_figures,
};

/// The elements that HTML does not close.
const VOID: [&str; 3] = ["meta", "img", "br"];

/// Panics unless every element is closed in order and every attribute is quoted; gives the number
/// of elements.
fn check_markup(text: &str) -> usize {
    let mut open: Vec<String> = Vec::new();
    let mut rest = text;
    let mut count = 0;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let end = rest.find('>').expect("a tag is not ended");
        let (tag, after) = (&rest[..end], &rest[end + 1..]);
        rest = after;
        if tag.starts_with('!') {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            let expected = open.pop();
            assert_eq!(
                expected.as_deref(),
                Some(name),
                "wrong end tag; open: {open:?}"
            );
            continue;
        }
        count += 1;
        let closed = tag.ends_with('/');
        let tag = tag.trim_end_matches('/');
        let name = tag.split_whitespace().next().unwrap();
        assert!(
            name.bytes().all(|b| b.is_ascii_alphanumeric()),
            "strange element {name:?}"
        );
        assert_eq!(tag.matches('"').count() % 2, 0, "quotes of <{tag}>");
        if name == "style" {
            let end = rest.find("</style>").expect("style is not ended");
            rest = &rest[end..];
        }
        if !closed && !VOID.contains(&name) {
            open.push(name.to_owned());
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
    count
}

fn row(filepath: &str, group: &str, label: Label, score: f32) -> ScoreRow {
    ScoreRow {
        row: "a".into(),
        class: "x".into(),
        seed: 1,
        filepath: ImageId::new(filepath),
        label,
        group: group.into(),
        score,
    }
}

#[test]
fn histogram_counts_by_hand() {
    let e = Experiment::new("t", "t", &[AUROC], &["a"], &["x"]);
    // 0, 1, …, 100 good and 200, …, 219 bad: 121 scores.
    let mut rows: Vec<_> = (0u8..=100)
        .map(|i| row(&format!("g{i}"), "good", Label::Good, f32::from(i)))
        .collect();
    rows.extend((0u8..20).map(|i| row(&format!("b{i}"), "bad", Label::Bad, 200.0 + f32::from(i))));
    let scores = ScoreTable::new(&e, rows, vec![]).unwrap();
    let h = Histogram::new("t", &scores.cell(0, 0, None).unwrap(), scores.groups()).unwrap();
    // The 0.5 % quantile is at position 0.6, the 99.5 % at 119.4.
    assert_eq!((h.edges.len(), h.edges[0]), (51, 0.6));
    assert!((h.edges[50] - 218.4).abs() < 1e-9);
    // The 5 % quantile of 200 … 219 is at position 0.95.
    assert!((h.threshold.unwrap() - 200.95).abs() < 1e-9);
    let (good, bad) = (&h.series[0].1, &h.series[1].1);
    assert_eq!(
        (h.series[0].0.kind, h.series[1].0.kind),
        (GroupKind::Good, GroupKind::Seen)
    );
    assert_eq!(
        (good.iter().sum::<u64>(), bad.iter().sum::<u64>()),
        (101, 20)
    );
    // Below the first edge: 0. Bins are 4.356 wide: 1, 2, 3, 4 lie in the first, 5 … 9 in the
    // second.
    assert_eq!(good[..3], [1, 4, 5]);
    assert_eq!((good[51], bad[51], bad[50]), (0, 1, 4)); // above: 219; last bin from 214.04: 215 … 218
    let csv = h.csv().unwrap();
    assert!(
        csv.starts_with("group,kind,low,high,count\ngood,good,,0.6,1\n"),
        "{csv}"
    );
    assert_eq!(csv.lines().count(), 1 + 2 * 52);
    for log in [false, true] {
        check_markup(&h.plot(log).unwrap().svg());
    }
}

#[test]
fn equal_scores_still_draw() {
    let e = Experiment::new("t", "t", &[AUROC], &["a"], &["x"]);
    let rows = vec![
        row("1", "good", Label::Good, 3.0),
        row("2", "bad", Label::Bad, 3.0),
    ];
    let scores = ScoreTable::new(&e, rows, vec![]).unwrap();
    let h = Histogram::new("t", &scores.cell(0, 0, None).unwrap(), scores.groups()).unwrap();
    assert_eq!((h.edges[0], h.edges[50]), (1.5, 4.5));
    assert!(!h.plot(false).unwrap().svg().contains("NaN"));
}

#[test]
fn roc_is_the_mean_over_seeds() {
    let e = Experiment::new("t", "t", &[AUROC], &["a"], &["x"]);
    let mut rows = vec![
        row("1", "good", Label::Good, 0.0),
        row("2", "bad", Label::Bad, 1.0),
    ];
    // The second seed is the other way round: TPR 0 until FPR 1.
    rows.extend(
        [(0, 1.0), (1, 0.0)].map(|(i, score): (usize, f32)| ScoreRow {
            seed: 2,
            score,
            ..rows[i].clone()
        }),
    );
    let scores = ScoreTable::new(&e, rows, vec![]).unwrap();
    let curves = roc_curves(&e, &scores, "x");
    assert_eq!((curves[0].seeds, curves[0].auroc), (2, 0.5));
    assert_eq!(
        (curves[0].tpr[0], curves[0].tpr[100], curves[0].tpr[200]),
        (0.5, 0.5, 1.0)
    );
    let plot = roc_plot("ROC", &curves).unwrap();
    assert!(plot.csv.contains("\na,0.500000,0.500000\n"));
    check_markup(&plot.svg());
    assert!(roc_plot("ROC", &[]).is_err());
}

#[test]
fn bars_and_losses() {
    let mut e = Experiment::new(
        "t8",
        "VisA",
        &[AUROC],
        &["RD4AD", "DevNet"],
        &["candle", "pcb1"],
    );
    e.paper = Some("8".into());
    let values = vec![
        value("RD4AD", "candle", 1, "cl_auroc", 94.5),
        value("DevNet", "candle", 1, "cl_auroc", 90.0),
        value("DevNet", "pcb1", 1, "cl_auroc", 80.0),
    ];
    let r = Results::from_values(&e, values, vec![failure("RD4AD", "pcb1", 1, "killed")]).unwrap();
    let plot = class_bars(&r, &Measure::overall(AUROC)).unwrap();
    let expected = "class,row,mean,std,paper\ncandle,RD4AD,94.5000,0.0000,94.6000\ncandle,DevNet,90.0000,0.0000,94.7000\n\
                    pcb1,RD4AD,,,96.0000\npcb1,DevNet,80.0000,0.0000,94.4000\nmean,RD4AD,,,\nmean,DevNet,85.0000,0.0000,\n";
    assert_eq!(plot.csv, expected);
    check_markup(&plot.svg());
    assert!(class_bars(&r, &Measure::overall(FPR)).is_err());
    let loss = loss_plot(
        "Loss",
        "step",
        &[LossCurve {
            name: "a".into(),
            points: vec![(1.0, 0.5), (20_000_001.0, 0.25)],
        }],
    )
    .unwrap();
    assert_eq!(loss.csv, "name,step,loss\na,1,0.5\na,20000001,0.25\n");
    check_markup(&loss.svg());
    assert!(
        loss_plot(
            "Loss",
            "step",
            &[LossCurve {
                name: "a".into(),
                points: vec![(1.0, f64::NAN)]
            }]
        )
        .is_err()
    );
}

fn heat(x: u16, y: u16) -> [u8; 3] {
    let d = ((f64::from(x) - 80.0).powi(2) + (f64::from(y) - 50.0).powi(2)).sqrt();
    let v = (255.0 * (-d * d / 900.0).exp()) as u8;
    let line = x == 42 || x == 84;
    if line {
        [80, 200, 255]
    } else {
        [40 + v / 2 + v / 4, 40 + v / 5, 70]
    }
}

fn cell_picture(x: u16, y: u16) -> [u8; 3] {
    let v = 90 + ((x * 7 + y * 13) % 23) as u8 - if x % 42 < 3 { 50 } else { 0 }
        + if y.abs_diff(50) < 3 && x > 60 { 90 } else { 0 };
    [v, v, v]
}

fn demo() -> (Experiment, ScoreTable) {
    let rows = ["PatchCore", "PatchCore + SegAD", "One Seg.", "Max."];
    let mut e = Experiment::new(
        "demo",
        "ELPV solar cells, mono",
        &[AUROC, FPR],
        &rows,
        &["high-shot", "low-shot-20"],
    );
    e.groups = groups();
    e.shape = TableShape::Protocols;
    for (i, row) in e.rows.iter_mut().enumerate() {
        row.section = ["Detector", "SegAD", "Ablations", "Ablations"][i].into();
    }
    let mut rows = synthetic(&e, &[1, 2, 3], 200);
    rows.retain(|r| (r.row.as_str(), r.seed) != ("Max.", 3));
    (e.clone(), ScoreTable::new(&e, rows, vec![]).unwrap())
}

fn provenance() -> Provenance {
    Provenance {
        command: "cargo xtask demo --out results/demo".into(),
        commit: Some("0123abc".into()),
        versions: [
            ("segad", "0.1.0"),
            ("libtorch", "2.13.0"),
            ("XGBoost", "2.1.4"),
        ]
        .map(|(a, b)| (a.into(), b.into()))
        .into(),
        host: Host {
            os: Some("Linux 6.1".into()),
            cpu: Some("AMD EPYC".into()),
            simd: None,
            threads: Some(2),
            memory: Some(24 << 30),
            gpu: None,
        },
        stages: vec![
            Stage {
                name: "fit".into(),
                seconds: 61.25,
                cells: 5,
            },
            Stage {
                name: "forest".into(),
                seconds: 0.5,
                cells: 1,
            },
        ],
        notes: vec![],
        peak_memory: Some(3 << 29),
        cells: vec![CellSource {
            row: "PatchCore".into(),
            class: "high-shot".into(),
            seed: 1,
            kind: "maps".into(),
            key: "ab".repeat(32),
        }],
    }
}

fn wrong(id: &str, label: Label, score: f32) -> WrongImage {
    let reason = |segment: &str, statistic: &str, value, contribution| Reason {
        segment: segment.into(),
        detector: "patchcore".into(),
        statistic: statistic.into(),
        value: Some(value),
        usual: None,
        contribution,
    };
    WrongImage {
        id: ImageId::new(id),
        row: "PatchCore + SegAD".into(),
        class: "high-shot".into(),
        seed: 1,
        label,
        group: if label.is_bad() {
            "p33".into()
        } else {
            "good".into()
        },
        score,
        threshold: 1.04,
        pictures: vec![
            ("photograph".into(), png::png(127, cell_picture)),
            ("heat map".into(), png::png(127, heat)),
        ],
        reasons: vec![
            reason("busbar 2", "q99.5", 2.31, 0.412),
            reason("band 3", "kurtosis", 11.02, -0.207),
            reason("", "max", 3.9, 0.11),
        ],
    }
}

fn full_report(e: &Experiment, scores: &ScoreTable) -> String {
    let results = Results::from_scores(e, scores).unwrap();
    let p = provenance();
    let mut report = Report::new(&results);
    report.provenance = Some(&p);
    report.summary =
        vec!["PatchCore finds most cracked cells; SegAD adds what its segments know.".into()];
    report.notes = vec![Note {
        title: "Does SegAD help?".into(),
        paragraphs: vec!["It does in both protocols, by 2 to 4 points.".into()],
    }];
    report.figures = standard_figures(e, &results, scores).unwrap();
    let losses: Vec<LossCurve> = (0..2)
        .map(|k| LossCurve {
            name: format!("run {k}"),
            points: (0..50)
                .map(|i| (f64::from(i), 1.0 / f64::from(i + 2 + k)))
                .collect(),
        })
        .collect();
    let plot = loss_plot("Training loss", "epoch", &losses).unwrap();
    report.figures.push(Figure {
        title: "Losses".into(),
        text: String::new(),
        plots: vec![plot],
    });
    report.wrong = vec![
        wrong("images/cell0912.png", Label::Bad, 0.731),
        wrong("images/cell1033.png", Label::Good, 1.822),
        wrong("images/cell1304.png", Label::Bad, 0.8),
    ];
    for (i, segment) in ["background", "busbar 1", "busbar 2", "band 1"]
        .iter()
        .enumerate()
    {
        for (j, statistic) in ["q99.5", "skew", "kurtosis", "mean"].iter().enumerate() {
            report.importance.push(Importance {
                row: "PatchCore + SegAD".into(),
                segment: (*segment).into(),
                detector: "patchcore".into(),
                statistic: (*statistic).into(),
                gain: ((i * 5 + j * 3) % 11) as f64,
            });
            report.drift.push(FeatureDrift {
                row: "PatchCore + SegAD".into(),
                class: "high-shot".into(),
                feature: format!("patchcore/{segment}/{statistic}"),
                label: if j % 2 == 0 { Label::Good } else { Label::Bad },
                ks: ((i * 7 + j) % 13) as f64 / 13.0,
                psi: Some(0.1),
            });
        }
    }
    report_html(&report).unwrap()
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "keeps the page beside the test's binary, for a look at it"
)]
fn the_whole_report_is_well_formed_and_stable() {
    let (e, scores) = demo();
    let html = full_report(&e, &scores);
    std::fs::write(concat!(env!("CARGO_TARGET_TMPDIR"), "/report.html"), &html).unwrap();
    assert!(check_markup(&html) > 500);
    for outside in ["http://", "https://", "<script", "src=\"/", "@import"] {
        assert!(!html.contains(outside), "{outside}");
    }
    for part in [
        "Findings",
        "Plots",
        "Largest errors",
        "Feature importance",
        "Feature drift",
        "Provenance",
        "missed",
        "false alarm",
        "Without a result",
    ] {
        assert!(html.contains(part), "{part}");
    }
    // The same scores in another order, the same bytes.
    let mut rows = scores.rows().to_vec();
    rows.reverse();
    assert!(full_report(&e, &ScoreTable::new(&e, rows, vec![]).unwrap()) == html);
    for figure in
        standard_figures(&e, &Results::from_scores(&e, &scores).unwrap(), &scores).unwrap()
    {
        for plot in figure.plots {
            assert!(!plot.svg().contains("NaN"), "{}", plot.title);
            check_markup(&plot.svg());
        }
    }
}

#[test]
fn shares_of_gain_by_hand() {
    let (e, scores) = demo();
    let results = Results::from_scores(&e, &scores).unwrap();
    let mut report = Report::new(&results);
    let gain = |segment: &str, statistic: &str, gain| Importance {
        row: "r".into(),
        segment: segment.into(),
        detector: "d".into(),
        statistic: statistic.into(),
        gain,
    };
    report.importance = vec![
        gain("a", "mean", 1.0),
        gain("b", "mean", 4.0),
        gain("a", "skew", 2.0),
        gain("b", "skew", 1.0),
    ];
    let html = report_html(&report).unwrap();
    let table = &html[html.find("share of the gain").unwrap()..];
    // b holds 5 of 8 and comes first; mean holds 5 of 8.
    let b = table.find("62.5").unwrap();
    assert!(b < table.find("37.5").unwrap());
    for share in [">50.0<", ">12.5<", ">25.0<"] {
        assert!(table.contains(share), "{share}");
    }
}

#[test]
fn hostile_names_are_text() {
    let evil = "<script>alert(\"1\")</script>&'\u{1}";
    let mut e = Experiment::new(evil, evil, &[AUROC], &[evil], &[evil]);
    e.groups = vec![GroupSpec::new("good", evil, GroupKind::Good)];
    e.rows[0].section = evil.into();
    let mut rows = vec![
        row("1", "good", Label::Good, 0.0),
        row("2", evil, Label::Bad, 1.0),
        row("3", "</svg>", Label::Bad, 1.5),
    ];
    for r in &mut rows {
        r.row = evil.into();
        r.class = evil.into();
    }
    let scores = ScoreTable::new(&e, rows, vec![failure(evil, evil, 2, evil)]).unwrap();
    let results = Results::from_scores(&e, &scores).unwrap();
    let mut p = provenance();
    (p.command, p.commit, p.host.cpu) = (evil.into(), Some(evil.into()), Some(evil.into()));
    p.versions.insert(evil.into(), evil.into());
    p.stages[0].name = evil.into();
    p.cells[0].key = evil.into();
    let mut report = Report::new(&results);
    report.provenance = Some(&p);
    report.summary = vec![evil.into()];
    report.notes = vec![Note {
        title: evil.into(),
        paragraphs: vec![evil.into()],
    }];
    report.figures = standard_figures(&e, &results, &scores).unwrap();
    let mut image = wrong(evil, Label::Bad, 0.1);
    (image.row, image.class, image.group) = (evil.into(), evil.into(), evil.into());
    image.pictures[0].0 = evil.into();
    (
        image.reasons[0].segment,
        image.reasons[0].detector,
        image.reasons[0].statistic,
    ) = (evil.into(), evil.into(), evil.into());
    report.wrong = vec![image];
    report.importance = vec![Importance {
        row: evil.into(),
        segment: evil.into(),
        detector: evil.into(),
        statistic: evil.into(),
        gain: 1.0,
    }];
    report.drift = vec![FeatureDrift {
        row: evil.into(),
        class: evil.into(),
        feature: evil.into(),
        label: Label::Bad,
        ks: 0.5,
        psi: None,
    }];
    let html = report_html(&report).unwrap();
    assert!(!html.contains("<script") && !html.contains('\u{1}'));
    assert!(
        html.matches("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;")
            .count()
            >= 20
    );
    check_markup(&html);
    for plot in report.figures.iter().flat_map(|f| &f.plots) {
        check_markup(&plot.svg());
        assert!(
            plot.name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
            "{}",
            plot.name
        );
    }
    assert_eq!(slug("  A/B + c.. "), "a-b-c");
}

#[test]
fn a_wrong_image_says_how() {
    assert_eq!(wrong("a", Label::Bad, 1.0).kind(), WrongKind::Missed);
    assert_eq!(wrong("a", Label::Good, 1.04).kind(), WrongKind::FalseAlarm);
    assert_eq!(wrong("a", Label::Bad, 1.04).kind(), WrongKind::None);
}

#[test]
fn provenance_reads_back() {
    let text = provenance().to_json().unwrap();
    assert_eq!(
        serde_json::from_str::<Provenance>(&text).unwrap(),
        provenance()
    );
    insta::assert_snapshot!("provenance", text);
}

#[test]
fn plots_are_frozen() {
    let e = Experiment::new("t", "t", &[AUROC], &["a"], &["x"]);
    let rows = synthetic(&e, &[1], 40);
    let scores = ScoreTable::new(&e, rows, vec![]).unwrap();
    let h = Histogram::new("Scores", &scores.cell(0, 0, None).unwrap(), &groups()).unwrap();
    insta::assert_snapshot!("histogram", h.plot(false).unwrap().svg());
}
