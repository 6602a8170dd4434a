use crate::{SegmentsError, Shapes};
use segad_core::{Image, ImageId, LabelMap, SegmentSource};

/// The maps that come with the program, by name.
const SHIPPED: [(&str, &str); 3] = [
    (
        "elpv-mono",
        include_str!("../../../datasets/segments/elpv-mono.toml"),
    ),
    (
        "screws",
        include_str!("../../../datasets/segments/screws.toml"),
    ),
    ("vad", include_str!("../../../datasets/segments/vad.toml")),
];

/// One map for all images, for products that are always in the same position.
#[derive(Clone, Debug)]
pub struct StaticMap {
    map: LabelMap,
    names: Vec<String>,
}

impl StaticMap {
    /// Paints shapes at the size of the anomaly maps.
    ///
    /// # Errors
    /// As [`Shapes::rasterise`]; [`SegmentsError::Names`] for a file with `inside`, which is for
    /// posed maps.
    pub fn new(shapes: &Shapes, height: usize, width: usize) -> Result<Self, SegmentsError> {
        if shapes.inside.is_some() {
            let reason = "inside applies to maps of kind posed; paint a shape instead".to_owned();
            return Err(SegmentsError::Names {
                file: shapes.file.clone(),
                reason,
            });
        }
        Ok(Self {
            map: shapes.rasterise(height, width)?,
            names: shapes.names.clone(),
        })
    }

    /// A map from elsewhere, with a name for each of its segments.
    ///
    /// # Errors
    /// [`SegmentsError::Names`] unless there are as many different names as segments.
    pub fn from_map(map: LabelMap, names: &[String]) -> Result<Self, SegmentsError> {
        crate::shapes::check_names("label map", names)?;
        if names.len() != usize::from(map.segments()) {
            let reason = format!("{} names for {} segments", names.len(), map.segments());
            return Err(SegmentsError::Names {
                file: "label map".to_owned(),
                reason,
            });
        }
        Ok(Self {
            map,
            names: names.to_vec(),
        })
    }

    /// One segment called `whole`.
    ///
    /// # Errors
    /// For a side of zero.
    pub fn whole(height: usize, width: usize) -> Result<Self, SegmentsError> {
        Ok(Self {
            map: LabelMap::whole(height, width)?,
            names: vec!["whole".to_owned()],
        })
    }

    /// The map.
    pub fn map(&self) -> &LabelMap {
        &self.map
    }
}

/// Names of the shipped maps.
pub fn shipped_names() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|(name, _)| *name)
}

/// The shipped map of this name.
///
/// # Errors
/// [`SegmentsError::UnknownName`] listing the known names.
pub fn shipped(name: &str) -> Result<Shapes, SegmentsError> {
    Shapes::parse(&format!("{name}.toml"), shipped_text(name)?)
}

/// The text of the shipped map of this name.
///
/// # Errors
/// As [`shipped`].
pub fn shipped_text(name: &str) -> Result<&'static str, SegmentsError> {
    match SHIPPED.iter().find(|(n, _)| *n == name) {
        Some((_, text)) => Ok(text),
        None => {
            let known: Vec<_> = ["whole", "foreground"]
                .into_iter()
                .chain(shipped_names())
                .collect();
            Err(SegmentsError::UnknownName {
                name: name.to_owned(),
                known: known.join(", "),
            })
        }
    }
}

impl SegmentSource for StaticMap {
    type Error = SegmentsError;

    fn label_map(&self, _: &ImageId, _: &Image) -> Result<LabelMap, SegmentsError> {
        Ok(self.map.clone())
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn static_map(&self) -> Option<&LabelMap> {
        Some(&self.map)
    }
}
