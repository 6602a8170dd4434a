use crate::error::{Damage, Result, StoreError};
use segad_core::{CellKind, Key};
use segad_files::Owner;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// The schema version of `meta.json` and of the Parquet files that this build writes, and the
/// newest that it reads.
pub const SCHEMA: u32 = 1;

/// The name of a cell's commit mark.
pub(crate) const META: &str = "meta.json";

/// A cell's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CellId {
    /// What it holds.
    pub kind: CellKind,
    /// The key of everything that decides its content.
    pub key: Key,
}

impl fmt::Display for CellId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.key)
    }
}

impl CellId {
    /// The name of a record about the cell: its lease, its failure.
    pub(crate) fn record(self) -> String {
        format!("{}-{}.json", self.kind, self.key)
    }

    /// A new name for the cell in quarantine.
    pub(crate) fn quarantined(self) -> String {
        let tag = Owner::current().unique_tag();
        format!("{}-{}-{tag}", self.kind, self.key)
    }
}

/// A data file in `meta.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMeta {
    /// Size in bytes.
    pub size: u64,
    /// BLAKE3 of the content.
    pub blake3: Key,
}

impl FileMeta {
    pub(crate) fn compare_size(&self, path: &Path, actual: u64) -> Result<()> {
        let expected = self.size;
        if actual == expected {
            return Ok(());
        }
        Err(StoreError::damaged(path, Damage::Size { expected, actual }))
    }

    /// Compares the size and digest of a file with those recorded.
    pub(crate) fn compare(&self, path: &Path, found: (u64, Key)) -> Result<()> {
        self.compare_size(path, found.0)?;
        if found.1 != self.blake3 {
            let damage = Damage::Digest {
                expected: self.blake3.to_string(),
                actual: found.1.to_string(),
            };
            return Err(StoreError::damaged(path, damage));
        }
        Ok(())
    }
}

/// A cell's `meta.json`: the commit mark.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// Schema version, [`SCHEMA`].
    pub schema: u32,
    /// What the cell holds.
    pub kind: CellKind,
    /// The cell's key.
    pub key: Key,
    /// Every data file.
    pub files: BTreeMap<String, FileMeta>,
    /// The draft whose data files these are, where the store keeps those of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draft: Option<String>,
    /// How the cell was computed: parameters, inputs, versions, machine, seconds, memory. Not part
    /// of the key.
    pub provenance: serde_json::Value,
}

const SEAL: (&str, &str) = ("{\n  \"seal\": \"", "\",");

impl Meta {
    /// The cell's address.
    pub fn id(&self) -> CellId {
        CellId {
            kind: self.kind,
            key: self.key,
        }
    }

    /// Bytes of all data files.
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|f| f.size).sum()
    }

    /// The file's text. Its first member is the BLAKE3 digest of all that follows it, so that
    /// damage here is detected too.
    pub(crate) fn encode(&self, path: &Path) -> Result<Vec<u8>> {
        // The seal covers the exact bytes, so it is put in front of the finished text.
        let text = serde_json::to_string_pretty(self).map_err(|e| StoreError::invalid(path, e))?;
        let rest = text.strip_prefix('{').expect("a struct is a JSON object");
        let rest = format!("{rest}\n");
        Ok(format!(
            "{}{}{}{rest}",
            SEAL.0,
            Key::of_bytes(rest.as_bytes()),
            SEAL.1
        )
        .into_bytes())
    }

    pub(crate) fn decode(path: &Path, bytes: &[u8]) -> Result<Self> {
        let text = str::from_utf8(bytes).map_err(|e| StoreError::content(path, e))?;
        let (seal, rest) = text
            .strip_prefix(SEAL.0)
            .and_then(|t| t.split_once(SEAL.1))
            .ok_or_else(|| StoreError::content(path, "does not begin with its seal"))?;
        let actual = Key::of_bytes(rest.as_bytes()).to_string();
        if seal != actual {
            let expected = seal.to_owned();
            return Err(StoreError::damaged(
                path,
                Damage::Digest { expected, actual },
            ));
        }
        let body = format!("{{{rest}");
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        // The version first: a newer file may hold members that this build cannot read.
        let found = serde_json::from_str::<Version>(&body)
            .map_err(|e| StoreError::content(path, e))?
            .schema;
        if found > SCHEMA {
            return Err(StoreError::NewerSchema {
                path: path.to_owned(),
                found,
                known: SCHEMA,
            });
        }
        serde_json::from_str(&body).map_err(|e| StoreError::content(path, e))
    }
}

/// Checks the name of a data file.
pub(crate) fn check_name(folder: &Path, name: &str) -> Result<()> {
    let fine = !name.is_empty()
        && name.len() <= 100
        && !name.starts_with('.')
        && name != META
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if fine {
        return Ok(());
    }
    let problem = format!(
        "file name {name:?}: expected 1 to 100 letters, digits, dots, hyphens or underscores, no \
         leading dot, not {META}"
    );
    Err(StoreError::invalid(folder, problem))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn meta() -> Meta {
        let files = [(
            "a.bin".to_owned(),
            FileMeta {
                size: 3,
                blake3: Key::of_bytes(b"abc"),
            },
        )]
        .into();
        let provenance =
            serde_json::json!({"seconds": 0.1, "cpu": "x", "a": {"z": 1, "b": [1, null]}});
        Meta {
            schema: SCHEMA,
            kind: CellKind::Maps,
            key: Key::of_bytes(b"k"),
            files,
            draft: None,
            provenance,
        }
    }

    #[test]
    fn meta_reads_back_and_is_json() {
        let path = Path::new("meta.json");
        let bytes = meta().encode(path).unwrap();
        assert_eq!(Meta::decode(path, &bytes).unwrap(), meta());
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(json["files"]["a.bin"]["size"], 3);
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let path = Path::new("meta.json");
        let bytes = meta().encode(path).unwrap();
        for i in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[i / 8] ^= 1 << (i % 8);
            assert_eq!(
                Meta::decode(path, &bad).unwrap_err().kind(),
                ErrorKind::Damaged,
                "bit {i}"
            );
        }
        for n in 0..bytes.len() {
            assert_eq!(
                Meta::decode(path, &bytes[..n]).unwrap_err().kind(),
                ErrorKind::Damaged,
                "{n} bytes"
            );
        }
    }

    #[test]
    fn a_newer_schema_is_told_from_damage() {
        let path = Path::new("meta.json");
        let bytes = Meta {
            schema: SCHEMA + 1,
            ..meta()
        }
        .encode(path)
        .unwrap();
        let e = Meta::decode(path, &bytes).unwrap_err();
        assert!(
            matches!(e, StoreError::NewerSchema { found, known: SCHEMA, .. } if found == SCHEMA + 1)
        );
    }

    #[test]
    fn names_are_checked() {
        let folder = Path::new("x");
        for name in ["maps.parquet", "model-1_a.safetensors"] {
            check_name(folder, name).unwrap();
        }
        for name in [
            "",
            ".a",
            "a/b",
            "..",
            "meta.json",
            "a b",
            "é",
            &"a".repeat(101),
        ] {
            assert_eq!(
                check_name(folder, name).unwrap_err().kind(),
                ErrorKind::Invalid,
                "{name:?}"
            );
        }
    }
}
