//! The layout of PyTorch since 1.6: a zip archive of `<name>/data.pkl` and one entry for each
//! storage.

use std::collections::HashMap;
use std::io::{Cursor, Read};

use zip::{CompressionMethod, ZipArchive};

use crate::Tensors;
use crate::error::WeightsError;
use crate::pickle;
use crate::state;

type Zip<'a> = ZipArchive<Cursor<&'a [u8]>>;

pub(crate) fn read(bytes: &[u8]) -> Result<Tensors, WeightsError> {
    let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| {
        WeightsError::Layout(format!(
            "a zip archive that cannot be read ({e}); it may be truncated, get it again"
        ))
    })?;
    let names: Vec<String> = zip
        .file_names()
        .filter_map(Result::ok)
        .map(|name| name.into_owned())
        .collect();
    // The folder's name is that of the file when it was saved.
    let Some(root) = names.iter().find_map(|n| n.strip_suffix("/data.pkl")) else {
        return Err(WeightsError::Layout(
            "a zip archive without data.pkl: not a PyTorch file".to_owned(),
        ));
    };
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
    // Tensors share storages, so each is read once.
    let mut storages: HashMap<&str, Vec<u8>> = HashMap::new();
    for storage in arena.storages() {
        if !storages.contains_key(storage.key.as_str()) {
            let name = format!("{root}/data/{}", storage.key);
            storages.insert(&storage.key, entry(&mut zip, &name, bytes.len())?);
        }
    }
    state::tensors(&object, &arena, bytes.len(), |storage| {
        // Read above for each storage that is referred to.
        Ok(storages
            .get(storage.key.as_str())
            .map_or(&[][..], Vec::as_slice))
    })
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
