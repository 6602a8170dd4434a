use crate::{Folder, Foreground, Posed, SegmentsError, StaticMap};
use segad_core::{Image, ImageId, Key, KeyHasher, LabelMap, SegmentSource};

/// Any of the sources of this crate.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AnySource {
    /// One map for all images.
    Static(StaticMap),
    /// A label file per image.
    Folder(Folder),
    /// Foreground by colour.
    Foreground(Foreground),
    /// Shapes placed over each image.
    Posed(Box<Posed>),
}

impl AnySource {
    /// Key of everything except pixels that determines the label maps of these images: for a static
    /// map its labels and names, for a folder the content of these images' files, for the others
    /// their settings.
    ///
    /// # Errors
    /// [`SegmentsError::Missing`] and the like, for a folder.
    pub fn digest(&self, ids: &[ImageId]) -> Result<Key, SegmentsError> {
        match self {
            Self::Static(s) => {
                let mut hasher = KeyHasher::new("segments/static", crate::REVISION);
                let map = s.map();
                hasher
                    .field("names", s.names())
                    .field("labels", &Key::of_bytes(map.labels()))
                    .field("height", &map.height())
                    .field("width", &map.width());
                Ok(hasher.finish())
            }
            Self::Folder(s) => s.digest(ids),
            Self::Foreground(s) => Ok(s.digest()),
            Self::Posed(s) => Ok(s.digest()),
        }
    }

    /// Whether label maps depend on the pixels of the image, so that the key of whatever uses them
    /// must include the image's content.
    pub fn looks_at_pixels(&self) -> bool {
        matches!(self, Self::Foreground(_) | Self::Posed(_))
    }
}

impl SegmentSource for AnySource {
    type Error = SegmentsError;

    fn label_map(&self, id: &ImageId, image: &Image) -> Result<LabelMap, SegmentsError> {
        match self {
            Self::Static(s) => s.label_map(id, image),
            Self::Folder(s) => s.label_map(id, image),
            Self::Foreground(s) => s.label_map(id, image),
            Self::Posed(s) => s.label_map(id, image),
        }
    }

    fn names(&self) -> &[String] {
        match self {
            Self::Static(s) => s.names(),
            Self::Folder(s) => s.names(),
            Self::Foreground(s) => s.names(),
            Self::Posed(s) => s.names(),
        }
    }

    fn static_map(&self) -> Option<&LabelMap> {
        match self {
            Self::Static(s) => s.static_map(),
            Self::Folder(_) | Self::Foreground(_) | Self::Posed(_) => None,
        }
    }
}
