use crate::layout::{self, Scan};
use crate::manifest::{Layout, Manifest};
use crate::{Dataset, DatasetError, Index, masks};
use std::path::Path;

/// A product's images, with every other file accounted for: each file is in the index, refused with
/// a reason, or left out by a rule.
pub struct Gathered {
    /// The images. Whether they can be decoded has not been looked at.
    pub index: Index,
    /// Files that cannot be used, with the reason.
    pub refused: Vec<(String, String)>,
    /// What is left out.
    pub left_out: LeftOut,
}

/// What is left out, by rule. Paths are relative to the data set's folder; a folder counts once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Hidden and system entries ([`segad_files::is_hidden`]).
    pub hidden: Vec<String>,
    /// Links to folders that are listed already.
    pub links: Vec<String>,
    /// Masks of defects beside the images.
    pub masks: Vec<String>,
    /// Files and folders outside the folders of good and of bad images.
    pub outside: Vec<String>,
}

impl LeftOut {
    pub(crate) fn add(&mut self, other: Self) {
        self.hidden.extend(other.hidden);
        self.links.extend(other.links);
        self.masks.extend(other.masks);
        self.outside.extend(other.outside);
    }
}

impl Dataset {
    /// All images of a data set with one class. In contrast to [`Dataset::index`], a file that
    /// cannot be used is reported with all others, and masks are told from images by their names
    /// and, where it takes that, by their content.
    ///
    /// # Errors
    /// A list that cannot be read, a folder that cannot be listed.
    pub fn gather(&self) -> Result<Gathered, DatasetError> {
        let manifest = self.manifest();
        let class = manifest.class(&manifest.name)?;
        let mut scan = self.scan(class)?;
        if manifest.layout != Layout::Csv {
            // A list names images one by one, so whatever it names is meant.
            masks::take_out(self.base(), &mut scan);
            leave_out_others(self.base(), manifest, &mut scan)?;
        }
        let Scan {
            entries,
            missing,
            extra,
            mut refused,
            left_out,
            ..
        } = scan;
        let absent = "listed, but there is no such file";
        refused.extend(
            missing
                .into_iter()
                .map(|id| (id.to_string(), absent.to_owned())),
        );
        let neither = "neither in a folder of good nor of bad images";
        refused.extend(extra.into_iter().map(|path| (path, neither.to_owned())));
        refused.sort();
        Ok(Gathered {
            index: Index::new(&class.name, entries)?,
            refused,
            left_out,
        })
    }
}

/// What is in the product's folder besides the folders of the layout.
fn leave_out_others(base: &Path, manifest: &Manifest, scan: &mut Scan) -> Result<(), DatasetError> {
    let own = layout::folders(manifest);
    for path in segad_files::list_all(base)? {
        let name = segad_files::name_of(&path);
        let left_out = &mut scan.left_out;
        match () {
            () if own.contains(&name.as_str()) => {}
            () if segad_files::is_hidden(name.as_ref()) => left_out.hidden.push(name),
            () if masks::is_folder(&name) => left_out.masks.push(name),
            () => left_out.outside.push(name),
        }
    }
    Ok(())
}
