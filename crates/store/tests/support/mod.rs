//! A place for a store: a folder, or a bucket of a service on loopback.
#![allow(dead_code, reason = "each test program uses a part")]

pub(crate) mod service;

use segad_core::{CellKind, Key};
use segad_store::{Location, Store, StoreError};
use service::{BUCKET, S3};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const PREFIX: &str = "some/prefix";

pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) s3: Option<S3>,
    opened: Cell<usize>,
}

impl Place {
    pub(crate) fn folder() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            s3: None,
            opened: Cell::new(0),
        }
    }

    pub(crate) fn s3() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let s3 = Some(S3::start(&dir.path().join("service")));
        Self {
            dir,
            s3,
            opened: Cell::new(0),
        }
    }

    pub(crate) fn environment(&self) -> BTreeMap<String, String> {
        self.s3.as_ref().map(S3::environment).unwrap_or_default()
    }

    pub(crate) fn address(&self) -> PathBuf {
        match self.s3 {
            Some(_) => format!("s3://{BUCKET}/{PREFIX}").into(),
            None => self.dir.path().join("store"),
        }
    }

    /// The store, each time as another machine sees it.
    pub(crate) fn location(&self) -> Location {
        self.opened.set(self.opened.get() + 1);
        let copies = self.copies().with_file_name(self.opened.get().to_string());
        Location::parse(&self.address(), &copies, &self.environment()).unwrap()
    }

    /// The store as all processes of one machine see it.
    pub(crate) fn here(&self) -> Store {
        let here = Location::parse(&self.address(), &self.copies(), &self.environment());
        here.unwrap().open().unwrap()
    }

    pub(crate) fn copies(&self) -> PathBuf {
        self.dir.path().join("copies/here")
    }

    pub(crate) fn open(&self) -> Store {
        self.location().open().unwrap()
    }

    pub(crate) fn open_read_only(&self) -> Result<Store, StoreError> {
        self.location().open_read_only()
    }

    /// The folder that has what the store calls by its address.
    pub(crate) fn root(&self) -> PathBuf {
        match &self.s3 {
            Some(s3) => s3.data.join(BUCKET).join(PREFIX),
            None => self.address(),
        }
    }

    /// What the store calls a file.
    pub(crate) fn named(&self, path: &Path) -> PathBuf {
        self.address().join(path.strip_prefix(self.root()).unwrap())
    }

    /// Where a cell's commit mark lies.
    pub(crate) fn mark(&self, kind: CellKind, key: &Key) -> PathBuf {
        let key = key.to_string();
        let cell = format!("v1/{kind}/{}/{key}/meta.json", &key[..2]);
        self.root().join(cell)
    }

    /// All files of a cell, in the order of their names.
    pub(crate) fn files(&self, kind: CellKind, key: &Key) -> Vec<PathBuf> {
        let mark = self.mark(kind, key);
        let mut files = files_below(mark.parent().unwrap());
        let text = fs::read_to_string(mark).unwrap();
        let meta: serde_json::Value = serde_json::from_str(&text).unwrap();
        if let Some(draft) = meta["draft"].as_str() {
            files.extend(files_below(&self.root().join("v1/data").join(draft)));
        }
        files.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
        files
    }

    /// Where a file of a cell lies.
    pub(crate) fn file(&self, kind: CellKind, key: &Key, name: &str) -> PathBuf {
        let files = self.files(kind, key).into_iter();
        let mut files = files.filter(|path| path.ends_with(name));
        let file = files.next().unwrap();
        assert!(files.next().is_none());
        file
    }

    /// What is left of unfinished drafts.
    pub(crate) fn drafts(&self) -> Vec<PathBuf> {
        let all = files_below(self.dir.path());
        let is_draft = |path: &Path| path.to_string_lossy().contains("/v1/tmp/");
        all.into_iter().filter(|path| is_draft(path)).collect()
    }

    pub(crate) fn quarantined(&self) -> usize {
        fs::read_dir(self.root().join("v1/quarantine"))
            .unwrap()
            .count()
    }
}

/// All files below a folder; none if it is not there.
pub(crate) fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Makes two tests of each function: one on a folder, one on an object store.
#[macro_export]
macro_rules! on_both {
    ($($name:ident)*) => {
        mod folder {
            $(#[test]
            fn $name() {
                super::$name(&super::support::Place::folder());
            })*
        }
        mod s3 {
            $(#[test]
            fn $name() {
                super::$name(&super::support::Place::s3());
            })*
        }
    };
}
