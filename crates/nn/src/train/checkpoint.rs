use super::TrainError;
use super::curve::Recorder;
use super::optimise::Slot;
use crate::NnError;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use segad_core::{Key, KeyHasher};
use segad_files::FileError;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

const SCHEMA: u32 = 1;
/// The one entry of the file's metadata.
const ENTRY: &str = "segad checkpoint";

/// How far a training has come, besides its tensors. Random streams are functions of the step, so
/// the step is their state.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Position {
    pub step: u64,
    /// Updates of each trainable variable.
    pub updates: Vec<u64>,
    pub recorder: Recorder,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    schema: u32,
    /// Which training: plan, seed, precision, names and shapes.
    identity: Key,
    /// Of names, shapes and values.
    digest: Key,
    position: Position,
}

/// The file that a training is kept in: variables, the optimiser's memory and the position, in one
/// safetensors file that is replaced whole.
pub(super) struct Checkpoint {
    path: PathBuf,
    identity: Key,
}

/// A variable or a part of the optimiser's memory under its name in the file.
pub(super) fn state<'a>(
    variables: &'a [(String, Tensor)],
    trainable: &'a [usize],
    slots: &'a [Slot],
) -> Vec<(String, &'a Tensor)> {
    let mut list: Vec<(String, &Tensor)> = variables
        .iter()
        .map(|(name, t)| (format!("variable/{name}"), t))
        .collect();
    for (slot, &i) in slots.iter().zip(trainable) {
        let name = &variables[i].0;
        list.push((format!("first/{name}"), &slot.first));
        list.extend(slot.second.as_ref().map(|t| (format!("second/{name}"), t)));
    }
    list
}

struct Bytes {
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl safetensors::View for Bytes {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.bytes.as_slice().into()
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

fn digest<'a>(parts: impl Iterator<Item = (&'a str, &'a [usize], &'a [u8])>) -> Key {
    // Sorted, because a safetensors file has an order of its own.
    let mut parts: Vec<_> = parts.collect();
    parts.sort_unstable_by_key(|p| p.0);
    let mut hasher = KeyHasher::new("checkpoint", SCHEMA);
    for (name, shape, bytes) in parts {
        hasher
            .field(name, shape)
            .field("bytes", &Key::of_bytes(bytes));
    }
    hasher.finish()
}

impl Checkpoint {
    /// The checkpoint called `name` in `folder`.
    pub(super) fn new(folder: &Path, name: &str, identity: Key) -> Self {
        // Names may hold spaces and slashes.
        let is_other = |c: char| !c.is_ascii_alphanumeric() && c != '-';
        let file = name.replace(is_other, "_");
        Self {
            path: folder.join(format!("{file}.safetensors")),
            identity,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn error(&self, problem: impl std::fmt::Display) -> TrainError {
        TrainError::Checkpoint {
            path: self.path.clone(),
            problem: problem.to_string(),
        }
    }

    /// Replaces the file: written under another name, synced, renamed. A kill at any time leaves
    /// the old or the new.
    pub(super) fn write(
        &self,
        state: &[(String, &Tensor)],
        position: &Position,
    ) -> Result<(), TrainError> {
        let mut views = Vec::with_capacity(state.len());
        for (name, tensor) in state {
            let tensor = tensor.f_to_device(tch::Device::Cpu)?.f_contiguous()?;
            let mut bytes = vec![0; tensor.numel() * 4];
            tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
            let shape = tensor.size().iter().map(|&n| n as usize).collect();
            views.push((name.clone(), Bytes { shape, bytes }));
        }
        let digest = digest(
            views
                .iter()
                .map(|(name, b)| (name.as_str(), b.shape.as_slice(), b.bytes.as_slice())),
        );
        let entry = Entry {
            schema: SCHEMA,
            identity: self.identity,
            digest,
            position: position.clone(),
        };
        let entry = serde_json::to_string(&entry).map_err(|e| self.error(e))?;
        let meta = HashMap::from([(ENTRY.to_owned(), entry)]);
        let part = self.path.with_extension("part");
        segad_files::create_dir(segad_files::parent(&self.path))?;
        safetensors::serialize_to_file(views, Some(meta), &part).map_err(|e| match e {
            SafeTensorError::IoError(e) => FileError::new("write the file", &part, e).into(),
            other => self.error(other),
        })?;
        Ok(segad_files::publish(&part, &self.path)?)
    }

    /// Reads the file, if there is one, into these tensors; call it under `no_grad`.
    pub(super) fn read(&self, state: &[(String, &Tensor)]) -> Result<Option<Position>, TrainError> {
        let Some(bytes) = segad_files::read_if_present(&self.path)? else {
            return Ok(None);
        };
        let damaged = |e: &dyn std::fmt::Display| {
            self.error(format!(
                "is damaged ({e}); delete it to train from the start"
            ))
        };
        let file = SafeTensors::deserialize(&bytes).map_err(|e| damaged(&e))?;
        let (_, meta) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(&e))?;
        let entry = meta.metadata().as_ref().and_then(|m| m.get(ENTRY));
        let entry = entry.ok_or_else(|| damaged(&"it is not a checkpoint of a training"))?;
        let entry: Entry = serde_json::from_str(entry).map_err(|e| damaged(&e))?;
        // Refused, not ignored: whoever points at the folder of another training should know it.
        if (entry.schema, entry.identity) != (SCHEMA, self.identity) {
            return Err(self.error(
                "belongs to another training (other parameters, seed, data or version); delete it \
                 to train from the start",
            ));
        }
        let parts: Vec<_> = file.iter().collect();
        // Tensors of the right shapes may still hold the bytes of a torn disk.
        let found = digest(parts.iter().map(|(name, v)| (*name, v.shape(), v.data())));
        if found != entry.digest || parts.len() != state.len() {
            return Err(damaged(&"its digest does not fit"));
        }
        for (name, tensor) in state {
            let view = file.tensor(name).map_err(|e| damaged(&e))?;
            let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
            if shape != tensor.size() {
                return Err(damaged(&format!(
                    "{name} is {shape:?}, expected {:?}",
                    tensor.size()
                )));
            }
            let value = Tensor::f_from_data_size(view.data(), &shape, Kind::Float)
                .map_err(NnError::from)?;
            // In place: the network's layers hold these very variables.
            tensor.shallow_clone().f_copy_(&value)?;
        }
        Ok(Some(entry.position))
    }
}
