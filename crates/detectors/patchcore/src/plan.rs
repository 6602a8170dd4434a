use crate::{NAME, PatchCoreError, PatchCoreParams, projection};
use segad_core::CoreError;
use segad_nn::model::expect_images;

/// Sizes that follow from the parameters and the number of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub patches: usize,
    /// Rows of the memory bank.
    pub bank: usize,
    /// Length of a projected patch; `None` where projecting would not shorten it.
    pub projected: Option<usize>,
    /// Whether the unprojected patches are kept in memory.
    pub keep: bool,
}

impl Plan {
    pub(crate) fn new(
        params: &PatchCoreParams,
        images: usize,
        per_image: usize,
        dim: usize,
        budget: u64,
    ) -> Result<Self, PatchCoreError> {
        expect_images(NAME, "good training images", images, 1)?;
        let patches = images * per_image;
        let bank = (patches as f64 * params.coreset_ratio) as usize;
        let neighbours = params.neighbours;
        // A bank of one patch, and as many patches as neighbours are compared.
        let least = (1.0 / params.coreset_ratio).ceil() as usize;
        let least = least.max(neighbours);
        expect_images(NAME, "patches of training images", patches, least).map_err(|source| {
            PatchCoreError::TooFewPatches {
                bank,
                neighbours,
                source,
            }
        })?;
        let bank = bank.max(1);
        let components = projection::components(patches, params.projection_epsilon);
        let projected = Some(components).filter(|&d| 0 < d && d < dim);
        let mut plan = Self {
            patches,
            bank,
            projected,
            keep: false,
        };
        let needed = plan.needed(dim);
        if needed > budget {
            let source = CoreError::Memory { needed, budget };
            return Err(PatchCoreError::Memory {
                images,
                patches,
                source,
            });
        }
        // Without a projection, the patches that are kept are the unprojected ones already.
        plan.keep = projected.is_some() && needed + bytes(patches, dim) <= budget;
        Ok(plan)
    }

    /// Bytes that a fit cannot do without, for patches of `dim` values.
    fn needed(&self, dim: usize) -> u64 {
        // Besides its values, the greedy search keeps twelve bytes about each patch.
        bytes(self.patches, self.projected.unwrap_or(dim) + 3) + bytes(self.bank, dim)
    }

    /// Bytes that a fit on so many images cannot do without; `None` for too few images.
    pub(crate) fn least_memory(params: &PatchCoreParams, images: usize) -> Option<u64> {
        let taps = params.layers().iter().map(|l| params.backbone.tap(l));
        let taps = taps.collect::<Result<Vec<_>, _>>().ok()?;
        let side = params.image_size.div_ceil(taps.first()?.stride as usize);
        let dim = taps.iter().map(|tap| tap.channels as usize).sum();
        let plan = Self::new(params, images, side * side, dim, u64::MAX).ok()?;
        Some(plan.needed(dim))
    }
}

/// Of f32.
fn bytes(rows: usize, columns: usize) -> u64 {
    4 * rows as u64 * columns as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PatchCoreSettings;
    use segad_nn::model::{ModelError, Settings};

    fn plan(images: usize, budget: u64) -> Result<Plan, PatchCoreError> {
        Plan::new(
            &PatchCoreSettings::default().checked().unwrap(),
            images,
            1024,
            1536,
            budget,
        )
    }

    #[test]
    fn sizes_of_the_paper() {
        for (images, patches, bank, projected) in [
            (60, 61_440, 614, 272),
            (209, 214_016, 2140, 303),
            (1000, 1_024_000, 10_240, 341),
        ] {
            let expected = Plan {
                patches,
                bank,
                projected: Some(projected),
                keep: true,
            };
            assert_eq!(plan(images, 64 << 30).unwrap(), expected);
        }
        let params = PatchCoreSettings::default().checked().unwrap();
        assert_eq!(Plan::least_memory(&params, 1000), Some(1_471_938_560));
        assert_eq!(Plan::least_memory(&params, 0), None);
        // 1000 images: 1.41 GB projected, 63 MB bank, 6.29 GB unprojected.
        assert!(!plan(1000, 2 << 30).unwrap().keep);
        assert!(matches!(
            plan(1000, 1 << 30),
            Err(PatchCoreError::Memory {
                source: CoreError::Memory {
                    needed: 1_471_938_560,
                    budget: 1_073_741_824,
                },
                ..
            })
        ));
    }

    #[test]
    fn too_little_is_an_error() {
        assert!(matches!(
            plan(0, 1 << 30),
            Err(PatchCoreError::Model(ModelError::TooFewImages {
                actual: 0,
                ..
            }))
        ));
        let params = PatchCoreSettings::default().checked().unwrap();
        let few = |per_image| Plan::new(&params, 1, per_image, 1536, 1 << 30);
        assert!(matches!(
            few(4),
            Err(PatchCoreError::TooFewPatches {
                bank: 0,
                source: ModelError::TooFewImages {
                    actual: 4,
                    expected: 100,
                    ..
                },
                ..
            })
        ));
        assert!(few(100).is_ok());
        // Projecting must shorten.
        let small = Plan::new(&params, 60, 1024, 168, 1 << 30).unwrap();
        assert_eq!((small.projected, small.keep), (None, false));
    }
}
