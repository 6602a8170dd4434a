//! From files to maps.

use crate::listing::{Listing, MapSource};
use segad_core::{AnomalyMap, ImageId, Key};
use segad_imaging::npy::{NpyArray, read_npy};
use segad_store::MapsReader;
use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::Path;

/// Largest array taken out of a `.npz`: far beyond any map, well below what would hurt.
const MOST: u64 = 1 << 30;

/// The Parquet files that a list names, open.
pub(crate) type Readers = BTreeMap<String, MapsReader>;

/// Opens them.
pub(crate) fn readers(base: &Path, listing: &Listing) -> segad_store::Result<Readers> {
    let mut readers = Readers::new();
    for row in &listing.rows {
        if let MapSource::Parquet(name) = &row.map
            && !readers.contains_key(name)
        {
            readers.insert(name.clone(), MapsReader::open(&base.join(name))?);
        }
    }
    Ok(readers)
}

/// Reads one map. `digest` is what its file's content must still be.
pub(crate) fn map(
    base: &Path,
    readers: &Readers,
    source: &MapSource,
    id: &ImageId,
    digest: &Key,
) -> Result<AnomalyMap, String> {
    match source {
        MapSource::Parquet(name) => {
            let row = readers.get(name).and_then(|r| Some((r, r.find(id)?)));
            let (reader, row) = row.ok_or_else(|| format!("{name} has no row {id}"))?;
            Ok(reader.get(row).map_err(|e| e.to_string())?.map)
        }
        MapSource::File(name) => {
            let bytes = segad_files::read(&base.join(name)).map_err(|e| e.to_string())?;
            // The cell's key contains this digest; another content would be stored under the wrong
            // key.
            if Key::of_bytes(&bytes) != *digest {
                return Err(format!("{name}: changed while it was read; import again"));
            }
            let array = if name.ends_with(".npz") {
                from_npz(&bytes)
            } else {
                read_npy(&bytes).map_err(|e| e.to_string())
            };
            array
                .and_then(|a| from_array(&a))
                .map_err(|problem| format!("{name}: {problem}"))
        }
    }
}

fn from_array(array: &NpyArray) -> Result<AnomalyMap, String> {
    let &[height, width] = array.shape() else {
        return Err(format!(
            "an array of shape {:?}; expected height × width",
            array.shape()
        ));
    };
    AnomalyMap::new(height, width, array.to_f32()).map_err(|e| e.to_string())
}

/// The only array of an archive, or the one called `map`.
fn from_npz(bytes: &[u8]) -> Result<NpyArray, String> {
    let mut archive =
        zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| format!("damaged npz: {e}"))?;
    let names = archive
        .file_names()
        .map(|n| Ok(n?.into_owned()))
        .collect::<zip::result::ZipResult<Vec<String>>>();
    let names = names.map_err(|e| format!("damaged npz: {e}"))?;
    // numpy.savez calls a single array `arr_0`, so its name does not matter.
    let name = match names.as_slice() {
        [one] => one,
        several => several.iter().find(|n| *n == "map.npy").ok_or_else(|| {
            format!(
                "arrays {}; expected one, or one called map",
                several.join(", ")
            )
        })?,
    };
    let file = archive
        .by_name(name)
        .map_err(|e| format!("damaged npz: {e}"))?;
    let mut array = Vec::new();
    // A small archive can claim any size.
    file.take(MOST)
        .read_to_end(&mut array)
        .map_err(|e| format!("damaged npz: {name}: {e}"))?;
    read_npy(&array).map_err(|e| format!("{name}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_imaging::npy::write_f32;
    use std::io::Write;

    fn npz(arrays: &[&str]) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for name in arrays {
            zip.start_file(*name, zip::write::SimpleFileOptions::default())
                .unwrap();
            zip.write_all(&write_f32(&[1, 2], &[1.0, name.len() as f32]).unwrap())
                .unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    #[test]
    fn archives_give_their_only_array_or_the_map() {
        assert_eq!(from_npz(&npz(&["x.npy"])).unwrap().to_f32(), [1.0, 5.0]);
        assert_eq!(
            from_npz(&npz(&["longer.npy", "map.npy"])).unwrap().to_f32(),
            [1.0, 7.0]
        );
        assert!(
            from_npz(&npz(&["a.npy", "b.npy"]))
                .unwrap_err()
                .contains("one called map")
        );
        assert!(
            from_npz(&npz(&["a.npy"])[..40])
                .unwrap_err()
                .contains("damaged npz")
        );
    }

    #[test]
    fn maps_are_flat_and_finite() {
        let read = |shape: &[usize], values: &[f32]| {
            from_array(&read_npy(&write_f32(shape, values).unwrap()).unwrap())
        };
        assert!(
            read(&[1, 1, 2], &[0.0, 1.0])
                .unwrap_err()
                .contains("height × width")
        );
        assert!(
            read(&[1, 2], &[0.0, f32::NAN])
                .unwrap_err()
                .contains("row 0, column 1")
        );
        assert!(read(&[0, 2], &[]).is_err());
    }
}
