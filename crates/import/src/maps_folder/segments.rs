//! The segments of a folder of maps.

use super::MapsFolder;
use crate::{ImportError, Layout, folder};
use segad_core::{ImageId, Key, KeyHasher};
use segad_segments::{AnySource, FolderParams, SegmentsSpec, SegmentsTable};
use std::collections::BTreeMap;
use std::path::PathBuf;

impl MapsFolder {
    /// How the images of a class are cut into segments; paths are relative to [`MapsFolder::base`].
    ///
    /// # Errors
    /// [`ImportError::Segments`] if layout `segad` needs a number of segments that the manifest
    /// does not give.
    pub fn segments(&self, class: &str) -> Result<SegmentsSpec, ImportError> {
        if self.layout == Layout::Folder {
            return Ok(folder::segments_of(&self.segments, class));
        }
        let path = PathBuf::from("visa_segm").join(class);
        let known = self.manifest.classes.iter().find(|c| c.name == class);
        let Some(count) = known.and_then(|c| c.segments).filter(|&n| n > 0) else {
            let reason = format!(
                "data set {} does not say how many segments {class} has",
                self.manifest.name
            );
            return Err(ImportError::Segments { path, reason });
        };
        Ok(SegmentsSpec::Table(SegmentsTable::Folder(FolderParams {
            path,
            segments: (0..count).map(letter).collect(),
            file: "{folder}/{stem}".to_owned(),
            rename: BTreeMap::new(),
            resize: false,
            allow_empty: true,
        })))
    }

    /// The source of [`MapsFolder::segments`] for maps of this size.
    ///
    /// # Errors
    /// As [`MapsFolder::segments`]; or what keeps the source from being opened.
    pub fn segment_source(
        &self,
        class: &str,
        height: usize,
        width: usize,
    ) -> Result<AnySource, ImportError> {
        let spec = self.segments(class)?;
        let source = segad_segments::open(&spec, &self.base, height, width);
        source.map_err(|e| self.segments_error(e))
    }

    /// Stands for the segments of a class: the settings, and the content of the masks where each
    /// image has its own.
    ///
    /// # Errors
    /// As [`MapsFolder::segment_source`], and for a missing mask.
    pub fn segments_key(&self, class: &str) -> Result<Key, ImportError> {
        // Any one size is enough to distinguish sources; that of the maps is in their own key.
        let source = self.segment_source(class, 256, 256)?;
        let index = self.index(class)?;
        let ids: Vec<ImageId> = index.entries().iter().map(|e| e.id.clone()).collect();
        let AnySource::Folder(masks) = &source else {
            return source.digest(&ids).map_err(|e| self.segments_error(e));
        };
        let mut names = Vec::with_capacity(ids.len());
        for id in &ids {
            let file = masks.file(id).map_err(|e| self.segments_error(e))?;
            let name = file.strip_prefix(&self.base).unwrap_or(&file);
            names.push(name.display().to_string());
        }
        let digests = self.digests_of(&names)?;
        let mut hasher = KeyHasher::new("imported-segments", segad_segments::REVISION);
        hasher
            .field("spec", &self.segments_text(class)?)
            .field("ids", &ids)
            .field("content", &digests);
        Ok(hasher.finish())
    }

    /// The settings of a class's segments as text.
    fn segments_text(&self, class: &str) -> Result<String, ImportError> {
        let spec = self.segments(class)?;
        toml::Value::try_from(&spec)
            .map(|v| v.to_string())
            .map_err(|e| self.segments_error(e))
    }

    fn segments_error(&self, e: impl std::error::Error) -> ImportError {
        ImportError::Segments {
            path: self.base.clone(),
            reason: e.to_string(),
        }
    }
}

/// a, b, c, … as in the authors' feature names; numbers beyond z.
fn letter(n: u8) -> String {
    if n < 26 {
        char::from(b'a' + n).to_string()
    } else {
        format!("s{n}")
    }
}
