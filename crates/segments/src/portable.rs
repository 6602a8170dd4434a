use crate::shapes::check_names;
use crate::{
    AnySource, Foreground, ForegroundParams, Posed, SegmentsError, Shapes, StaticMap, shipped_text,
};
use segad_core::LabelMap;
use serde::{Deserialize, Serialize};

/// How much the ratio of the product's sides may differ from the template's, unless a file says
/// otherwise.
pub(crate) const ASPECT_TOLERANCE: f64 = 0.15;

/// A source with everything in it that is needed to open it anywhere: it names no file that would
/// have to come along.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum PortableSegments {
    /// One segment, the whole image.
    Whole,
    /// Shapes, one map for all images.
    Shapes {
        /// Name of the file, for errors.
        file: String,
        /// Its text.
        text: String,
    },
    /// One map for all images that was found from good images.
    Found {
        /// Names of the segments, in the order of their labels.
        names: Vec<String>,
        /// Height and width.
        size: [usize; 2],
        /// The labels, row by row: label and how often it repeats.
        runs: Vec<(u8, u32)>,
    },
    /// What differs from the border's colour.
    Foreground {
        /// How it is found.
        params: ForegroundParams,
    },
    /// Shapes laid over each image where the product lies.
    Posed {
        /// Name of the file, for errors.
        file: String,
        /// Its text.
        text: String,
        /// How the product is found.
        foreground: ForegroundParams,
        /// How much the ratio of its sides may differ from the template's.
        aspect_tolerance: f64,
    },
}

impl PortableSegments {
    /// The text of a file of shapes: posed if the file has the key `inside`, else one map for all
    /// images.
    ///
    /// # Errors
    /// The file's own.
    pub fn from_text(file: &str, text: &str) -> Result<Self, SegmentsError> {
        let shapes = Shapes::parse(file, text)?;
        let file = file.to_owned();
        let text = text.to_owned();
        match StaticMap::new(&shapes, 64, 64) {
            // A small segment may have no pixel at this size; the size of the maps decides.
            Ok(_) | Err(SegmentsError::EmptySegment { .. }) => Ok(Self::Shapes { file, text }),
            Err(_) => Ok(Self::Posed {
                file,
                text,
                foreground: ForegroundParams::default(),
                aspect_tolerance: ASPECT_TOLERANCE,
            }),
        }
    }

    /// One map for all images, at its own size.
    pub fn found(map: &LabelMap, names: &[String]) -> Self {
        let mut runs: Vec<(u8, u32)> = Vec::new();
        for &label in map.labels() {
            match runs.last_mut() {
                Some((last, count)) if *last == label => *count += 1,
                _ => runs.push((label, 1)),
            }
        }
        Self::Found {
            names: names.to_vec(),
            size: [map.height(), map.width()],
            runs,
        }
    }

    /// Found segments under other names, in the order of their labels; any other source as it is.
    ///
    /// # Errors
    /// [`SegmentsError::Names`] for names that are empty, appear twice, or are too many.
    pub fn named(&self, names: &[String]) -> Result<Self, SegmentsError> {
        check_names("the model", names)?;
        let mut named = self.clone();
        if let Self::Found { names: old, .. } = &mut named {
            *old = names.to_vec();
        }
        Ok(named)
    }

    /// The source at the size of the anomaly maps.
    ///
    /// # Errors
    /// The source's own, e.g. a segment without a pixel.
    pub fn open(&self, height: usize, width: usize) -> Result<AnySource, SegmentsError> {
        Ok(match self {
            Self::Whole => AnySource::Static(StaticMap::whole(height, width)?),
            Self::Shapes { file, text } => {
                AnySource::Static(StaticMap::new(&Shapes::parse(file, text)?, height, width)?)
            }
            Self::Found { names, size, runs } => {
                let map = unpack(names.len(), *size, runs)?;
                let map = if *size == [height, width] {
                    map
                } else {
                    segad_imaging::resize_labels(&map, height, width)?
                };
                AnySource::Static(StaticMap::from_map(map, names)?)
            }
            Self::Foreground { params } => {
                AnySource::Foreground(Foreground::new(params.clone(), height, width)?)
            }
            Self::Posed {
                file,
                text,
                foreground,
                aspect_tolerance,
            } => {
                let foreground = Foreground::new(foreground.clone(), height, width)?;
                let posed = Posed::new(file, text, foreground, *aspect_tolerance, height, width)?;
                AnySource::Posed(Box::new(posed))
            }
        })
    }

    /// In a few words.
    pub fn describe(&self) -> String {
        match self {
            Self::Whole => "the whole image".to_owned(),
            Self::Shapes { file, .. } => format!("shapes of {file}"),
            Self::Found { .. } => "found from the good images".to_owned(),
            Self::Foreground { .. } => "foreground by colour".to_owned(),
            Self::Posed { file, .. } => format!("shapes of {file} where the product lies"),
        }
    }
}

fn unpack(
    segments: usize,
    [height, width]: [usize; 2],
    runs: &[(u8, u32)],
) -> Result<LabelMap, SegmentsError> {
    // A damaged list must not ask for more memory than the map takes.
    let most = height.saturating_mul(width).saturating_add(1);
    let repeated = runs
        .iter()
        .flat_map(|&(label, n)| std::iter::repeat_n(label, n as usize));
    let labels: Vec<u8> = repeated.take(most).collect();
    let segments = u8::try_from(segments).unwrap_or(u8::MAX);
    Ok(LabelMap::new(height, width, labels, segments)?)
}

impl std::str::FromStr for PortableSegments {
    type Err = SegmentsError;

    /// `whole`, `foreground`, or the name of a shipped map.
    fn from_str(name: &str) -> Result<Self, SegmentsError> {
        match name {
            "whole" => Ok(Self::Whole),
            "foreground" => Ok(Self::Foreground {
                params: ForegroundParams::default(),
            }),
            name => Ok(Self::Shapes {
                file: format!("{name}.toml"),
                text: shipped_text(name)?.to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_found_map_opens_at_any_size() {
        let map = LabelMap::new(2, 4, vec![0, 0, 1, 1, 0, 0, 1, 1], 2).unwrap();
        let names = ["left", "right"].map(String::from);
        let found = PortableSegments::found(&map, &names);
        let PortableSegments::Found { runs, .. } = &found else {
            panic!("{found:?}")
        };
        assert_eq!(runs, &[(0, 2), (1, 2), (0, 2), (1, 2)]);
        let AnySource::Static(same) = found.open(2, 4).unwrap() else {
            panic!("one map for all images")
        };
        assert_eq!(same.map(), &map);
        let AnySource::Static(large) = found.open(4, 8).unwrap() else {
            panic!("one map for all images")
        };
        assert_eq!(large.map().areas(), [16, 16]);
        let damaged = PortableSegments::Found {
            names: names.to_vec(),
            size: [2, 4],
            runs: vec![(0, u32::MAX)],
        };
        assert!(damaged.open(2, 4).is_err());
    }
}
