//! Which detectors a budget allows.

use crate::backbones::WeightsSource;
use crate::error::{ProductError, Result};
use crate::tokens::TokenSettings;
use segad_methods::DetectorSettings;
use segad_nn::BackboneKind;

/// What PatchCore on a backbone is taken to cost for one image of 256×256 on one core, in
/// milliseconds: estimates of the right order, not measurements. They are fixed, so that the same
/// budget chooses the same detectors on every machine; `segad bench` measures yours.
const COSTS: [(BackboneKind, f64); 5] = [
    (BackboneKind::WideResnet50_2, 420.0),
    (BackboneKind::Resnet18, 70.0),
    (BackboneKind::EfficientnetLite2, 45.0),
    (BackboneKind::EfficientnetLite1, 40.0),
    (BackboneKind::EfficientnetLite0, 35.0),
];

/// The network of patch tokens, and what its tokens of 16×16 places and their nearest neighbours are
/// taken to cost for one image on one core, in milliseconds.
pub const TOKENS: (BackboneKind, f64) = (BackboneKind::Dinov2Vits14, 160.0);

/// The patch tokens that the budget allows beside the cheapest detector whose weights are there, and
/// what is left for detectors.
pub fn tokens(
    latency_ms: f64,
    image_size: usize,
    weights: &dyn WeightsSource,
) -> (Option<TokenSettings>, f64) {
    let (kind, cost) = TOKENS;
    let factor = (image_size as f64 / 256.0).powi(2);
    let cheapest = COSTS.iter().rfind(|(kind, _)| weights.has(*kind));
    let left = latency_ms - cost;
    if weights.has(kind) && cheapest.is_some_and(|(_, ms)| ms * factor <= left) {
        return (TokenSettings::of(kind), left);
    }
    (None, latency_ms)
}

/// PatchCore on the strongest backbone whose weights are there and whose cost for one image stays
/// within `latency_ms` per core.
///
/// # Errors
/// [`ProductError::Setting`] if the budget is below the cheapest, [`ProductError::Weights`] if no
/// weights are there.
pub fn detectors(
    latency_ms: f64,
    image_size: usize,
    weights: &dyn WeightsSource,
) -> Result<Vec<DetectorSettings>> {
    let backbone = backbone(latency_ms, image_size, weights)?;
    Ok(vec![DetectorSettings::named(
        "patchcore",
        backbone,
        image_size,
    )?])
}

/// The strongest backbone whose weights are there and that the budget allows.
///
/// # Errors
/// As [`detectors`].
pub fn backbone(
    latency_ms: f64,
    image_size: usize,
    weights: &dyn WeightsSource,
) -> Result<BackboneKind> {
    // Convolutions take time by area; the costs were measured at 256 pixels.
    let factor = (image_size as f64 / 256.0).powi(2);
    let there: Vec<_> = COSTS
        .into_iter()
        .filter(|(kind, _)| weights.has(*kind))
        .collect();
    let Some(&(_, cheapest)) = there.last() else {
        // The source says what to do about it.
        weights
            .weights(BackboneKind::EfficientnetLite2)
            .map_err(ProductError::Weights)?;
        return Err(ProductError::Weights(
            "no backbone's weights are there".into(),
        ));
    };
    // The first that is fast enough, as the most accurate come first.
    let within = there.iter().find(|(_, ms)| ms * factor <= latency_ms);
    let Some(&(kind, _)) = within else {
        return Err(ProductError::Setting {
            name: "latency-ms",
            value: latency_ms.to_string(),
            expected: format!(
                "at least {:.0} ms for an image of {image_size} pixels",
                cheapest * factor
            ),
        });
    };
    Ok(kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_core::BoxError;

    struct Present(Vec<BackboneKind>);

    impl WeightsSource for Present {
        fn weights(&self, _: BackboneKind) -> std::result::Result<Vec<u8>, BoxError> {
            Err("fetch them".into())
        }

        fn has(&self, kind: BackboneKind) -> bool {
            self.0.contains(&kind)
        }
    }

    #[test]
    fn the_strongest_within_the_budget() {
        let both = Present(vec![
            BackboneKind::WideResnet50_2,
            BackboneKind::EfficientnetLite2,
        ]);
        let chosen = |ms, size| backbone(ms, size, &both);
        assert_eq!(chosen(1000.0, 256).unwrap(), BackboneKind::WideResnet50_2);
        assert_eq!(chosen(100.0, 256).unwrap(), BackboneKind::EfficientnetLite2);
        assert!(matches!(
            chosen(100.0, 512),
            Err(ProductError::Setting { .. })
        ));
        let three = Present(vec![
            BackboneKind::EfficientnetLite2,
            BackboneKind::Dinov2Vits14,
        ]);
        let (found, left) = tokens(1e3, 256, &three);
        assert_eq!(found.unwrap().layers, ["block5", "block7"]);
        assert_eq!(left, 840.0);
        // The detector needs 45 ms of it, or four times as much.
        assert!(tokens(206.0, 256, &three).0.is_some());
        assert_eq!(tokens(204.0, 256, &three), (None, 204.0));
        assert_eq!(tokens(206.0, 512, &three), (None, 206.0));
        assert_eq!(tokens(1e3, 256, &both), (None, 1e3));
        assert!(matches!(
            detectors(1e3, 256, &Present(vec![])),
            Err(ProductError::Weights(_))
        ));
    }
}
