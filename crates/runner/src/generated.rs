//! Images with generated defects: they have ids of their own, and whoever wants their pixels draws
//! the defects again.

use segad_core::{
    BoxError, CacheKey, Image, ImageId, ImageLoader, Key, KeyHasher, Label, Sample, Seed,
    SegmentSource,
};
use segad_defects::{DefectParams, DefectSettings, Generated, generate};
use segad_segments::SegmentsSpec;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use toml::{Table, Value};

/// Group of generated images.
pub(crate) const GROUP: &str = "generated";

/// How good images are damaged.
pub struct Recipe {
    params: DefectParams,
    segments: SegmentsSpec,
    base: PathBuf,
    seed: Seed,
    key: Key,
}

impl Recipe {
    /// From the table `defects` of a protocol's variant: the settings of the defects and, as
    /// `segments`, the source of the segments that they keep to (by default the whole image).
    pub fn new(table: Option<&Table>, base: &Path, seed: Seed) -> Result<Self, BoxError> {
        let mut table = table.cloned().unwrap_or_default();
        let segments = match table.remove("segments") {
            None => SegmentsSpec::default(),
            Some(spec) => spec
                .try_into()
                .map_err(|e| format!("defects.segments: {e}"))?,
        };
        let settings: DefectSettings = Value::Table(table)
            .try_into()
            .map_err(|e| format!("defects: {e}"))?;
        let params = settings.checked()?;
        // At any size, so that wrong segments are an error now and not at the first image.
        let source = segad_segments::open(&segments, base, 256, 256)
            .map_err(|e| format!("defects.segments: {e}"))?;
        let mut hasher = KeyHasher::new("defects", segad_defects::REVISION);
        hasher
            .field("params", &params)
            .field("seed", &seed)
            .field("imaging", &segad_imaging::REVISION);
        // A folder of maps belongs to the images, whose content is in the key of each; its settings
        // are told apart by name.
        hasher
            .field("segments", &source.digest(&[])?)
            .field("named", &segments.to_string());
        Ok(Self {
            params,
            segments,
            base: base.to_owned(),
            seed,
            key: hasher.finish(),
        })
    }

    /// The id of what becomes of a good image.
    pub fn id(&self, good: &ImageId) -> ImageId {
        ImageId::new(format!("{GROUP}/{}/{good}", self.key.short()))
    }

    /// What becomes of a good image, as a training sample.
    pub fn sample(&self, good: &Sample) -> Sample {
        Sample {
            id: self.id(&good.id),
            label: Label::Bad,
            group: GROUP.to_owned(),
        }
    }

    /// Damages a good image.
    pub fn apply(&self, good: &ImageId, image: &Image) -> Result<Generated, BoxError> {
        let source =
            segad_segments::open(&self.segments, &self.base, image.height(), image.width())?;
        let map = source.label_map(good, image)?;
        Ok(generate(
            image,
            &map,
            source.names(),
            good,
            self.seed,
            &self.params,
        )?)
    }
}

/// The recipe's short key and the good image that a generated one is made of; `None` for a real
/// image.
fn origin(id: &ImageId) -> Option<(&str, ImageId)> {
    let (recipe, good) = id
        .as_str()
        .strip_prefix(GROUP)?
        .strip_prefix('/')?
        .split_once('/')?;
    Some((recipe, ImageId::new(good)))
}

/// The recipes of a run, by their short keys.
#[derive(Clone, Default)]
pub(crate) struct Recipes(Arc<Mutex<HashMap<String, Arc<Recipe>>>>);

impl Recipes {
    pub(crate) fn add(&self, recipe: Recipe) -> Arc<Recipe> {
        let recipe = Arc::new(recipe);
        let mut known = self.0.lock().unwrap_or_else(|e| e.into_inner());
        // Ids contain the short key, and it is all that a loader has to go by.
        known.insert(recipe.key.short(), Arc::clone(&recipe));
        recipe
    }

    /// The recipe and the good image, for a generated one.
    pub(crate) fn of(&self, id: &ImageId) -> Option<(Arc<Recipe>, ImageId)> {
        let (short, good) = origin(id)?;
        let known = self.0.lock().unwrap_or_else(|e| e.into_inner());
        Some((Arc::clone(known.get(short)?), good))
    }

    /// The good image of a generated one, any other image itself.
    pub(crate) fn real(&self, id: &ImageId) -> ImageId {
        self.of(id).map_or_else(|| id.clone(), |(_, good)| good)
    }

    /// Content digest of an image, where `real` gives that of a real one.
    pub(crate) fn digest<E>(
        &self,
        id: &ImageId,
        real: impl Fn(&ImageId) -> Result<Key, E>,
    ) -> Result<Key, E> {
        match self.of(id) {
            None => real(id),
            Some((recipe, good)) => {
                let mut hasher = KeyHasher::new("generated image", 1);
                recipe.key.feed(&mut hasher);
                Ok(hasher.field("good", &real(&good)?).finish())
            }
        }
    }
}

/// Loads real images, and damages them where generated ones are asked for.
pub(crate) struct Loader {
    pub real: Box<dyn ImageLoader>,
    pub recipes: Recipes,
}

impl ImageLoader for Loader {
    fn load(&self, id: &ImageId) -> Result<Image, BoxError> {
        match self.recipes.of(id) {
            None => self.real.load(id),
            Some((recipe, good)) => Ok(recipe.apply(&good, &self.real.load(&good)?)?.image),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Flat;
    impl ImageLoader for Flat {
        fn load(&self, _: &ImageId) -> Result<Image, BoxError> {
            Ok(Image::from_grey(64, 64, &[90; 4096])?)
        }
    }

    fn recipe(text: &str, seed: u64) -> Result<Recipe, BoxError> {
        Recipe::new(
            Some(&toml::from_str(text).unwrap()),
            Path::new(""),
            Seed(seed),
        )
    }

    #[test]
    fn generated_images_are_made_when_asked_for() {
        let recipes = Recipes::default();
        let [one, other] = [3, 4].map(|seed| recipes.add(recipe("blur = 0.0", seed).unwrap()));
        let good = ImageId::new("train/good/1.png");
        let loader = Loader {
            real: Box::new(Flat),
            recipes: recipes.clone(),
        };
        let id = one.id(&good);
        assert_eq!(recipes.real(&id), good);
        assert_eq!(recipes.real(&good), good);
        let (a, b) = (
            loader.load(&id).unwrap(),
            loader.load(&other.id(&good)).unwrap(),
        );
        assert!(a != b && a == loader.load(&id).unwrap() && a != loader.load(&good).unwrap());
        let key = |id: &ImageId| {
            recipes
                .digest(id, |id| {
                    Ok::<_, String>(Key::of_bytes(id.as_str().as_bytes()))
                })
                .unwrap()
        };
        assert_ne!(key(&id), key(&other.id(&good)));
        assert_ne!(key(&id), key(&good));
    }

    #[test]
    fn wrong_settings_are_named() {
        let said = |text| recipe(text, 0).err().unwrap().to_string();
        assert!(said("sharp = 1").contains("sharp"));
        assert!(said("segments = 'bord'").contains("bord"));
        assert!(said("count = [3, 1]").contains("count"));
    }
}
