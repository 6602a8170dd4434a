//! What the tests of detectors and classifiers share: images, splits, an interruption. Only for
//! tests.

use crate::golden::uniform;
use segad_core::{
    BoxError, Cancel, FitContext, Image, ImageId, ImageLoader, Label, NoProgress, Progress,
    ProgressTask, Sample,
};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Square images of this side, made up from their names: stripes of 8 pixels with noise. Names that
/// begin with `flat` give one grey, with `gone` an error; those with `bad` in them have a bright
/// block of a quarter of the side somewhere.
#[derive(Clone, Copy, Debug)]
pub struct Texture(pub usize);

impl Texture {
    /// The image of this name.
    ///
    /// # Errors
    /// For a name that begins with `gone`.
    pub fn image(self, name: &str) -> Result<Image, BoxError> {
        let side = self.0;
        let length = side / 4;
        if name.starts_with("gone") {
            return Err("no such file".into());
        }
        if name.starts_with("flat") {
            return Ok(Image::from_grey(side, side, &vec![90; side * side])?);
        }
        let salt = name
            .bytes()
            .fold(7u32, |h, b| h.wrapping_mul(31).wrapping_add(b.into()));
        let free = side - length + 1;
        let top = salt as usize / 7 % free;
        let left = salt as usize / 311 % free;
        let bad = name.contains("bad");
        let mut grey = Vec::with_capacity(side * side);
        for i in 0..side * side {
            let inside = (top..top + length).contains(&(i / side))
                && (left..left + length).contains(&(i % side));
            let noise = 32.0 * (uniform(name, i) + 0.5);
            let texture = (i % 8 * 20) as u8 + noise as u8;
            grey.push(if bad && inside { 240 } else { texture });
        }
        Ok(Image::from_grey(side, side, &grey)?)
    }

    /// The image of this name with a white block at rows and columns `from`…`to` − 1.
    ///
    /// # Errors
    /// As [`Texture::image`].
    pub fn defect(self, name: &str, from: usize, to: usize) -> Result<Image, BoxError> {
        let mut rgb = self.image(name)?.into_rgb();
        for y in from..to {
            rgb[3 * (y * self.0 + from)..3 * (y * self.0 + to)].fill(255);
        }
        Ok(Image::from_rgb(self.0, self.0, rgb)?)
    }
}

impl ImageLoader for Texture {
    fn load(&self, id: &ImageId) -> Result<Image, BoxError> {
        self.image(id.as_str())
    }
}

/// Samples of these names; `bad` in a name is its label.
pub fn samples(names: &[&str]) -> Vec<Sample> {
    let mut samples = Vec::with_capacity(names.len());
    for &name in names {
        let label = if name.contains("bad") {
            Label::Bad
        } else {
            Label::Good
        };
        samples.push(Sample::new(ImageId::new(name), label));
    }
    samples
}

/// Asks a training to stop after some steps.
#[derive(Clone)]
pub struct StopAfter {
    task: &'static str,
    steps: u64,
    cancel: Cancel,
    done: Arc<AtomicU64>,
    total: Arc<OnceLock<Option<u64>>>,
}

impl StopAfter {
    /// After so many steps of the task of this name.
    pub fn new(task: &'static str, steps: u64) -> Self {
        Self {
            task,
            steps,
            cancel: Cancel::default(),
            done: Arc::default(),
            total: Arc::default(),
        }
    }

    /// For a fit that is to be stopped, with checkpoints in a folder.
    pub fn context(&self, checkpoints: &Path) -> FitContext {
        FitContext {
            progress: Arc::new(self.clone()),
            cancel: self.cancel.clone(),
            checkpoints: Some(checkpoints.to_owned()),
            ..FitContext::default()
        }
    }

    /// Steps that were done.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Steps that the task was to have; `None` if it did not start or did not say.
    pub fn total(&self) -> Option<u64> {
        self.total.get().copied().flatten()
    }
}

impl Progress for StopAfter {
    fn start(&self, name: &str, total: Option<u64>) -> Box<dyn ProgressTask> {
        if name != self.task {
            return Box::new(NoProgress);
        }
        self.total.get_or_init(|| total);
        Box::new(self.clone())
    }
}

impl ProgressTask for StopAfter {
    fn advance(&self, n: u64) {
        if self.done.fetch_add(n, Ordering::Relaxed) + n >= self.steps {
            self.cancel.cancel();
        }
    }
    fn message(&self, _: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_make_images_and_labels() {
        let texture = Texture(32);
        let bright = |name: &str| {
            texture
                .image(name)
                .unwrap()
                .rgb()
                .iter()
                .filter(|&&v| v == 240)
                .count()
        };
        assert_eq!(
            (bright("a"), bright("bad1"), bright("flat")),
            (0, 3 * 8 * 8, 0)
        );
        assert_ne!(texture.image("a").unwrap(), texture.image("b").unwrap());
        assert!(texture.image("gone").is_err());
        let white = texture.defect("a", 4, 7).unwrap();
        assert_eq!(white.rgb().iter().filter(|&&v| v == 255).count(), 27);
        let labels: Vec<Label> = samples(&["a", "bad1"]).iter().map(|s| s.label).collect();
        assert_eq!(labels, [Label::Good, Label::Bad]);
    }
}
