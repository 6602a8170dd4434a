//! The layout of PyTorch since 1.6: a zip archive of `<name>/data.pkl` and one entry for each
//! storage.

use std::collections::HashMap;
use std::io::{Cursor, Read};

use zip::{CompressionMethod, ZipArchive};

use crate::error::WeightsError;
use crate::pickle::{self, Pickle, Storage};
use crate::state;
use crate::{Tensors, TorchScript};

type Zip<'a> = ZipArchive<Cursor<&'a [u8]>>;

/// An archive, the names of its entries, and the folder that they are in, which is called like the
/// file when it was saved.
fn open(bytes: &[u8]) -> Result<(Zip<'_>, Vec<String>, String), WeightsError> {
    let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| {
        WeightsError::Layout(format!(
            "a zip archive that cannot be read ({e}); it may be truncated, get it again"
        ))
    })?;
    let names: Vec<String> = zip
        .file_names()
        .filter_map(Result::ok)
        .map(|name| name.into_owned())
        .collect();
    let root = names.iter().find_map(|n| n.strip_suffix("/data.pkl"));
    let Some(root) = root.map(str::to_owned) else {
        return Err(WeightsError::Layout(
            "a zip archive without data.pkl: not a PyTorch file".to_owned(),
        ));
    };
    Ok((zip, names, root))
}

/// The code and the constants of a TorchScript archive.
pub(crate) fn read_torchscript(bytes: &[u8]) -> Result<TorchScript, WeightsError> {
    let (mut zip, _, root) = open(bytes)?;
    let name = format!("{root}/code/__torch__.py");
    let file = zip.by_name(&name);
    let file = file.map_err(|e| WeightsError::Layout(format!("entry {name:?}: {e}")))?;
    let mut code = String::new();
    // Text is compressed, and a hundred times the file is more than any.
    let read = file
        .take(100 * bytes.len() as u64)
        .read_to_string(&mut code);
    read.map_err(|e| WeightsError::Layout(format!("entry {name:?}: {e}")))?;
    let program = entry(&mut zip, &format!("{root}/constants.pkl"), bytes.len())?;
    let (object, arena, _) = pickle::load(&program)?;
    let storages = storages(&mut zip, &format!("{root}/constants"), &arena, bytes.len())?;
    let constants = state::listed(&object, &arena, bytes.len(), |s| Ok(of(&storages, s)))?;
    Ok(TorchScript { code, constants })
}

pub(crate) fn read(bytes: &[u8]) -> Result<Tensors, WeightsError> {
    let (mut zip, names, root) = open(bytes)?;
    if names.iter().any(|n| n == &format!("{root}/constants.pkl")) {
        return Err(WeightsError::Layout(
            "a TorchScript archive holds code; save the module's state_dict() instead".to_owned(),
        ));
    }
    if names.iter().any(|n| n == &format!("{root}/byteorder")) {
        let order = entry(&mut zip, &format!("{root}/byteorder"), bytes.len())?;
        if order != b"little" {
            return Err(WeightsError::Layout(
                "written on a big-endian machine".to_owned(),
            ));
        }
    }
    let program = entry(&mut zip, &format!("{root}/data.pkl"), bytes.len())?;
    let (object, arena, _) = pickle::load(&program)?;
    let storages = storages(&mut zip, &format!("{root}/data"), &arena, bytes.len())?;
    state::tensors(&object, &arena, bytes.len(), |s| Ok(of(&storages, s)))
}

/// The bytes of every storage that a pickle refers to. Tensors share storages, so each is read
/// once.
fn storages<'a>(
    zip: &mut Zip<'_>,
    folder: &str,
    arena: &'a Pickle,
    limit: usize,
) -> Result<HashMap<&'a str, Vec<u8>>, WeightsError> {
    let mut storages = HashMap::new();
    for storage in arena.storages() {
        if !storages.contains_key(storage.key.as_str()) {
            let name = format!("{folder}/{}", storage.key);
            storages.insert(storage.key.as_str(), entry(zip, &name, limit)?);
        }
    }
    Ok(storages)
}

/// The bytes of a storage that was read.
fn of<'a>(storages: &'a HashMap<&str, Vec<u8>>, storage: &Storage) -> &'a [u8] {
    let found = storages.get(storage.key.as_str());
    found.map_or(&[][..], Vec::as_slice)
}

/// A stored entry. PyTorch never compresses, so that a compressed entry (which could expand without
/// bound) is refused.
fn entry(zip: &mut Zip<'_>, name: &str, limit: usize) -> Result<Vec<u8>, WeightsError> {
    let wrap = |problem| WeightsError::Layout(format!("entry {name:?}: {problem}"));
    let file = zip.by_name(name).map_err(|e| wrap(e.to_string()))?;
    if file.compression() != CompressionMethod::Stored || file.encrypted() {
        return Err(wrap(
            "compressed or encrypted, which PyTorch never writes".to_owned(),
        ));
    }
    // The size that the archive states may be a lie; no entry is larger than the file.
    let mut bytes = Vec::new();
    file.take(limit as u64)
        .read_to_end(&mut bytes)
        .map_err(|e| wrap(e.to_string()))?;
    Ok(bytes)
}
