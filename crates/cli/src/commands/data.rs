//! `data`: look at what goes in.

use super::setup;
use crate::session::Session;
use segad_args::DataCommand;
use segad_core::{ImageId, Sample, Seed};
use segad_datasets::{Dataset, Entry, Protocol, ProtocolParams};
use segad_runner::Failure;
use segad_runner::progress::Bars;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// How many names of a kind are listed before the rest is counted.
const LISTED: usize = 20;

pub(super) fn run(command: DataCommand, session: &Session) -> Result<(), Failure> {
    match command {
        DataCommand::Verify { dataset, data } => {
            verify(&open(&dataset, data.as_deref(), session)?, &session.bars)
        }
        DataCommand::Miniature { folder, size, seed } => {
            let params = segad_miniature::Params {
                size,
                seed: segad_core::Seed(seed),
            };
            segad_miniature::write(&folder, &params, &session.bars).map_err(Failure::input)
        }
        DataCommand::Split {
            dataset,
            out,
            class,
            protocol,
            seed,
            run,
            data,
        } => {
            let dataset = open(&dataset, data.as_deref(), session)?;
            split(&dataset, &out, class.as_deref(), protocol, Seed(seed), run)
        }
    }
}

/// Looks at every file of a data set.
fn verify(dataset: &Dataset, bars: &Bars) -> Result<(), Failure> {
    let mut text = String::new();
    let mut wrong = 0;
    for class in dataset.classes() {
        let report = dataset.verify(class, bars).map_err(Failure::input)?;
        wrong += usize::from(!report.is_ok());
        let verdict = if report.is_ok() {
            "as it should be"
        } else {
            "not as it should be"
        };
        text.push_str(&format!("{class}: {} images, {verdict}\n", report.images));
        list(
            &mut text,
            "missing",
            report.missing.iter().map(ToString::to_string).collect(),
        );
        list(&mut text, "extra", report.extra);
        let unreadable = report
            .unreadable
            .iter()
            .map(|(id, why)| format!("{id}: {why}"))
            .collect();
        list(&mut text, "unreadable", unreadable);
        let counts = report.counts.iter();
        let counts = counts.map(|c| {
            format!(
                "{} {}: {} expected, {} found",
                c.part.as_str(),
                c.group,
                c.expected,
                c.found
            )
        });
        list(&mut text, "count", counts.collect());
        list(&mut text, "fault", report.faults);
    }
    super::print(&text)?;
    match wrong {
        0 => Ok(()),
        n => Err(Failure::Input(format!(
            "{n} classes of {} are not as they should be",
            dataset.manifest().name
        ))),
    }
}

fn open(name: &str, data: Option<&Path>, session: &Session) -> Result<Dataset, Failure> {
    setup::dataset(name, None, data, &session.cache()?, &session.bars)
}

/// Copies what trains and what tests, each with a list.
fn split(
    dataset: &Dataset,
    out: &Path,
    class: Option<&str>,
    protocol: Protocol,
    seed: Seed,
    run: usize,
) -> Result<(), Failure> {
    if run == 0 {
        return Err(Failure::Configuration(
            "--run 0: expected at least 1".to_owned(),
        ));
    }
    let classes = dataset.classes();
    let class = class.or(classes.first().copied()).unwrap_or_default();
    let index = dataset.index(class).map_err(Failure::configuration)?;
    let split = protocol
        .split(&index, seed, &ProtocolParams::default())
        .map_err(Failure::configuration)?;
    let entries: HashMap<&ImageId, &Entry> = index.entries().iter().map(|e| (&e.id, e)).collect();
    let mut train: Vec<&Sample> = split
        .detector
        .samples()
        .iter()
        .chain(split.forest.samples())
        .collect();
    let mut seen = HashSet::new();
    train.retain(|s| seen.insert(&s.id));
    let test: Vec<&Sample> = split
        .test
        .samples()
        .iter()
        .filter(|s| split.is_headline(s))
        .collect();
    let mut text = String::new();
    for (list, samples) in [("train.csv", train), ("test.csv", test)] {
        let mut lines = "path,label,type,group\n".to_owned();
        for sample in &samples {
            let name = sample.id.as_str().rsplit('/').next().unwrap_or_default();
            let below = format!("images/{name}");
            let group = entries.get(&sample.id).map(|e| {
                e.unit
                    .clone()
                    .unwrap_or_else(|| format!("run {}", e.order / run))
            });
            // The label is no kind of defect.
            let kind = if sample.group == sample.label.as_str() {
                ""
            } else {
                &sample.group
            };
            lines.push_str(&format!(
                "{below},{},{kind},{}\n",
                sample.label,
                group.unwrap_or_default()
            ));
            let place = out.join(&below);
            segad_files::create_dir(place.parent().unwrap_or(out)).map_err(Failure::input)?;
            let bytes = segad_files::read(&dataset.path(&sample.id)).map_err(Failure::input)?;
            segad_files::write_atomic(&place, &bytes).map_err(Failure::input)?;
        }
        segad_files::write_atomic(&out.join(list), lines.as_bytes()).map_err(Failure::input)?;
        let bad = samples.iter().filter(|s| s.label.is_bad()).count();
        let good = samples.len() - bad;
        text.push_str(&format!(
            "{}: {good} good, {bad} bad\n",
            out.join(list).display()
        ));
    }
    super::print(&text)
}

fn list(text: &mut String, what: &str, names: Vec<String>) {
    for name in names.iter().take(LISTED) {
        text.push_str(&format!("  {what}: {name}\n"));
    }
    if names.len() > LISTED {
        text.push_str(&format!("  {what}: and {} more\n", names.len() - LISTED));
    }
}
