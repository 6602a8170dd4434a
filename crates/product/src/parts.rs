//! Segment sources that a model file can carry.

use crate::error::{ProductError, Result};
use segad_core::LabelMap;
use segad_segments::{
    Foreground, ForegroundParams, Posed, SegmentsError, Shapes, Source, StaticMap,
};
use serde::{Deserialize, Serialize};

/// Which part of the product a pixel belongs to, with everything needed to say so about a new
/// image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Segments {
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

impl Segments {
    /// Segments from the text of a file of shapes: posed if the file has the key `inside`, else one
    /// map for all images.
    ///
    /// # Errors
    /// The file's own.
    pub fn from_text(file: &str, text: &str) -> Result<Self> {
        let (file, text) = (file.to_owned(), text.to_owned());
        let shapes = Shapes::parse(&file, &text)?;
        match StaticMap::new(&shapes, 64, 64) {
            // A small segment may have no pixel at this size; the size of the maps decides.
            Ok(_) | Err(SegmentsError::EmptySegment { .. }) => Ok(Self::Shapes { file, text }),
            Err(_) => Ok(Self::Posed {
                file,
                text,
                foreground: ForegroundParams::default(),
                aspect_tolerance: 0.15,
            }),
        }
    }

    pub(crate) fn found(map: &LabelMap, names: &[String]) -> Self {
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

    /// The source at the size of the maps.
    ///
    /// # Errors
    /// The source's own, e.g. a segment without a pixel.
    pub fn open(&self, height: usize, width: usize) -> Result<Source> {
        Ok(match self {
            Self::Whole => Source::Static(StaticMap::whole(height, width)?),
            Self::Shapes { file, text } => {
                Source::Static(StaticMap::new(&Shapes::parse(file, text)?, height, width)?)
            }
            Self::Found {
                names,
                size: [h, w],
                runs,
            } => {
                // A damaged list must not ask for more than the map holds.
                let most = h.saturating_mul(*w);
                let labels = runs
                    .iter()
                    .flat_map(|&(label, n)| std::iter::repeat_n(label, n as usize));
                let labels: Vec<u8> = labels.take(most.saturating_add(1)).collect();
                let segments = u8::try_from(names.len()).unwrap_or(u8::MAX);
                let map = LabelMap::new(*h, *w, labels, segments)?;
                let map = if [*h, *w] == [height, width] {
                    map
                } else {
                    segad_imaging::resize_labels(&map, height, width)?
                };
                Source::Static(StaticMap::from_map(map, names)?)
            }
            Self::Foreground { params } => {
                Source::Foreground(Foreground::new(params.clone(), height, width)?)
            }
            Self::Posed {
                file,
                text,
                foreground,
                aspect_tolerance,
            } => {
                let foreground = Foreground::new(foreground.clone(), height, width)?;
                let posed = Posed::new(file, text, foreground, *aspect_tolerance, height, width)?;
                Source::Posed(Box::new(posed))
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

impl std::str::FromStr for Segments {
    type Err = ProductError;

    /// `whole`, `foreground`, or the name of a shipped map.
    fn from_str(name: &str) -> Result<Self> {
        match name {
            "whole" => Ok(Self::Whole),
            "foreground" => Ok(Self::Foreground {
                params: ForegroundParams::default(),
            }),
            name => {
                let text = segad_segments::shipped_text(name)?;
                Ok(Self::Shapes {
                    file: format!("{name}.toml"),
                    text: text.to_owned(),
                })
            }
        }
    }
}
