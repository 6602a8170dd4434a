//! What is written down about an inspected image.

use crate::inspector::Inspection;
use segad_core::{Label, Reason};
use serde::{Deserialize, Serialize};

/// One image's line. Either a score and what belongs to it, or an error.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The file, or `frame N` of a stream, counted from 0.
    pub path: String,
    /// Raw score, larger is more anomalous.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub score: Option<f32>,
    /// At or above the threshold (`bad`) or below (`good`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verdict: Option<Label>,
    /// Calibrated probability of "bad".
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub probability: Option<f64>,
    /// What drove the score towards bad, the strongest first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub reasons: Vec<Reason>,
    /// Why there is no score.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// What to know besides the verdict: an image unlike those of the fit, a picture that could not
    /// be written.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub warnings: Vec<String>,
    /// A picture that was asked for is missing, as one of the warnings says.
    #[serde(skip)]
    pub lacks_picture: bool,
}

impl Record {
    /// The line of an inspection with at most this many reasons.
    pub fn new(path: String, inspection: &Inspection, reasons: usize) -> Self {
        Self {
            path,
            score: Some(inspection.score),
            verdict: Some(inspection.verdict),
            probability: Some(inspection.probability),
            reasons: inspection
                .reasons
                .iter()
                .filter(|r| r.contribution > 0.0)
                .take(reasons)
                .cloned()
                .collect(),
            error: None,
            warnings: Vec::new(),
            lacks_picture: false,
        }
    }

    /// The line of an image that could not be inspected.
    pub fn failed(path: String, error: String) -> Self {
        Self {
            path,
            error: Some(error),
            ..Self::default()
        }
    }

    /// One JSON object without a line break.
    ///
    /// # Errors
    /// [`crate::ProductError::Card`]; never in practice.
    pub fn json(&self) -> crate::Result<String> {
        Ok(serde_json::to_string(self)?)
    }

    /// One line for people.
    pub fn text(&self) -> String {
        match (&self.error, self.verdict, self.score, self.probability) {
            (None, Some(verdict), Some(score), Some(probability)) => {
                let reasons: Vec<String> = self.reasons.iter().map(Reason::describe).collect();
                let reasons = if reasons.is_empty() {
                    String::new()
                } else {
                    format!("  {}", reasons.join("; "))
                };
                format!(
                    "{:4}  {probability:.3}  {score:9.4}  {}{reasons}",
                    verdict.as_str(),
                    self.path
                )
            }
            (error, ..) => {
                format!(
                    "????  {}: {}",
                    self.path,
                    error.as_deref().unwrap_or("no score")
                )
            }
        }
    }
}
