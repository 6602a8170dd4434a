use segad_core::CurvePoint;
use serde::{Deserialize, Serialize};

/// Makes points from the values of single steps.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Recorder {
    pub points: Vec<CurvePoint>,
    /// Sum and number of values since the last point, by name.
    open: Vec<(String, f64, u64)>,
}

impl Recorder {
    pub(super) fn add(&mut self, name: &str, value: f64) {
        match self.open.iter_mut().find(|o| o.0 == name) {
            Some(open) => {
                open.1 += value;
                open.2 += 1;
            }
            None => self.open.push((name.to_owned(), value, 1)),
        }
    }

    /// Closes the points that are open.
    pub(super) fn close(&mut self, step: u64) {
        for (name, sum, count) in self.open.drain(..) {
            self.points.push(CurvePoint {
                step,
                name,
                value: sum / count as f64,
            });
        }
    }
}
