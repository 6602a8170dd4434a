//! How well each way to a score does on images that had no part in the fit.

use crate::backbones::WeightsSource;
use crate::card::{Candidate, Card, Scorer};
use crate::data::Data;
use crate::error::Result;
use crate::fit::{FitSettings, with_parts};
use crate::head::Head;
use crate::inspector::Inspector;
use crate::model::Model;
use rayon::prelude::*;
use segad_core::FitContext;
use segad_features::Scratch;
use segad_heads::Stack;

/// A way to a score: what the fit says of it, and what it says of the held-out images.
#[derive(Clone, Debug)]
pub struct Studied {
    /// Its figures on the images of the fit, each scored without its fold.
    pub told: Candidate,
    /// Those scores.
    pub out_of_fold: Vec<f32>,
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
    /// Fold and group of each image of the fit.
    pub folds: Vec<usize>,
    /// See [`Study::folds`].
    pub units: Vec<usize>,
    /// The card of the stack, with its threshold and promises.
    pub card: Card,
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
        let mut everything = choice.clone();
        // The weights of this one are not used; they must only be there.
        let columns = vec![vec![0.0, 1.0]; choice.singles.len()];
        let labels = [segad_core::Label::Good; 2];
        everything.scorer = Scorer::Stack {
            parts: choice
                .singles
                .iter()
                .map(|(part, _)| part.clone())
                .collect(),
            weights: Stack::equal(&columns, &labels)?,
        };
        let model = pack.pack(&kinds, &everything, &crossfit)?;
        let scores = score_all(&model, held_out, ctx)?;
        let mut candidates: Vec<Studied> = Vec::new();
        for (n, told) in choice.candidates.iter().enumerate() {
            let scores = match &choice.scorer {
                Scorer::Stack { parts, weights } if n == choice.singles.len() => {
                    let at = |name: &str| {
                        choice
                            .singles
                            .iter()
                            .position(|(part, _)| part.name == name)
                    };
                    let used: Vec<usize> = parts.iter().filter_map(|p| at(&p.name)).collect();
                    let stacked = scores.iter().map(|all| {
                        let raw: Vec<f64> = used.iter().map(|&u| f64::from(all[u])).collect();
                        weights.score(&raw) as f32
                    });
                    stacked.collect()
                }
                _ => scores.iter().map(|all| all[n]).collect(),
            };
            let single = choice.singles.get(n);
            candidates.push(Studied {
                told: told.clone(),
                out_of_fold: single.map_or(&choice.scores, |(_, scores)| scores).clone(),
                scores,
            });
        }
        let blamed = blamed(&pack.pack(&kinds, &choice, &crossfit)?, held_out, ctx)?;
        let card = model.card().clone();
        Ok(Study {
            candidates,
            left_out: choice.left_out.iter().map(|l| l.name.clone()).collect(),
            blamed,
            folds: pack.prepared.folds.clone(),
            units: pack.prepared.survey.units.clone(),
            card,
        })
    })
}

/// The score of every part for every image.
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
            all.push(inspector.part_scores(&image, &mut scratch)?);
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
