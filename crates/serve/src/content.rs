use segad_core::{AnomalyMap, BoxError, Image, Label, LabelMap, Reason};
use serde::Serialize;
use std::sync::Arc;

/// What is served. If a part is absent, its routes answer 404 and the page hides it.
#[derive(Clone, Default)]
pub struct Content {
    /// Answers `POST /v1/inspect`.
    pub inspector: Option<Arc<dyn Inspect>>,
    /// Scored images.
    pub gallery: Option<Arc<dyn Gallery>>,
}

/// Something that inspects images. Calls come from several threads, at most
/// [`Limits::workers`](crate::Limits) at a time.
pub trait Inspect: Send + Sync {
    /// What it is.
    fn about(&self) -> About;

    /// Scores one image, given as the bytes of an image file.
    ///
    /// # Errors
    /// [`Refusal`].
    fn inspect(&self, bytes: &[u8]) -> Result<Answer, Refusal>;
}

/// What an inspector says about itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct About {
    /// A name for people.
    pub name: String,
    /// An image is called bad if its score ≥ this.
    pub threshold: f64,
    /// Segment names in the order of their labels.
    pub segments: Vec<String>,
    /// Detectors in the order of their maps.
    pub detectors: Vec<String>,
    /// Further facts: names and values.
    pub facts: Vec<(String, String)>,
}

/// What an inspector says about an image.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Raw score, larger is more anomalous.
    pub score: f32,
    /// The verdict: bad if the score ≥ the threshold.
    pub verdict: Label,
    /// Probability of a defect, 0 to 1, where scores are calibrated.
    pub probability: Option<f64>,
    /// What to know besides the verdict, e.g. that the image is unlike those of the fit.
    pub warnings: Vec<String>,
    /// What pushed the score, strongest first.
    pub reasons: Vec<Reason>,
    /// One map per detector, over the whole image.
    pub maps: Vec<MapPicture>,
    /// The segment that each pixel of the maps belongs to.
    pub segments: Option<LabelMap>,
}

/// A detector's map and the values that its colours span.
#[derive(Clone, Debug)]
pub struct MapPicture {
    /// The detector.
    pub detector: String,
    /// The map.
    pub map: AnomalyMap,
    /// This value and below is darkest.
    pub low: f32,
    /// This value and above is brightest.
    pub high: f32,
}

/// Why an image has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The image cannot be used; the text says what is wrong with it. Status 422.
    Image(String),
    /// The inspector failed. Status 500; the text goes to the log.
    Internal(String),
}

/// Scored images, in sets that are opened when they are asked for.
pub trait Gallery: Send + Sync {
    /// Names of the sets, in the order of the menu.
    fn names(&self) -> Vec<String>;

    /// A set by its position, which is below the number of names. Called often: keep what was read.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    fn set(&self, set: usize) -> Result<Arc<ImageSet>, BoxError>;

    /// A layer of an image; all three are positions within their lists. Any size: layers of an
    /// image are stretched over one another.
    ///
    /// # Errors
    /// Whatever keeps it from being read or drawn.
    fn picture(&self, set: usize, item: usize, layer: usize) -> Result<Image, BoxError>;
}

/// Scored images that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageSet {
    /// Remarks.
    pub notes: Vec<String>,
    /// Groups that count only where somebody asks for them, e.g. because their labels are in doubt.
    pub set_aside: Vec<String>,
    /// Level of all intervals, 0 to 1.
    pub level: f64,
    /// The area under the curve of all that counts, where the owner has stated it elsewhere; else it
    /// is computed.
    pub auroc: Option<Area>,
    /// The threshold in use, where there is one.
    pub threshold: Option<f64>,
    /// What can be shown of an image; the first is the thumbnail.
    pub layers: Vec<Layer>,
    /// The images.
    pub items: Vec<Item>,
}

/// An area under the ROC curve with its interval, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// The area.
    pub value: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// A picture of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// A name for people.
    pub name: String,
    /// What it shows.
    pub kind: LayerKind,
}

/// What a layer shows, which decides how it is laid over others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LayerKind {
    /// The photograph.
    Photo,
    /// A heat map.
    Map,
    /// Segments in their colours.
    Segments,
    /// Bright outlines on black.
    Outlines,
}

/// One scored image.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its name, e.g. its path below the data set's folder.
    pub id: String,
    /// What it is known to be.
    pub label: Label,
    /// A finer group.
    pub group: String,
    /// Its raw score, finite.
    pub score: f32,
}
