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
        return layout("the file is empty");
    }
    // Every pickle of protocol 2 and later begins with the opcode PROTO.
    if bytes[0] != 0x80 {
        return layout("neither a zip archive nor a pickle: not a PyTorch file");
    }
    let mut at = 0;
    check_head(bytes, &mut at)?;
    let (object, arena) = next_pickle(bytes, &mut at)?;
    let (keys, key_arena) = next_pickle(bytes, &mut at)?;
    let storages = read_storages(bytes, at, &keys, &key_arena, &arena)?;
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

fn layout<T>(problem: &str) -> Result<T, WeightsError> {
    Err(WeightsError::Layout(problem.to_owned()))
}

/// The pickle that begins at `at`, which moves behind it.
fn next_pickle(bytes: &[u8], at: &mut usize) -> Result<(Value, Pickle), WeightsError> {
    let (value, arena, length) = pickle::load(&bytes[*at..]).map_err(|e| shift(e, *at))?;
    *at += length;
    Ok((value, arena))
}

/// The three pickles before the object: magic number, protocol, facts about the machine.
fn check_head(bytes: &[u8], at: &mut usize) -> Result<(), WeightsError> {
    match next_pickle(bytes, at)?.0 {
        Value::BigInt(number) if *number == MAGIC => {}
        _ => return layout("a pickle, but without PyTorch's magic number"),
    }
    match next_pickle(bytes, at)?.0 {
        Value::Int(PROTOCOL) => {}
        other => {
            return Err(WeightsError::Layout(format!(
                "PyTorch protocol {other:?}, expected {PROTOCOL}"
            )));
        }
    }
    let (info, arena) = next_pickle(bytes, at)?;
    let entries = arena.entries(&info).unwrap_or_default();
    let little = entries.iter().any(
        |(k, v)| matches!((k, v), (Value::Str(k), Value::Bool(true)) if &**k == "little_endian"),
    );
    if little {
        Ok(())
    } else {
        layout("written on a big-endian machine")
    }
}

/// The bytes of each storage by its key. They follow the pickles in the order of `keys`, each
/// behind its number of elements.
fn read_storages<'a>(
    bytes: &'a [u8],
    at: usize,
    keys: &Value,
    key_arena: &Pickle,
    arena: &Pickle,
) -> Result<HashMap<String, &'a [u8]>, WeightsError> {
    // The file does not say how large an element is; only the references name the storage's class.
    let sizes = element_sizes(arena)?;
    let mut rest = &bytes[at..];
    let mut storages = HashMap::new();
    for key in key_arena.items(keys).unwrap_or_default() {
        let key = match key {
            Value::Str(key) => key.to_string(),
            Value::Int(key) => key.to_string(),
            _ => return layout("a storage's key is not text"),
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
    Ok(storages)
}

fn element_sizes(arena: &Pickle) -> Result<HashMap<String, usize>, WeightsError> {
    let mut sizes = HashMap::new();
    // Views of one storage may name it again, always with the same class.
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

/// Positions within a pickle become positions within the file.
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
