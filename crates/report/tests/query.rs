//! Queries over the metrics of several experiments, by hand-calculated numbers.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests, which clippy does not take for tests"
)]

mod common;

use common::{AUROC, failure, value};
use segad_report::{
    Answer, Column, Experiment, Observation, Query, ReportError, Results, differences,
    differences_csv, metrics_csv, read_metrics,
};

const FIRST: &str = "row,class,seed,metric,value
SegAD,mono,1,cl_auroc,84.000000
SegAD,mono,2,cl_auroc,88.000000
SegAD,mono,3,cl_auroc,
SegAD,poly,1,cl_auroc,70.000000
PatchCore,mono,1,cl_auroc,81.000000
PatchCore,mono,2,cl_auroc,87.000000
PatchCore,mono,3,cl_auroc,90.000000
PatchCore,poly,1,cl_auroc,72.000000
SegAD,mono,1,ap,50.000000
PatchCore,mono,1,ap,40.000000
";
const SECOND: &str = "row,class,seed,metric,value
SegAD,mono,1,cl_auroc,60.000000
\"Max., alone\",mono,1,cl_auroc,50.000000
";

fn observations() -> Vec<Observation> {
    let first = read_metrics("elpv", FIRST).unwrap();
    [first, read_metrics("demo", SECOND).unwrap()].concat()
}

fn query(filters: &[&str], by: &[Column]) -> Query {
    Query {
        filters: filters.iter().map(|f| f.parse().unwrap()).collect(),
        by: by.to_vec(),
    }
}

