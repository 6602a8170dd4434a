//! Group-by and joins over result tables; the only place that knows polars.

use crate::ReportError;
use polars::prelude::*;
use std::collections::BTreeMap;

/// One value of one metric in one cell; names are indices.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observation {
    pub row: usize,
    pub class: usize,
    pub seed: u64,
    pub metric: usize,
    pub value: f64,
}

/// A mean and its spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub mean: f64,
    pub std: Option<f64>,
    pub std1: Option<f64>,
}

fn frame(observations: &[Observation]) -> Result<LazyFrame, ReportError> {
    let index = |f: fn(&Observation) -> usize| -> Vec<u64> {
        observations.iter().map(|o| f(o) as u64).collect()
    };
    let frame = df!(
        "row" => index(|o| o.row),
        "class" => index(|o| o.class),
        "metric" => index(|o| o.metric),
        "seed" => observations.iter().map(|o| o.seed).collect::<Vec<u64>>(),
        "value" => observations.iter().map(|o| o.value).collect::<Vec<f64>>(),
    )?;
    Ok(frame.lazy())
}

fn spread() -> [Expr; 2] {
    [
        col("value").std(0).alias("std"),
        col("value").std(1).alias("std1"),
    ]
}

/// Mean and standard deviation over seeds, by (row, class, metric).
pub(crate) fn over_seeds(
    observations: &[Observation],
) -> Result<BTreeMap<(usize, usize, usize), Summary>, ReportError> {
    let [std, std1] = spread();
    let table = frame(observations)?
        .group_by_stable([col("row"), col("class"), col("metric")])
        .agg([col("value").mean().alias("mean"), std, std1])
        .collect()?;
    let (row, class, metric) = (
        indices(&table, "row")?,
        indices(&table, "class")?,
        indices(&table, "metric")?,
    );
    let summaries = summaries(&table)?;
    Ok((0..table.height())
        .map(|i| ((row[i], class[i], metric[i]), summaries[i]))
        .collect())
}

/// The mean of the classes' means, by (row, metric), where each of `classes` classes has one;
/// spread over the seeds' means over all classes, where a seed has every class.
pub(crate) fn over_classes(
    observations: &[Observation],
    classes: usize,
) -> Result<BTreeMap<(usize, usize), Summary>, ReportError> {
    let all = classes as u64;
    let complete = |by: &[&str]| -> Result<LazyFrame, ReportError> {
        let keys: Vec<Expr> = by.iter().map(|&b| col(b)).collect();
        Ok(frame(observations)?
            .group_by_stable([col("row"), col("metric"), col("seed"), col("class")])
            .agg([col("value").mean()])
            .group_by_stable(keys)
            .agg([
                col("value").mean(),
                col("class")
                    .n_unique()
                    .cast(DataType::UInt64)
                    .alias("classes"),
            ])
            .filter(col("classes").eq(lit(all))))
    };
    let means = frame(observations)?
        .group_by_stable([col("row"), col("metric"), col("class")])
        .agg([col("value").mean()])
        .group_by_stable([col("row"), col("metric")])
        .agg([
            col("value").mean().alias("mean"),
            col("class")
                .n_unique()
                .cast(DataType::UInt64)
                .alias("classes"),
        ])
        .filter(col("classes").eq(lit(all)));
    let spreads = complete(&["row", "metric", "seed"])?
        .group_by_stable([col("row"), col("metric")])
        .agg(spread());
    let keys = [col("row"), col("metric")];
    let table = means
        .join(spreads, keys.clone(), keys, JoinArgs::new(JoinType::Left))
        .collect()?;
    let (row, metric) = (indices(&table, "row")?, indices(&table, "metric")?);
    let summaries = summaries(&table)?;
    Ok((0..table.height())
        .map(|i| ((row[i], metric[i]), summaries[i]))
        .collect())
}

fn indices(table: &DataFrame, name: &str) -> Result<Vec<usize>, ReportError> {
    let column = table.column(name)?.u64()?;
    Ok(column
        .into_no_null_iter()
        .map(|v| usize::try_from(v).unwrap_or(usize::MAX))
        .collect())
}

fn summaries(table: &DataFrame) -> Result<Vec<Summary>, ReportError> {
    let (mean, std, std1) = (
        table.column("mean")?.f64()?,
        table.column("std")?.f64()?,
        table.column("std1")?.f64()?,
    );
    let summary = |i| Summary {
        mean: mean.get(i).unwrap_or(f64::NAN),
        std: std.get(i),
        std1: std1.get(i),
    };
    Ok((0..table.height()).map(summary).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observe(list: &[(usize, u64, f64)]) -> Vec<Observation> {
        list.iter()
            .map(|&(class, seed, value)| Observation {
                row: 0,
                class,
                seed,
                metric: 0,
                value,
            })
            .collect()
    }

    #[test]
    fn means_and_spreads_by_hand() {
        let o = observe(&[(0, 1, 90.0), (0, 2, 92.0), (0, 3, 97.0)]);
        let s = over_seeds(&o).unwrap()[&(0, 0, 0)];
        // mean 93; squared deviations 9, 1, 16: 26/3 and 26/2
        assert!((s.mean - 93.0).abs() < 1e-12);
        assert!((s.std.unwrap() - (26f64 / 3.0).sqrt()).abs() < 1e-12);
        assert!((s.std1.unwrap() - 13f64.sqrt()).abs() < 1e-12);
        let one = over_seeds(&o[..1]).unwrap()[&(0, 0, 0)];
        assert_eq!((one.std, one.std1), (Some(0.0), None));
    }

    #[test]
    fn class_mean_is_the_mean_of_class_means() {
        // Class 1 lacks seed 2: mean (91 + 80)/2, spread over the one seed that both have.
        let o = observe(&[(0, 1, 90.0), (0, 2, 92.0), (1, 1, 80.0)]);
        let s = over_classes(&o, 2).unwrap()[&(0, 0)];
        assert!((s.mean - 85.5).abs() < 1e-12);
        assert_eq!((s.std, s.std1), (Some(0.0), None));
        // Seeds' means 85 and 88: std 1.5 over n, √4.5 over n − 1.
        let o = observe(&[(0, 1, 90.0), (0, 2, 92.0), (1, 1, 80.0), (1, 2, 84.0)]);
        let s = over_classes(&o, 2).unwrap()[&(0, 0)];
        assert!((s.mean - 86.5).abs() < 1e-12);
        assert!(
            (s.std.unwrap() - 1.5).abs() < 1e-12 && (s.std1.unwrap() - 4.5f64.sqrt()).abs() < 1e-12
        );
        // Without any value in a class there is no mean; with disjoint seeds there is one, but no
        // spread.
        assert!(
            over_classes(&observe(&[(0, 1, 90.0)]), 2)
                .unwrap()
                .is_empty()
        );
        let s = over_classes(&observe(&[(0, 1, 90.0), (1, 2, 80.0)]), 2).unwrap()[&(0, 0)];
        assert_eq!((s.mean, s.std), (85.0, None));
    }
}
