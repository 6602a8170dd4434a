//! Kinds of defect that training left out, one after the other.

use crate::card::Unseen;
use crate::choose::Kind;
use crate::error::Result;
use segad_core::Label;
use segad_metrics::Scores;

/// How well scores by a head that had not seen a kind of defect find it; `without` holds those of
/// all images, for each kind.
pub(crate) fn unseen(
    kinds: &[Kind],
    without: &[Option<Vec<f32>>],
    labels: &[Label],
    threshold: f64,
) -> Result<Vec<Unseen>> {
    let mut all = Vec::new();
    for (kind, scores) in kinds.iter().zip(without) {
        let Some(scores) = scores else { continue };
        let own: Vec<f32> = kind.members.iter().map(|&i| scores[i]).collect();
        let images = scores.iter().zip(labels);
        let good: Vec<f32> = images
            .filter(|(_, l)| !l.is_bad())
            .map(|(&s, _)| s)
            .collect();
        all.push(Unseen {
            kind: kind.name.clone(),
            images: own.len(),
            auroc: Scores::split(&good, &own)?.auroc(),
            found: own.iter().filter(|s| f64::from(**s) >= threshold).count(),
        });
    }
    Ok(all)
}
