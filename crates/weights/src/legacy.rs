//! The layout of PyTorch before 1.6: pickles in a row, then the storages.

use std::collections::HashMap;

use crate::Tensors;
use crate::error::WeightsError;
use crate::pickle::{self, Pickle, Value};
use crate::state;

/// 0x1950a86a20f9469cfc6c, little-endian.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const PROTOCOL: i64 = 1001;

pub(crate) fn read(bytes: &[u8]) -> Result<Tensors, WeightsError> {
    if bytes.is_empty() {
        return Err(WeightsError::Layout("the file is empty".to_owned()));
    }
    if bytes[0] != 0x80 {
        return Err(WeightsError::Layout(
            "neither a zip archive nor a pickle: this is no PyTorch file".to_owned(),
        ));
    }
    let mut at = 0;
    let mut next = || -> Result<(Value, Pickle), WeightsError> {
        let (value, arena, length) = pickle::load(&bytes[at..]).map_err(|e| shift(e, at))?;
        at += length;
        Ok((value, arena))
    };
    match next()?.0 {
        Value::BigInt(number) if *number == MAGIC => {}
        _ => {
            return Err(WeightsError::Layout(
                "a pickle, but without PyTorch's magic number".to_owned(),
            ));
        }
    }
    match next()?.0 {
        Value::Int(PROTOCOL) => {}
        other => {
            return Err(WeightsError::Layout(format!(
                "PyTorch protocol {other:?}, expected {PROTOCOL}"
            )));
        }
    }
    let (info, arena) = next()?;
    let little = arena.entries(&info).unwrap_or_default().iter().any(
        |(k, v)| matches!((k, v), (Value::Str(k), Value::Bool(true)) if &**k == "little_endian"),
    );
    if !little {
        return Err(WeightsError::Layout(
            "written on a big-endian machine".to_owned(),
        ));
    }
    let (object, arena) = next()?;
    let (keys, key_arena) = next()?;
    let mut rest = &bytes[at..];
    // A storage's size in bytes follows from its class, which only the references name.
    let sizes = element_sizes(&arena)?;
    let mut storages: HashMap<String, &[u8]> = HashMap::new();
    for key in key_arena.items(&keys).unwrap_or_default() {
        let key = match key {
            Value::Str(key) => key.to_string(),
            Value::Int(key) => key.to_string(),
            _ => {
                return Err(WeightsError::Layout(
                    "a storage's key is no text".to_owned(),
                ));
            }
        };
        let Some(&size) = sizes.get(&key) else {
            return Err(WeightsError::Layout(format!(
                "storage {key:?} is used by no tensor, so that its type is unknown"
            )));
        };
        let (head, tail) = split(rest, 8, bytes.len())?;
        let elements = head.iter().rev().fold(0u64, |n, &b| n << 8 | u64::from(b));
        let Some(length) = elements.checked_mul(size as u64) else {
            return Err(WeightsError::Layout(format!(
                "storage {key:?}: its size overflows"
            )));
        };
        let (data, tail) = split(tail, length, bytes.len())?;
        rest = tail;
        storages.insert(key, data);
    }
    state::tensors(&object, &arena, bytes.len(), |storage| {
        let bytes = storages.get(&storage.key).ok_or_else(|| {
            WeightsError::Layout(format!("storage {:?} is not in the file", storage.key))
        })?;
        let start = storage
            .offset
            .checked_mul(storage.dtype.size())
            .and_then(|start| bytes.get(start..));
        start.ok_or_else(|| {
            WeightsError::Layout(format!(
                "storage {:?}: a view begins beyond its end",
                storage.key
            ))
        })
    })
}

fn element_sizes(arena: &Pickle) -> Result<HashMap<String, usize>, WeightsError> {
    let mut sizes = HashMap::new();
    for storage in arena.storages() {
        let size = storage.dtype.size();
        if *sizes.entry(storage.key.clone()).or_insert(size) != size {
            return Err(WeightsError::Layout(format!(
                "storage {:?} has two types",
                storage.key
            )));
        }
    }
    Ok(sizes)
}

fn split(bytes: &[u8], n: u64, end: usize) -> Result<(&[u8], &[u8]), WeightsError> {
    usize::try_from(n)
        .ok()
        .and_then(|n| bytes.split_at_checked(n))
        .ok_or_else(|| WeightsError::Truncated {
            what: "storage",
            at: end,
            needed: n - bytes.len() as u64,
        })
}

fn shift(error: WeightsError, by: usize) -> WeightsError {
    match error {
        WeightsError::Pickle { at, problem } => WeightsError::Pickle {
            at: at + by,
            problem,
        },
        WeightsError::Truncated { what, at, needed } => WeightsError::Truncated {
            what,
            at: at + by,
            needed,
        },
        other => other,
    }
}
