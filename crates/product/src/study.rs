//! How well each way to a score does on images that had no part in the fit.

use crate::backbones::WeightsSource;
use crate::card::{Candidate, Scorer};
use crate::choose::Choice;
use crate::data::Data;
use crate::error::Result;
use crate::fit::{FitSettings, with_parts};
use crate::head::Head;
use crate::inspector::Inspector;
use crate::model::Model;
use crate::threshold::Operating;
use rayon::prelude::*;
use segad_core::FitContext;
use segad_features::Scratch;

/// A way to a score: what the fit says of it, and what it says of the held-out images.
#[derive(Clone, Debug)]
pub struct Studied {
    /// Its figures on the images of the fit, each scored without its fold.
    pub told: Candidate,
    /// Scores of the held-out images.
    pub scores: Vec<f32>,
}

/// The parts of a stack, and the stack.
#[derive(Clone, Debug)]
pub struct Study {
    /// The stack is the last.
    pub candidates: Vec<Studied>,
    /// The parts that the stack leaves out.
    pub left_out: Vec<String>,
    /// Held-out images whose kind of defect has the name of a segment, by their place, and the
    /// segment of the strongest reason that the stack gives; empty for the image as a whole.
    pub blamed: Vec<(usize, String)>,
    /// The stack's threshold, and what the fit says of it.
    pub operating: Operating,
}

/// Fits a stack, and scores held-out images by it and by every part that could be in it.
///
/// # Errors
/// As [`crate::fit`]; whatever is wrong with a held-out image.
pub fn study(
    data: &Data<'_>,
    held_out: &Data<'_>,
    settings: &FitSettings,
    weights: &dyn WeightsSource,
    ctx: &FitContext,
) -> Result<Study> {
    let settings = FitSettings {
        head: Head::Stack,
        ..settings.clone()
    };
    with_parts(data, &settings, weights, ctx, |pack, crossfit| {
        let (kinds, choice) = pack.choose(&crossfit.observed)?;
        let choice = with_idle_parts(choice);
        let model = pack.pack(&kinds, &choice, &crossfit)?;
        let scores = score_all(&model, held_out, ctx)?;
        let candidates = choice.candidates.iter().enumerate();
        let candidates = candidates.map(|(n, told)| Studied {
            told: told.clone(),
            scores: scores.iter().map(|image| image[n]).collect(),
        });
        Ok(Study {
            candidates: candidates.collect(),
            left_out: choice.left_out.iter().map(|l| l.name.clone()).collect(),
            blamed: blamed(&model, held_out, ctx)?,
            operating: model.card().operating,
        })
    })
}

/// The same stack with the parts that it leaves out at weight 0, so that its model computes them too.
fn with_idle_parts(mut choice: Choice) -> Choice {
    if let Scorer::Stack { parts, weights } = &mut choice.scorer {
        let place = |part| choice.singles.iter().position(|single| single == part);
        let places: Vec<usize> = parts
            .iter()
            .map(|part| place(part).expect("a stack is made of what was measured"))
            .collect();
        *weights = weights.spread(&places, choice.singles.len());
        parts.clone_from(&choice.singles);
    }
    choice
}

/// The score of every part and of the stack for every image.
fn score_all(model: &Model, data: &Data<'_>, ctx: &FitContext) -> Result<Vec<Vec<f32>>> {
    let share = data
        .items
        .len()
        .div_ceil(rayon::current_num_threads())
        .max(1);
    let parts = data.items.par_chunks(share).map(|items| {
        let inspector = Inspector::new(model, ctx.device)?;
        let mut scratch = Scratch::default();
        let mut all = Vec::with_capacity(items.len());
        for item in items {
            let image = data.load(item)?;
            let mut scores = inspector.part_scores(&image, &mut scratch)?;
            if let Scorer::Stack { weights, .. } = &model.card().scorer {
                let raw: Vec<f64> = scores.iter().map(|&s| f64::from(s)).collect();
                scores.push(weights.score(&raw) as f32);
            }
            all.push(scores);
        }
        Ok(all)
    });
    let parts = parts.collect::<Result<Vec<_>>>()?;
    Ok(parts.into_iter().flatten().collect())
}

fn blamed(model: &Model, data: &Data<'_>, ctx: &FitContext) -> Result<Vec<(usize, String)>> {
    let inspector = Inspector::new(model, ctx.device)?;
    let names = &model.card().segment_names;
    let mut blamed = Vec::new();
    for (i, item) in data.items.iter().enumerate() {
        if item
            .kind()
            .is_some_and(|kind| names.iter().any(|n| n == kind))
        {
            let inspection = inspector.inspect(&data.load(item)?)?;
            let first = inspection.reasons.first();
            blamed.push((i, first.map_or_else(String::new, |r| r.segment.clone())));
        }
    }
    Ok(blamed)
}
