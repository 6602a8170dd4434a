use super::{TrainError, uniform};
use crate::NnError;
use segad_core::{BoxError, Image, Seed, TrainLabelled};
use segad_imaging::{resize_bilinear, rotate_nearest};

/// Training images at the size of a network's input, 8 bits per channel, kept in memory as far as a
/// budget goes and loaded again where it does not.
pub struct ResizedImages<'a> {
    train: &'a TrainLabelled<'a>,
    side: usize,
    kept: Vec<Option<Image>>,
    left: u64,
}

impl<'a> ResizedImages<'a> {
    /// Of `side`×`side` pixels (the aspect is not kept), in at most `budget` bytes.
    pub fn new(train: &'a TrainLabelled<'a>, side: usize, budget: u64) -> Self {
        Self {
            train,
            side,
            kept: vec![None; train.len()],
            left: budget,
        }
    }

    /// Image number `i`.
    ///
    /// # Errors
    /// [`TrainError::Image`] for an image that cannot be read or does not exist.
    pub fn get(&mut self, i: usize) -> Result<Image, TrainError> {
        let Some(sample) = self.train.samples().get(i) else {
            let source = format!("there are {} images", self.train.len()).into();
            return Err(TrainError::Image {
                id: format!("number {i}"),
                source,
            });
        };
        if let Some(image) = &self.kept[i] {
            return Ok(image.clone());
        }
        let image = self.load(i).map_err(|source| TrainError::Image {
            id: sample.id.to_string(),
            source,
        })?;
        // The first images are kept, not the last ones used: every epoch uses each once, and then
        // the least recently used would always be the next one needed.
        let bytes = image.rgb().len() as u64;
        if bytes <= self.left {
            self.left -= bytes;
            self.kept[i] = Some(image.clone());
        }
        Ok(image)
    }

    fn load(&self, i: usize) -> Result<Image, BoxError> {
        let image = self.train.load(i)?;
        Ok(resize_bilinear(&image, self.side, self.side)?)
    }
}

/// The image turned by an angle drawn evenly from a full turn: nearest neighbour, black outside, as
/// torchvision's `RandomRotation(180)`.
///
/// # Errors
/// None for images as `segad-core` makes them.
pub fn turned(image: &Image, seed: Seed) -> Result<Image, NnError> {
    let degrees = uniform(&mut seed.rng(), -180.0, 180.0);
    rotate_nearest(image, degrees).map_err(|e| NnError::Image {
        index: 0,
        source: e.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_core::{ImageId, ImageLoader, Label, Sample, TrainSplit};
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Squares(AtomicUsize);

    impl ImageLoader for Squares {
        fn load(&self, id: &ImageId) -> Result<Image, BoxError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            let value: u8 = id.as_str().parse()?;
            Ok(Image::from_grey(8, 16, &[value; 128])?)
        }
    }

    #[test]
    fn angles_are_spread_over_the_turn() {
        // A white dot to the right of the centre lands in each quadrant about as often.
        let dot = |i: usize| if i / 33 == 16 && i % 33 > 26 { 255 } else { 0 };
        let image = Image::from_grey(33, 33, &(0..33 * 33).map(dot).collect::<Vec<u8>>()).unwrap();
        let mut seen = [0; 4];
        for s in 0..400 {
            let t = turned(&image, Seed(s)).unwrap();
            let at = t.rgb().chunks_exact(3).position(|p| p[0] == 255).unwrap();
            seen[usize::from(at / 33 > 16) * 2 + usize::from(at % 33 > 16)] += 1;
        }
        assert!(seen.iter().all(|&n| (65..140).contains(&n)), "{seen:?}");
    }

    #[test]
    fn a_budget_changes_the_work_and_not_the_images() {
        let samples = ["3", "9", "x"].map(|name| Sample::new(ImageId::new(name), Label::Good));
        let split = TrainSplit::new(samples.to_vec()).unwrap();
        for (budget, loads) in [(2 * 48, 2), (48, 3), (0, 4)] {
            let loader = Squares(AtomicUsize::new(0));
            let train = split.labelled(&loader);
            let mut images = ResizedImages::new(&train, 4, budget);
            for (i, value) in [(0, 3), (1, 9), (0, 3), (1, 9)] {
                assert_eq!(images.get(i).unwrap().rgb(), [value; 48]);
            }
            assert_eq!(loader.0.load(Ordering::Relaxed), loads);
        }
        let loader = Squares(AtomicUsize::new(0));
        let train = split.labelled(&loader);
        let mut images = ResizedImages::new(&train, 4, 1000);
        let e = images.get(2).unwrap_err().to_string();
        assert!(e.contains("training image x"), "{e}");
        assert!(
            images
                .get(3)
                .unwrap_err()
                .to_string()
                .contains("there are 3 images")
        );
    }
}
