use crate::{FeatureError, FeatureName};
use segad_core::{FeatureTable, ImageId};
use std::collections::HashMap;

/// Joins tables of one detector each into one, with the columns in the order of
/// [`FeatureExtractor::new`](crate::FeatureExtractor::new) and the rows in that of the first table.
///
/// ```
/// use segad_core::{FeatureTable, ImageId};
///
/// let table = |names: [&str; 3], row: [f32; 3]| {
///     FeatureTable::new(names.map(String::from).to_vec(), vec![ImageId::new("1")], row.to_vec())
/// };
/// let a = table(["board/a/mean", "chip/a/mean", "a/max"], [1.0, 2.0, 3.0])?;
/// let b = table(["board/b/mean", "chip/b/mean", "b/max"], [4.0, 5.0, 6.0])?;
/// let both = segad_features::join(&[a, b])?;
/// assert_eq!(both.names()[..3], ["board/a/mean", "board/b/mean", "chip/a/mean"]);
/// assert_eq!(both.values(), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`FeatureError::NoName`] without a table, [`FeatureError::Column`] for a column of another kind,
/// [`FeatureError::Image`] naming the first image that a table lacks.
pub fn join(tables: &[FeatureTable]) -> Result<FeatureTable, FeatureError> {
    let first = tables.first().ok_or(FeatureError::NoName("detector"))?;
    let segments = tables.iter().map(segments).collect::<Result<Vec<_>, _>>()?;
    // Segments as the first table has them; one that only others have comes after those.
    let mut order: Vec<Option<&str>> = Vec::new();
    for &segment in segments.iter().flatten().filter(|s| s.is_some()) {
        if !order.contains(&segment) {
            order.push(segment);
        }
    }
    order.push(None);
    // Segment by segment, and within each detector by detector, as one extractor would have it.
    let mut columns = Vec::new();
    for wanted in order {
        for (table, own) in segments.iter().enumerate() {
            let fitting = (0..own.len()).filter(|&j| own[j] == wanted);
            columns.extend(fitting.map(|j| (table, j)));
        }
    }
    let rows: Vec<HashMap<&ImageId, usize>> = tables
        .iter()
        .map(|t| t.ids().iter().enumerate().map(|(i, id)| (id, i)).collect())
        .collect();
    let mut values = Vec::with_capacity(first.rows() * columns.len());
    for id in first.ids() {
        let mut row = Vec::with_capacity(tables.len());
        for (positions, table) in rows.iter().zip(tables) {
            let position = positions.get(id).ok_or_else(|| absent(id, table))?;
            row.push(table.row(*position));
        }
        values.extend(columns.iter().map(|&(table, j)| row[table][j]));
    }
    let names = columns
        .iter()
        .map(|&(table, j)| tables[table].names()[j].clone())
        .collect();
    Ok(FeatureTable::new(names, first.ids().to_vec(), values)?)
}

/// The segment of each column.
fn segments(table: &FeatureTable) -> Result<Vec<Option<&str>>, FeatureError> {
    let mut segments = Vec::with_capacity(table.columns());
    for name in table.names() {
        let has_segment = name.parse::<FeatureName>()?.segment().is_some();
        // A segment's name has no slash, so it ends at the first one.
        let segment = name.split_once('/').filter(|_| has_segment);
        segments.push(segment.map(|(segment, _)| segment));
    }
    Ok(segments)
}

fn absent(id: &ImageId, table: &FeatureTable) -> FeatureError {
    let first = table.names().first();
    let name = first.and_then(|n| n.parse::<FeatureName>().ok());
    FeatureError::Image {
        image: id.clone(),
        source: Box::new(FeatureError::NoMap {
            detector: name.map_or_else(String::new, |n| n.source().to_owned()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FeatureExtractor, FeatureParams, Scratch, SegmentIndex};
    use segad_core::{AnomalyMap, LabelMap};

    fn ids(names: &[&str]) -> Vec<ImageId> {
        names.iter().map(|&n| ImageId::new(n)).collect()
    }

    #[test]
    fn joining_equals_extracting_together() {
        let names = |list: &[&str]| list.iter().map(|s| s.to_string()).collect::<Vec<_>>();
        let index =
            SegmentIndex::new(&LabelMap::new(2, 4, vec![0, 0, 1, 1, 0, 0, 1, 1], 2).unwrap())
                .unwrap();
        let map = |from: f32| {
            AnomalyMap::new(2, 4, (0..8).map(|i| from + (i * i) as f32).collect()).unwrap()
        };
        let extract = |detectors: &[&str], maps: &[&[AnomalyMap]; 2]| {
            let params = FeatureParams::default().check().unwrap();
            let e = FeatureExtractor::new(params, &names(detectors), &names(&["board", "chip"]))
                .unwrap();
            let row = |maps: &[AnomalyMap]| {
                e.row(
                    &maps.iter().collect::<Vec<_>>(),
                    &index,
                    &mut Scratch::default(),
                )
                .unwrap()
            };
            FeatureTable::new(
                e.columns(),
                ids(&["x", "y"]),
                [row(maps[0]), row(maps[1])].concat(),
            )
            .unwrap()
        };
        let a = extract(&["a"], &[&[map(1.0)], &[map(2.0)]]);
        let b = extract(&["b"], &[&[map(3.0)], &[map(4.0)]]);
        let both = extract(&["a", "b"], &[&[map(1.0), map(3.0)], &[map(2.0), map(4.0)]]);
        // Rows are found by their image, wherever they stand.
        assert_eq!(join(&[a.clone(), b.select_rows(&[1, 0])]).unwrap(), both);
        let error = join(&[a, b.select_rows(&[1])]).unwrap_err().to_string();
        assert!(error.contains("image x") && error.contains('b'), "{error}");
    }

    #[test]
    fn what_cannot_be_joined() {
        assert_eq!(join(&[]).unwrap_err(), FeatureError::NoName("detector"));
        let odd = FeatureTable::new(vec!["odd".into()], ids(&["x"]), vec![1.0]).unwrap();
        assert_eq!(
            join(&[odd]).unwrap_err(),
            FeatureError::Column("odd".into())
        );
    }
}
