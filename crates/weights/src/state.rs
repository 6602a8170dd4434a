//! From an unpickled dictionary to named tensors.

use crate::Tensors;
use crate::error::WeightsError;
use crate::pickle::{Pickle, Storage, Value, View};
use crate::tensor::{count, gather};

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
    // Names that share a storage (tied weights) count each time; no network ties sixteen copies.
    let limit = file_size.saturating_mul(16).max(1 << 20);
    let mut total = 0usize;
    let mut tensors = Tensors::new();
    for (name, view) in views(value, arena)? {
        if name == DROPPED || name.ends_with(".num_batches_tracked") {
            continue;
        }
        let wrap = |problem| WeightsError::Tensor {
            name: name.to_owned(),
            problem,
        };
        total = count(&view.shape)
            .and_then(|n| total.checked_add(n))
            .filter(|&n| n <= limit)
            .ok_or_else(|| {
                wrap(format!(
                    "shape {:?} expands to far more values than the file holds",
                    view.shape
                ))
            })?;
        let tensor = gather(view, bytes_of(&view.storage)?).map_err(wrap)?;
        if tensors.insert(name.to_owned(), tensor).is_some() {
            return Err(wrap("the name occurs twice".to_owned()));
        }
    }
    Ok(tensors)
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
