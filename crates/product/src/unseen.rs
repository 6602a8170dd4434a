//! Kinds of defect that training left out, one after the other.

use crate::card::{Scorer, Unseen};
use crate::data::{Data, Item};
use crate::error::Result;
use crate::heads::Problem;
use segad_metrics::Scores;
use std::collections::BTreeSet;

/// Each kind of defect left out of training: the same scorer, measured on that kind.
pub(crate) fn unseen(
    data: &Data<'_>,
    problem: &Problem<'_>,
    scorer: &Scorer,
    scores: &[f32],
    threshold: f64,
) -> Result<Vec<Unseen>> {
    let kinds: BTreeSet<&str> = data.items.iter().filter_map(Item::kind).collect();
    let bad = problem.labels.iter().filter(|l| l.is_bad()).count();
    let mut all = Vec::new();
    for kind in kinds {
        let is_left_out = |i: usize| data.items[i].kind() == Some(kind);
        let members: Vec<usize> = (0..data.items.len()).filter(|&i| is_left_out(i)).collect();
        // Something bad must be left to learn from in every fold.
        if members.len() == bad || !problem.possible(scorer, is_left_out) {
            continue;
        }
        let scores = match scorer {
            // A detector sees no bad image anyway.
            Scorer::Detector { .. } => scores.to_vec(),
            scorer => problem.out_of_fold(scorer, is_left_out)?,
        };
        let own: Vec<f32> = members.iter().map(|&i| scores[i]).collect();
        let mut good = Vec::new();
        for (score, label) in scores.iter().zip(problem.labels) {
            if !label.is_bad() {
                good.push(*score);
            }
        }
        all.push(Unseen {
            kind: kind.to_owned(),
            images: own.len(),
            auroc: Scores::split(&good, &own)?.auroc(),
            found: own.iter().filter(|s| f64::from(**s) >= threshold).count(),
        });
    }
    Ok(all)
}
