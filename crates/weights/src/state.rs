//! From an unpickled dictionary to named tensors.

use crate::error::WeightsError;
use crate::pickle::{Pickle, Storage, Value, View};
use crate::tensor::{count, gather};
use crate::{Tensor, Tensors};

/// Counters of batch normalisation that only training reads.
const DROPPED: &str = "num_batches_tracked";
/// Names under which checkpoints keep their dictionary of tensors.
const NESTED: [&str; 2] = ["state_dict", "model"];

/// The tensors of a dictionary, with their values from the storages' bytes that `bytes_of` gives.
///
/// `file_size` (bytes) bounds what views may expand to, so that a small file cannot ask for all
/// memory.
pub(crate) fn tensors<'a>(
    value: &Value,
    arena: &Pickle,
    file_size: usize,
    mut bytes_of: impl FnMut(&Storage) -> Result<&'a [u8], WeightsError>,
) -> Result<Tensors, WeightsError> {
    let mut room = Room::of(file_size);
    let mut tensors = Tensors::new();
    for (name, view) in views(value, arena)? {
        if name == DROPPED || name.ends_with(".num_batches_tracked") {
            continue;
        }
        room.take(name, view)?;
        let tensor = gather(view, bytes_of(&view.storage)?).map_err(|e| wrong(name, e))?;
        if tensors.insert(name.to_owned(), tensor).is_some() {
            return Err(wrong(name, "the name occurs twice".to_owned()));
        }
    }
    Ok(tensors)
}

/// As [`tensors`], those of a tuple or list.
pub(crate) fn listed<'a>(
    value: &Value,
    arena: &Pickle,
    file_size: usize,
    mut bytes_of: impl FnMut(&Storage) -> Result<&'a [u8], WeightsError>,
) -> Result<Vec<Tensor>, WeightsError> {
    let mut room = Room::of(file_size);
    let mut tensors = Vec::new();
    for (number, item) in arena.items(value).unwrap_or_default().iter().enumerate() {
        let name = format!("constant {number}");
        let Value::Tensor(view) = item else {
            return Err(wrong(&name, "it is not a tensor".to_owned()));
        };
        room.take(&name, view)?;
        tensors.push(gather(view, bytes_of(&view.storage)?).map_err(|e| wrong(&name, e))?);
    }
    Ok(tensors)
}

fn wrong(name: &str, problem: String) -> WeightsError {
    WeightsError::Tensor {
        name: name.to_owned(),
        problem,
    }
}

/// How many values views may still expand to.
struct Room(usize);

impl Room {
    fn of(file_size: usize) -> Self {
        // Names that share a storage (tied weights) count each time; no network ties sixteen copies.
        Self(file_size.saturating_mul(16).max(1 << 20))
    }

    fn take(&mut self, name: &str, view: &View) -> Result<(), WeightsError> {
        let left = count(&view.shape).and_then(|n| self.0.checked_sub(n));
        self.0 = left.ok_or_else(|| {
            let shape = &view.shape;
            let problem = format!("shape {shape:?} expands to far more values than the file holds");
            wrong(name, problem)
        })?;
        Ok(())
    }
}

fn layout<T>(problem: &str) -> Result<T, WeightsError> {
    Err(WeightsError::Layout(problem.to_owned()))
}

/// The named views of a dictionary, or of the one nested in a checkpoint.
fn views<'a>(
    value: &'a Value,
    arena: &'a Pickle,
) -> Result<Vec<(&'a str, &'a View)>, WeightsError> {
    let Some(mut entries) = arena.entries(value) else {
        return layout("the file holds no dictionary; save module.state_dict()");
    };
    // A bare state dictionary may hold an entry called `model`, so nesting counts only without
    // tensors at the top.
    if !entries.iter().any(|(_, v)| matches!(v, Value::Tensor(_))) {
        let nested = entries.iter().find_map(|(key, v)| match key {
            Value::Str(key) if NESTED.contains(&&**key) => arena.entries(v),
            _ => None,
        });
        match nested {
            Some(nested) => entries = nested,
            None => {
                return layout(
                    "the dictionary holds no tensors, nor a dictionary under state_dict or model",
                );
            }
        }
    }
    let mut views = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        match (key, value) {
            (Value::Str(name), Value::Tensor(view)) => views.push((&**name, &**view)),
            (Value::Str(name), _) => {
                return Err(WeightsError::Tensor {
                    name: name.to_string(),
                    problem: "the entry is not a tensor".to_owned(),
                });
            }
            _ => return layout("a tensor's name is not text"),
        }
    }
    if views.is_empty() {
        return layout("the dictionary is empty");
    }
    Ok(views)
}
