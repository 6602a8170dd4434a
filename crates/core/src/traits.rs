use crate::{AnomalyMap, FitContext, Image, ImageId, LabelMap, Seed, TrainGood, TrainLabelled};

/// Any error, for seams where the concrete type is not known.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// A fitted one-class detector.
pub trait AnomalyDetector: Send {
    /// What can go wrong.
    type Error: std::error::Error + Send + Sync + 'static;

    /// One raw anomaly map per image, at the size of the network input, in the order of `images`.
    ///
    /// # Errors
    /// The detector's own.
    fn maps(&self, images: &[Image]) -> Result<Vec<AnomalyMap>, Self::Error>;
}

/// A detector that is fitted on good images only.
pub trait FitDetector {
    /// What fitting gives.
    type Fitted: AnomalyDetector;
    /// What can go wrong.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Fits on good training images. The same images, seed and precision give the same model.
    ///
    /// # Errors
    /// The detector's own.
    fn fit(
        &self,
        good: &TrainGood<'_>,
        seed: Seed,
        ctx: &FitContext,
    ) -> Result<Self::Fitted, Self::Error>;
}

/// A fitted supervised classifier, the paper's g(I).
pub trait ImageClassifier: Send {
    /// What can go wrong.
    type Error: std::error::Error + Send + Sync + 'static;

    /// One raw logit per image, larger is more anomalous, in the order of `images`.
    ///
    /// # Errors
    /// The classifier's own.
    fn scores(&self, images: &[Image]) -> Result<Vec<f32>, Self::Error>;
}

/// A classifier that can be fitted on labelled images.
pub trait FitClassifier {
    /// What fitting gives.
    type Fitted: ImageClassifier;
    /// What can go wrong.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Fits on good and bad training images. The same images, labels, seed and precision give the
    /// same model.
    ///
    /// # Errors
    /// The classifier's own; images of only one label are always an error.
    fn fit(
        &self,
        train: &TrainLabelled<'_>,
        seed: Seed,
        ctx: &FitContext,
    ) -> Result<Self::Fitted, Self::Error>;
}

/// Says which segment each pixel of an image belongs to.
pub trait SegmentSource: Send + Sync {
    /// What can go wrong.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The label map of one image, at the size of the anomaly maps.
    ///
    /// # Errors
    /// The source's own.
    fn label_map(&self, id: &ImageId, image: &Image) -> Result<LabelMap, Self::Error>;

    /// Segment names in the order of their labels; the length is L.
    fn names(&self) -> &[String];

    /// The one label map of all images, where there is one; callers then need not load the image.
    fn static_map(&self) -> Option<&LabelMap>;
}
