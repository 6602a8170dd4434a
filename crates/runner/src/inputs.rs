//! Weights and images in the cache folder or beside the program, for methods that start with them.

use crate::error::RunnerError;
use crate::folder::ImageFolder;
use segad_core::{BoxError, Key};
use segad_datasets::{Layout, Manifest};
use segad_methods::{ImageSet, Inputs, Pretrained};
use segad_nn::{BackboneKind, Weights, write_tensors};
use segad_product::WeightsSource;
use segad_provision::versions::WEIGHTS;
use segad_provision::{Cache, fetch_command};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Mutex;

/// What methods find in the cache folder, or what came with the program.
#[derive(Debug)]
pub struct CachedInputs {
    cache: Cache,
    base: PathBuf,
    /// Digests of weights by the name of their file: files of hundreds of megabytes are read once.
    digests: Mutex<HashMap<String, Key>>,
}

/// Name of the file, under which weights are also fetched.
fn name(of: &Pretrained) -> String {
    match of {
        Pretrained::Backbone { kind, .. } => kind.as_str().replace('_', "-"),
        Pretrained::Network { file, .. } => (*file).to_owned(),
    }
}

/// How to get a backbone's weights.
fn advice(of: &Pretrained) -> String {
    let name = name(of);
    match WEIGHTS.iter().any(|weights| weights.name == name) {
        true => format!("get them with `{}`", fetch_command(&name)),
        false => "none are published for it; put your own there, or choose another backbone".into(),
    }
}

/// Some backbones have no trained weights and make them.
fn untrained(of: &Pretrained) -> Result<Option<Weights>, BoxError> {
    match of {
        Pretrained::Backbone { kind, .. } => Ok(Weights::untrained(*kind)?),
        Pretrained::Network { .. } => Ok(None),
    }
}

impl CachedInputs {
    /// In this cache folder; relative folders of images begin at `base`.
    pub fn new(cache: Cache, base: PathBuf) -> Self {
        Self {
            cache,
            base,
            digests: Mutex::default(),
        }
    }

    /// Where weights lie.
    pub fn path(&self, of: &Pretrained) -> PathBuf {
        self.cache.weights_at_hand(&name(of))
    }

    /// The safetensors file of weights.
    ///
    /// # Errors
    /// If it is missing, with how to get it, or cannot be read.
    pub fn file(&self, of: &Pretrained) -> Result<Vec<u8>, BoxError> {
        let path = self.path(of);
        if path.exists() {
            return Ok(segad_files::read(&path)?);
        }
        let (what, advice) = match of {
            Pretrained::Backbone { kind, .. } => (kind.to_string(), advice(of)),
            Pretrained::Network { what, advice, .. } => (what.clone(), (*advice).to_owned()),
        };
        let message = format!("{}: no weights of {what}; {advice}", path.display());
        Err(RunnerError::Input(message).into())
    }
}

impl WeightsSource for CachedInputs {
    fn weights(&self, kind: BackboneKind) -> Result<Vec<u8>, BoxError> {
        let of = Pretrained::backbone(kind, &[]);
        match untrained(&of)? {
            Some(weights) => {
                let tensors = weights.tensors().iter().map(|(n, t)| (n.as_str(), t));
                Ok(write_tensors(tensors.collect::<Vec<_>>())?)
            }
            None => self.file(&of),
        }
    }

    fn has(&self, kind: BackboneKind) -> bool {
        self.path(&Pretrained::backbone(kind, &[])).exists()
    }
}

impl Inputs for CachedInputs {
    fn weights(&self, of: &Pretrained) -> Result<Weights, BoxError> {
        if let Some(weights) = untrained(of)? {
            return Ok(weights);
        }
        let weights = Weights::from_safetensors(&self.file(of)?);
        Ok(weights.map_err(|e| {
            let path = self.path(of);
            // `fetch` compares with the digest in its record, and so replaces a damaged file.
            RunnerError::Input(format!("{}: {e}; {}", path.display(), advice(of)))
        })?)
    }

    fn weights_digest(&self, of: &Pretrained) -> Result<Key, BoxError> {
        // Entries are only ever added, so a panic elsewhere leaves the map whole.
        let mut digests = self.digests.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(key) = digests.get(&name(of)) {
            return Ok(*key);
        }
        // The bytes of the file, which have a digest long before libtorch has read them.
        let key = match untrained(of)? {
            Some(weights) => weights.digest(),
            None => Key::of_bytes(&self.file(of)?),
        };
        digests.insert(name(of), key);
        Ok(key)
    }

    /// Those of a declared data set of general images, else of a folder.
    fn general_images(&self, name: &str) -> Result<Box<dyn ImageSet>, BoxError> {
        // A name that no manifest has is a folder of the user, relative to the experiment.
        let is_declared = Manifest::shipped(name).is_ok_and(|m| m.layout == Layout::Images);
        let (folder, advice) = if is_declared {
            let advice = format!("get them with `{}`", fetch_command(name));
            (self.cache.data(name), advice)
        } else {
            let expected = "expected the name of a data set of general images, e.g. imagenette, or \
                            a folder of such images";
            (self.base.join(name), expected.to_owned())
        };
        if !folder.is_dir() {
            return Err(format!("{}: no such folder; {advice}", folder.display()).into());
        }
        match ImageFolder::open(&folder) {
            Ok(images) => Ok(Box::new(images)),
            Err(e) => Err(format!("{e}; {advice}").into()),
        }
    }
}
