//! Names for segments that the program found by itself.

use crate::error::{ProductError, Result};
use crate::model::Model;
use segad_features::FeatureName;
use segad_segments::PortableSegments;
use std::collections::BTreeMap;

impl Model {
    /// The same model with other names for segments that were found in good images: reasons,
    /// statistics, and whatever shows them. No score changes. `names` goes from old names to new
    /// ones; a segment that is absent keeps its own.
    ///
    /// # Errors
    /// [`ProductError::Setting`] for a model whose segments were not found but given, which has
    /// their names from there, for a segment that it does not have, and for a name with a slash;
    /// [`ProductError::Segments`] for names that are empty or appear twice.
    pub fn name_segments(&self, names: &BTreeMap<String, String>) -> Result<Self> {
        let mut card = self.card().clone();
        if !matches!(card.segments, PortableSegments::Found { .. }) {
            return Err(ProductError::Setting {
                name: "segments",
                value: card.segments.describe(),
                expected: "segments that were found from the good images; those of a file have \
                           their names from it, so change them there and fit again"
                    .to_owned(),
            });
        }
        if let Some(unknown) = names.keys().find(|old| !card.segment_names.contains(old)) {
            return Err(ProductError::Setting {
                name: "segment",
                value: format!("{unknown:?}"),
                expected: format!("one of {:?}", card.segment_names),
            });
        }
        let rename = |name: &String| names.get(name).unwrap_or(name).clone();
        card.segment_names = card.segment_names.iter().map(rename).collect();
        card.segments = card.segments.named(&card.segment_names)?;
        for share in &mut card.importance {
            share.name = rename(&share.name);
        }
        // Columns of statistics put a slash behind the segment.
        if let Some(name) = card.segment_names.iter().find(|name| name.contains('/')) {
            return Err(ProductError::Setting {
                name: "segment",
                value: format!("{name:?}"),
                expected: "a name without '/'".to_owned(),
            });
        }
        let forest = self.forest()?.map(|forest| {
            let columns = forest.columns().iter().map(|c| renamed(c, &rename));
            let columns = columns.collect();
            forest.with_columns(columns)
        });
        self.with_card(card, forest)
    }
}

/// The column under the new name of its segment.
fn renamed(column: &str, rename: &impl Fn(&String) -> String) -> String {
    match column.parse() {
        Ok(FeatureName::Segment {
            segment,
            detector,
            measure,
        }) => FeatureName::Segment {
            segment: rename(&segment),
            detector,
            measure,
        }
        .to_string(),
        _ => column.to_owned(),
    }
}