fn lines(answer: &Answer) -> Vec<String> {
    let text = answer.csv().unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn groups_have_mean_spread_and_count() {
    let all = query(&["metric=cl_auroc"], &[Column::Experiment, Column::Row]);
    let answer = all.summary(&observations()).unwrap();
    // SegAD: (84 + 88 + 70)/3 = 80.6667; PatchCore: (81 + 87 + 90 + 72)/4 = 82.5. Both hold a seed
    // twice, once per class, and then have no spread.
    assert_eq!(
        lines(&answer),
        [
            "experiment,row,metric,mean,std,n,seeds,missing",
            "elpv,SegAD,cl_auroc,80.6667,,3,2,1",
            "elpv,PatchCore,cl_auroc,82.5000,,4,3,0",
            "demo,SegAD,cl_auroc,60.0000,0.0000,1,1,0",
            "demo,\"Max., alone\",cl_auroc,50.0000,0.0000,1,1,0",
        ]
    );
    // One class: (84 + 88)/2 = 86, deviations −2 and 2, root of (4 + 4)/2.
    let mono = query(
        &[
            "row=SegAD",
            "class=mono",
            "experiment=elpv",
            "metric=cl_auroc",
        ],
        &[],
    );
    let expected = "cl_auroc,86.0000,2.0000,2,2,1";
    assert_eq!(
        lines(&mono.summary(&observations()).unwrap())[1..],
        [expected]
    );
    // Across experiments; metrics are never mixed.
    let answer = query(&["row=SegAD", "class=mono"], &[]).summary(&observations());
    assert_eq!(
        lines(&answer.unwrap()),
        [
            "metric,mean,std,n,seeds,missing",
            "cl_auroc,77.3333,,3,2,1",
            "ap,50.0000,0.0000,1,1,0"
        ]
    );
    let seeds = query(
        &["seed=1", "seed=2", "row=PatchCore", "class=mono"],
        &[Column::Seed],
    );
    let expected = [
        "seed,metric,mean,std,n,seeds,missing",
        "1,cl_auroc,81.0000,0.0000,1,1,0",
        "2,cl_auroc,87.0000,0.0000,1,1,0",
        "1,ap,40.0000,0.0000,1,1,0",
    ];
    assert_eq!(lines(&seeds.summary(&observations()).unwrap()), expected);
}

#[test]
fn rows_are_compared_seed_by_seed() {
    let by = [Column::Experiment, Column::Row, Column::Class];
    let answer = query(&[], &by)
        .difference("PatchCore", &observations())
        .unwrap();
    // Seed 3 of SegAD failed, so mono has the pairs 3 and 1: mean 2, s = √2, √2/√2 · t(0.95, 1) =
    // 12.7062. The second experiment has no PatchCore.
    assert_eq!(
        lines(&answer),
        [
            "row,base,experiment,class,metric,mean,low95,high95,larger,n",
            "SegAD,PatchCore,elpv,mono,cl_auroc,2.0000,-10.7062,14.7062,2,2",
            "SegAD,PatchCore,elpv,poly,cl_auroc,-2.0000,,,0,1",
            "SegAD,PatchCore,elpv,mono,ap,10.0000,,,1,1",
        ]
    );
    // Both classes together: the seed of poly's pair is also one of mono's.
    let pooled = query(&["metric=cl_auroc"], &[Column::Row])
        .difference("PatchCore", &observations())
        .unwrap();
    let expected = "SegAD,PatchCore,cl_auroc,0.6667,,,2,3";
    assert_eq!(lines(&pooled)[1..], [expected]);
    // A filter on rows chooses what is compared, not what it is compared with.
    let one = query(&["row=Max., alone"], &[])
        .difference("SegAD", &observations())
        .unwrap();
    let expected = "\"Max., alone\",SegAD,cl_auroc,-10.0000,,,0,1";
    assert_eq!(lines(&one)[1..], [expected]);
}

#[test]
fn answers_read_as_markdown_and_json() {
    let query = query(&["experiment=demo"], &[Column::Row]);
    let answer = query.summary(&observations()).unwrap();
    let expected = "| row | metric | mean | std | n | seeds | missing |
| :--- | :--- | ---: | ---: | ---: | ---: | ---: |
| SegAD | cl\\_auroc | 60.0 | 0.0 | 1 | 1 | 0 |
| Max., alone | cl\\_auroc | 50.0 | 0.0 | 1 | 1 | 0 |
";
    assert_eq!(answer.markdown(), expected);
    let plain = segad_report::unescape(&answer.markdown());
    assert!(plain.contains("| SegAD | cl_auroc | 60.0 |"), "{plain}");
    let json = answer.json().unwrap();
    assert!(
        json.starts_with(
            "[\n  {\n    \"row\": \"SegAD\",\n    \"metric\": \"cl_auroc\",\n    \"mean\": 60.0,"
        ),
        "{json}"
    );
    let pairs = self::query(&["class=poly"], &[]).difference("PatchCore", &observations());
    assert!(pairs.unwrap().json().unwrap().contains("\"low95\": null"));
}

#[test]
fn typing_errors_are_named() {
    let error = |filter: &str| query(&[filter], &[]).summary(&observations()).unwrap_err();
    let text = error("row=Segad").to_string();
    assert_eq!(
        text,
        "row = Segad: expected one of SegAD, PatchCore, Max., alone"
    );
    assert!(matches!(error("seed=9"), ReportError::NoValue { .. }));
    let base = query(&[], &[]).difference("WRN", &observations());
    assert!(matches!(
        base,
        Err(ReportError::NoValue { column: "row", .. })
    ));
    let column = "kind=x".parse::<segad_report::Filter>().unwrap_err();
    let expected = "\"kind\": expected one of experiment, row, class, seed, metric";
    assert_eq!(column.to_string(), expected);
    assert!(read_metrics("x", "row,class\na,b\n").is_err());
    assert!(read_metrics("x", &FIRST.replace("84.000000", "high")).is_err());
}

#[test]
fn the_papers_numbers_stand_beside_ours() {
    let rows = ["PatchCore", "EfficientAD"];
    let mut experiment = Experiment::new("t2", "VAD", &[AUROC], &rows, &["vad"]);
    let values = vec![
        value("PatchCore", "vad", 1, "cl_auroc", 90.0),
        value("PatchCore", "vad", 2, "cl_auroc", 92.0),
        value("EfficientAD", "vad", 1, "cl_auroc", 80.0),
    ];
    let failures = vec![failure("EfficientAD", "vad", 2, "killed")];
    let own = Results::from_values(&experiment, values.clone(), failures.clone()).unwrap();
    experiment.paper = Some("2".into());
    let compared = Results::from_values(&experiment, values, failures).unwrap();
    let results = [("own".to_owned(), own), ("t2".to_owned(), compared)];
    let answer = query(&["row=PatchCore"], &[])
        .against_paper(&results)
        .unwrap();
    // Table 2 prints 88.3 ± 0.3 for PatchCore.
    let expected = "t2,PatchCore,vad,cl_auroc,91.0000,1.0000,2,88.3000,2.7000,differs";
    assert_eq!(lines(&answer)[1..], [expected]);
    let all = query(&[], &[]).against_paper(&results).unwrap();
    assert_eq!(lines(&all).len(), 3);
    let seeds = query(&["seed=1"], &[]).against_paper(&results);
    assert!(matches!(seeds, Err(ReportError::Column { .. })));
}

#[test]
fn differences_of_a_result_include_the_mean_over_classes() {
    let e = Experiment::new("t", "t", &[AUROC], &["a", "b"], &["x", "y"]);
    let values = vec![
        value("a", "x", 1, "cl_auroc", 80.0),
        value("a", "x", 2, "cl_auroc", 84.0),
        value("a", "y", 1, "cl_auroc", 70.0),
        value("a", "y", 2, "cl_auroc", 70.0),
        value("b", "x", 1, "cl_auroc", 83.0),
        value("b", "x", 2, "cl_auroc", 85.0),
        value("b", "y", 1, "cl_auroc", 69.0),
    ];
    let results = Results::from_values(&e, values, vec![failure("b", "y", 2, "?")]).unwrap();
    let found = differences(&results, "a").unwrap();
    let classes: Vec<&str> = found.iter().map(|d| d.class.as_str()).collect();
    assert_eq!(classes, ["x", "y", "mean"]);
    // x: 3 and 1. y: −1, one seed. Mean over classes, seed 1: 76 − 75.
    assert_eq!(
        (found[0].mean, found[0].range, found[0].larger),
        (2.0, [1.0, 3.0], 2)
    );
    assert_eq!(
        (found[1].mean, found[1].interval, found[1].n),
        (-1.0, None, 1)
    );
    assert_eq!((found[2].mean, found[2].n), (1.0, 1));
    let csv = differences_csv(&found).unwrap();
    let expected = "row,base,class,metric,mean,low95,high95,larger,n\nb,a,x,cl_auroc,2.000,-10.706,14.706,2,2\n";
    assert_eq!(csv, expected);
    let again = read_metrics("t", &metrics_csv(&results).unwrap()).unwrap();
    assert_eq!(again.iter().filter(|o| o.value.is_none()).count(), 1);
}
