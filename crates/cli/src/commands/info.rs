//! `info`: what a model is.

use super::inspect::open_model;
use segad_args::Info;
use segad_product::{Card, Scorer};
use segad_provision::digest;
use segad_runner::Failure;
use serde::Serialize;
use serde_json::{Value, json};

/// Everything as JSON. Not one value of its own, which would hold 32-bit numbers in 64 bits.
#[derive(Serialize)]
struct Told<'a> {
    file: Value,
    card: &'a Card,
}

pub(super) fn run(args: &Info) -> Result<(), Failure> {
    let model = open_model(&args.model)?;
    let bytes = segad_files::read(&args.model)?;
    let sha256 = digest::sha256(&bytes);
    if args.json {
        let sections: Vec<Value> = model
            .sections()
            .map(|(name, content)| {
                json!({ "name": name, "bytes": content.len(), "sha256": digest::sha256(content) })
            })
            .collect();
        let file = json!({
            "schema": model.schema(),
            "bytes": bytes.len(),
            "sha256": sha256,
            "sections": sections,
        });
        let all = Told {
            file,
            card: model.card(),
        };
        return super::print(&(serde_json::to_string_pretty(&all)? + "\n"));
    }
    let card = model.card();
    let mut text = card.summary();
    text.push_str(&format!(
        "\nFile: {:.1} MiB, schema {}, SHA-256 {sha256}\n",
        bytes.len() as f64 / f64::from(1 << 20),
        model.schema(),
    ));
    let versions: Vec<String> = card
        .versions
        .iter()
        .map(|(n, v)| format!("{n} {v}"))
        .collect();
    text.push_str(&format!(
        "Made with: {}; seed {}\n",
        versions.join(", "),
        card.seed
    ));
    text.push_str(&format!("Fitted on: {}\n", fitted_on(card)));
    text.push_str(&format!("Segments: {}\n", card.segment_names.join(", ")));
    for (name, what) in parts(card)? {
        text.push_str(&format!("{name}: {what}\n"));
    }
    for (name, content) in model.sections() {
        text.push_str(&format!("  {name}: {} bytes\n", content.len()));
    }
    super::print(&text)
}

/// Sizes of the images, and the digest that identifies them.
fn fitted_on(card: &Card) -> String {
    let sizes = card.data.sizes.iter();
    let sizes: Vec<String> = sizes.map(|(h, w, n)| format!("{n} of {h}×{w}")).collect();
    let sizes = sizes.join(", ");
    format!("{sizes} pixels (height×width), digest {}", card.data.digest)
}

/// Each part with its settings, then the score that is made of them.
fn parts(card: &Card) -> Result<Vec<(String, String)>, Failure> {
    let mut parts = Vec::new();
    for detector in &card.detectors {
        let settings = serde_json::to_value(&detector.settings)?;
        parts.push((format!("Detector {}", detector.name), flat(&settings)));
    }
    if let Some(classifier) = &card.classifier {
        let settings = serde_json::to_value(&classifier.settings)?;
        parts.push((format!("Classifier {}", classifier.name), flat(&settings)));
    }
    if let Some(tokens) = &card.tokens {
        let names: Vec<&str> = tokens.parts.iter().map(|p| p.part.name()).collect();
        let settings = flat(&serde_json::to_value(&tokens.settings)?);
        parts.push((format!("Patch tokens ({})", names.join(", ")), settings));
    }
    let single = card.scorer.single();
    let scores: Vec<String> = single.into_iter().map(|s| score(card, s)).collect();
    parts.push(("Score".to_owned(), scores.join("; ")));
    Ok(parts)
}

fn score(card: &Card, scorer: &Scorer) -> String {
    match scorer {
        Scorer::Detector { detector } => {
            let detector = &card.detectors[*detector];
            format!(
                "{} of {}'s map",
                detector.settings.map_score(),
                detector.name
            )
        }
        Scorer::Classifier { .. } => "the classifier's logit".to_owned(),
        Scorer::Tokens { part } => format!("{} of the patch tokens", part.name()),
        Scorer::Forest { monotone, g } => format!(
            "a boosted random forest on {} columns{}{}",
            card.usual.len(),
            if *monotone { ", monotone" } else { "" },
            if g.is_some() {
                ", with the classifier's logit"
            } else {
                ""
            }
        ),
        Scorer::Stack { .. } => String::new(),
    }
}

/// Settings on one line.
fn flat(settings: &Value) -> String {
    let Value::Object(settings) = settings else {
        return settings.to_string();
    };
    let settings = settings.iter().filter(|(_, value)| !value.is_null());
    let pairs: Vec<String> = settings
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    pairs.join(", ")
}
