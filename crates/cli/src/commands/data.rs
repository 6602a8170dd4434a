//! `data`: verify, generate and split data sets.

use super::setup;
use crate::session::Session;
use segad_args::DataCommand;
use segad_core::{ImageId, Sample, Seed};
use segad_datasets::{Dataset, Entry, Protocol, ProtocolParams};
use segad_runner::Failure;
use segad_runner::progress::Bars;
use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::path::Path;

/// How many names of a kind are listed; the rest are only counted.
const LISTED: usize = 20;

pub(super) fn run(command: DataCommand, session: &Session) -> Result<(), Failure> {
    match command {
        DataCommand::Verify { dataset, data } => {
            verify(&open(&dataset, data.as_deref(), session)?, &session.bars)
        }
        DataCommand::Miniature { folder, size, seed } => {
            let params = segad_miniature::Params {
                size,
                seed: Seed(seed),
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
        let report = dataset.verify(class, bars)?;
        wrong += usize::from(!report.is_ok());
        let verdict = if report.is_ok() { "complete" } else { "faulty" };
        text.push_str(&format!("{class}: {} images, {verdict}\n", report.images));
        list(&mut text, "missing", report.missing.iter());
        list(&mut text, "extra", report.extra.iter());
        let unreadable = report.unreadable.iter();
        list(
            &mut text,
            "unreadable",
            unreadable.map(|(id, why)| format!("{id}: {why}")),
        );
        let counts = report.counts.iter().map(|c| {
            format!(
                "{} {}: {} expected, {} found",
                c.part.as_str(),
                c.group,
                c.expected,
                c.found
            )
        });
        list(&mut text, "count", counts);
        list(&mut text, "fault", report.faults.iter());
    }
    super::print(&text)?;
    match wrong {
        0 => Ok(()),
        n => Err(Failure::Input(format!(
            "{n} classes of {} are faulty",
            dataset.manifest().name
        ))),
    }
}

fn open(name: &str, data: Option<&Path>, session: &Session) -> Result<Dataset, Failure> {
    setup::dataset(name, data, &session.cache()?, &session.bars)
}

/// Copies the images that train and those that test, each with a list.
fn split(
    dataset: &Dataset,
    out: &Path,
    class: Option<&str>,
    protocol: Protocol,
    seed: Seed,
    run: usize,
) -> Result<(), Failure> {
    let classes = dataset.classes();
    let class = class.or(classes.first().copied()).unwrap_or_default();
    let index = dataset.index(class).map_err(Failure::configuration)?;
    let split = protocol
        .split(&index, seed, &ProtocolParams::default())
        .map_err(Failure::configuration)?;
    let entries: HashMap<&ImageId, &Entry> = index.entries().iter().map(|e| (&e.id, e)).collect();
    // An image may train the detector and the forest.
    let mut train: Vec<&Sample> = Vec::new();
    let mut seen = HashSet::new();
    for sample in split
        .detector
        .samples()
        .iter()
        .chain(split.forest.samples())
    {
        if seen.insert(&sample.id) {
            train.push(sample);
        }
    }
    let test = split.test.samples().iter();
    // What the paper does not count cannot be told apart in a list, so it is left out.
    let test: Vec<&Sample> = test.filter(|s| split.is_headline(s)).collect();
    super::outputs::keep_apart("--out", out, dataset.base())?;
    let mut copied = HashSet::new();
    let mut text = String::new();
    for (list, samples) in [("train.csv", train), ("test.csv", test)] {
        let mut lines = "path,label,type,group\n".to_owned();
        for sample in &samples {
            let name = sample.id.as_str().rsplit('/').next().unwrap_or_default();
            let below = format!("images/{name}");
            if !copied.insert(below.clone()) {
                return Err(Failure::Input(format!(
                    "{}: another image of the split has this file name; {below} can hold only one",
                    sample.id
                )));
            }
            let entry = entries
                .get(&sample.id)
                .expect("a protocol splits the images of its index");
            // Photographs taken in a row are alike; the list says so, so that folds keep them
            // together.
            let group = match &entry.unit {
                Some(unit) => unit.clone(),
                None => format!("run {}", entry.order / run),
            };
            // A group that just repeats the label is not a kind of defect.
            let kind = if sample.group == sample.label.as_str() {
                ""
            } else {
                &sample.group
            };
            lines.push_str(&format!("{below},{},{kind},{group}\n", sample.label));
            let bytes = segad_files::read(&dataset.path(&sample.id))?;
            segad_files::write_with_parents(&out.join(&below), &bytes)?;
        }
        let list = out.join(list);
        segad_files::write_with_parents(&list, lines.as_bytes())?;
        let bad = samples.iter().filter(|s| s.label.is_bad()).count();
        let good = samples.len() - bad;
        text.push_str(&format!("{}: {good} good, {bad} bad\n", list.display()));
    }
    super::print(&text)
}

fn list(text: &mut String, what: &str, names: impl ExactSizeIterator<Item = impl Display>) {
    let more = names.len().saturating_sub(LISTED);
    for name in names.take(LISTED) {
        text.push_str(&format!("  {what}: {name}\n"));
    }
    if more > 0 {
        text.push_str(&format!("  {what}: and {more} more\n"));
    }
}
