use crate::{CoreError, ImageId};

/// Features of images: one row per image, one named column per feature, row-major. NaN is
/// "missing".
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureTable {
    names: Vec<String>,
    ids: Vec<ImageId>,
    values: Vec<f32>,
}

impl FeatureTable {
    /// A table from its parts; `values` holds `ids.len()` rows of `names.len()` values.
    ///
    /// # Errors
    /// [`CoreError::Table`] unless the sizes fit.
    pub fn new(names: Vec<String>, ids: Vec<ImageId>, values: Vec<f32>) -> Result<Self, CoreError> {
        let expected = names.len() * ids.len();
        if values.len() != expected {
            return Err(CoreError::Table {
                rows: ids.len(),
                columns: names.len(),
                expected,
                actual: values.len(),
            });
        }
        Ok(Self { names, ids, values })
    }

    /// Column names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Row ids.
    pub fn ids(&self) -> &[ImageId] {
        &self.ids
    }

    /// All values, row-major.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.ids.len()
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.names.len()
    }

    /// One row.
    ///
    /// # Panics
    /// If `row` is not below [`FeatureTable::rows`].
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.names.len()..(row + 1) * self.names.len()]
    }

    /// The rows at these positions, in this order.
    ///
    /// # Panics
    /// If a position is not below [`FeatureTable::rows`].
    pub fn select_rows(&self, positions: &[usize]) -> Self {
        let mut values = Vec::with_capacity(positions.len() * self.columns());
        for &i in positions {
            values.extend_from_slice(self.row(i));
        }
        let ids = positions.iter().map(|&i| self.ids[i].clone()).collect();
        Self {
            names: self.names.clone(),
            ids,
            values,
        }
    }

    /// The columns whose names satisfy `keep`, in this order.
    pub fn select_columns(&self, keep: impl Fn(&str) -> bool) -> Self {
        let kept: Vec<usize> = (0..self.columns())
            .filter(|&j| keep(&self.names[j]))
            .collect();
        let values = (0..self.rows())
            .flat_map(|i| kept.iter().map(move |&j| self.row(i)[j]))
            .collect();
        Self {
            names: kept.iter().map(|&j| self.names[j].clone()).collect(),
            ids: self.ids.clone(),
            values,
        }
    }

    /// This table with one more column at the right.
    ///
    /// # Errors
    /// [`CoreError::Table`] unless there is one value per row.
    pub fn with_column(&self, name: &str, column: &[f32]) -> Result<Self, CoreError> {
        // Rows are matched by position, so that a missing one would shift all after it.
        if column.len() != self.rows() {
            return Err(CoreError::Table {
                rows: self.rows(),
                columns: 1,
                expected: self.rows(),
                actual: column.len(),
            });
        }
        let mut names = self.names.clone();
        names.push(name.to_owned());
        let mut values = Vec::with_capacity(self.values.len() + column.len());
        for (i, &v) in column.iter().enumerate() {
            values.extend_from_slice(self.row(i));
            values.push(v);
        }
        Ok(Self {
            names,
            ids: self.ids.clone(),
            values,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> FeatureTable {
        let ids = vec![ImageId::new("a"), ImageId::new("b")];
        FeatureTable::new(vec!["x".into(), "y".into()], ids, vec![1., 2., 3., 4.]).unwrap()
    }

    #[test]
    fn rows_and_columns() {
        let t = table();
        assert_eq!(t.select_rows(&[1, 0]).values(), [3., 4., 1., 2.]);
        assert_eq!(t.select_columns(|n| n == "y").values(), [2., 4.]);
        assert_eq!(
            t.with_column("z", &[8., 9.]).unwrap().values(),
            [1., 2., 8., 3., 4., 9.]
        );
        assert!(t.with_column("z", &[8.]).is_err());
    }
}
