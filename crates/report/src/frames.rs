//! Lazy queries over metrics: means and spreads, and differences paired by seed. The only place
//! that knows polars.
//!
//! Every query starts from one long table with the columns of [`Column`] and `value`, in percent;
//! a null value is a cell that failed.

use crate::query::{Filter, Observation};
use crate::{MEAN, ReportError};
use polars::prelude::*;
use segad_metrics::Interval;
use std::collections::BTreeMap;

/// A cell's values over its seeds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Summary {
    pub mean: Option<f64>,
    /// Standard deviation with n in the denominator.
    pub std: Option<f64>,
    /// The same with n − 1.
    pub std1: Option<f64>,
    /// Seeds with a value or a failure.
    pub planned: usize,
    /// Values by seed, ascending.
    pub seeds: Vec<(u64, f64)>,
}

/// The long table, in the order of `observations`.
pub(crate) fn frame(observations: &[Observation]) -> Result<LazyFrame, ReportError> {
    let frame = df!(
        "experiment" => observations.iter().map(|o| o.experiment.as_str()).collect::<Vec<_>>(),
        "row" => observations.iter().map(|o| o.row.as_str()).collect::<Vec<_>>(),
        "class" => observations.iter().map(|o| o.class.as_str()).collect::<Vec<_>>(),
        "seed" => observations.iter().map(|o| o.seed).collect::<Vec<_>>(),
        "metric" => observations.iter().map(|o| o.metric.as_str()).collect::<Vec<_>>(),
        "value" => observations.iter().map(|o| o.value).collect::<Vec<_>>(),
    )?;
    Ok(frame.lazy())
}

/// By group: mean, both standard deviations, how many values there are and how many are missing,
/// how many seeds there are, how many have a value, and the values with their seeds.
pub(crate) fn spread(frame: LazyFrame, by: &[&str]) -> LazyFrame {
    frame.group_by_stable(columns(by)).agg([
        col("value").mean().alias("mean"),
        // Both: the paper divides by n, a sample's estimate divides by n − 1.
        col("value").std(0).alias("std"),
        col("value").std(1).alias("std1"),
        col("value").count().alias("n"),
        col("value").null_count().alias("missing"),
        col("seed").n_unique().alias("planned"),
        col("seed")
            // Seeds of the values alone, so that both lists pair up.
            .filter(col("value").is_not_null())
            .n_unique()
            .alias("distinct"),
        col("seed")
            .filter(col("value").is_not_null())
            .alias("seeds"),
        col("value").drop_nulls().alias("values"),
    ])
}

/// [`spread`] with the number of `seeds` that have a value, and no `std` where that is less than the
/// number of values.
pub(crate) fn summary(frame: LazyFrame, by: &[&str]) -> LazyFrame {
    let independent = col("distinct").eq(col("n"));
    let std = when(independent).then(col("std")).otherwise(lit(NULL));
    spread(frame, by).with_columns([std.alias("std"), col("distinct").alias("seeds")])
}

/// Summaries by row, class and metric; the mean over all `classes` classes has the class [`MEAN`].
pub(crate) fn summaries(
    observations: &[Observation],
    classes: usize,
) -> Result<BTreeMap<[String; 3], Summary>, ReportError> {
    let cell = ["row", "class", "metric"];
    let numbers_of = ["mean", "std", "std1", "planned", "seeds", "values"];
    let wanted = columns(&[&cell[..], &numbers_of].concat());
    let frame = frame(observations)?;
    // To whoever reads the tables, the mean over classes is one more class.
    let per_class = spread(frame.clone(), &cell).select(wanted.clone());
    let over_classes = over_classes(frame, classes).select(wanted);
    let all = concat([per_class, over_classes], UnionArgs::default())?.collect()?;
    let seeds = lists(&all, "seeds")?;
    let values = lists(&all, "values")?;
    let mut summaries = BTreeMap::new();
    for i in 0..all.height() {
        let [row, class, metric] = cell.map(|name| text(&all, name, i));
        let values = values[i].f64()?.into_no_null_iter();
        let summary = Summary {
            mean: number(&all, "mean", i)?,
            std: number(&all, "std", i)?,
            std1: number(&all, "std1", i)?,
            planned: count(&all, "planned", i)?,
            seeds: seeds[i].u64()?.into_no_null_iter().zip(values).collect(),
        };
        summaries.insert([row?, class?, metric?], summary);
    }
    Ok(summaries)
}

/// The mean of the classes' means, where every class has one, and the spread of the seeds' means
/// over all classes. A seed that lacks a class counts as missing: its mean would differ by the
/// level of that class, not by chance.
fn over_classes(frame: LazyFrame, classes: usize) -> LazyFrame {
    let by = ["row", "metric"];
    let found = col("value").count().alias("found");
    let complete = col("found").cast(DataType::UInt64).eq(lit(classes as u64));
    let mean = when(complete).then(col("value")).otherwise(lit(NULL));
    let per_seed = frame
        .clone()
        .group_by_stable(columns(&["row", "metric", "seed"]))
        .agg([col("value").mean(), found.clone()])
        .with_column(mean.clone().alias("value"))
        // Grouping keeps the order of the first class, which may lack a seed that others have.
        .sort(["seed"], SortMultipleOptions::default());
    let means = frame
        .group_by_stable(columns(&["row", "metric", "class"]))
        .agg([col("value").mean()])
        .group_by_stable(columns(&by))
        .agg([col("value").mean(), found])
        .select([col("row"), col("metric"), mean.alias("over_classes")]);
    // A left join, because a row that lacks a class has no mean but still has planned seeds.
    let args = JoinArgs::new(JoinType::Left);
    spread(per_seed, &by)
        .join(means, columns(&by), columns(&by), args)
        .with_columns([lit(MEAN).alias("class"), col("over_classes").alias("mean")])
}

/// Every other row's values less those of `base` in the same experiment, class, metric and seed. By
/// group: their `mean` with Student's 95 % interval (`low95`, `high95`; null below two pairs, and
/// where a seed has several pairs, which are not independent), the `least` and the `most`, how many
/// are `larger` than zero, and how many there are (`n`).
pub(crate) fn differences(
    frame: LazyFrame,
    base: &str,
    by: &[&str],
) -> Result<DataFrame, ReportError> {
    // A window instead of a join with itself: it keeps the order of the lines, which is that of the
    // answer.
    let is_base = col("row").eq(lit(base));
    let theirs = col("value").filter(is_base.clone()).first();
    let pair = columns(&["experiment", "class", "metric", "seed"]);
    let mut table = frame
        .with_columns([theirs.over(pair)?.alias("theirs"), lit(base).alias("base")])
        .filter(is_base.not())
        .with_column(col("value") - col("theirs"))
        .filter(col("value").is_not_null())
        .group_by_stable(columns(by))
        .agg([
            col("value").mean().alias("mean"),
            col("value").min().alias("least"),
            col("value").max().alias("most"),
            col("value").gt(lit(0.0)).sum().alias("larger"),
            col("value").count().alias("n"),
            col("value").alias("values"),
            col("seed")
                .n_unique()
                .eq(col("value").count())
                .alias("independent"),
        ])
        .collect()?;
    // Polars has no quantiles of Student's distribution.
    let mut lows = Vec::new();
    let mut highs = Vec::new();
    let independent = table.column("independent")?.bool()?.clone();
    for (i, values) in lists(&table, "values")?.into_iter().enumerate() {
        let values: Vec<f64> = values.f64()?.into_no_null_iter().collect();
        // Classes and protocols of one seed share images and fits: counting each as a draw of its
        // own would make the interval too narrow.
        let interval = Interval::of_mean(&values, 0.95)
            .ok()
            .filter(|_| independent.get(i) == Some(true));
        lows.push(interval.map(|i| i.low));
        highs.push(interval.map(|i| i.high));
    }
    table.with_column(Column::new("low95".into(), lows))?;
    table.with_column(Column::new("high95".into(), highs))?;
    Ok(table)
}

/// For each column that filters name, one of their values.
pub(crate) fn holds(filters: &[Filter]) -> Expr {
    let mut all = lit(true);
    for (i, filter) in filters.iter().enumerate() {
        // The first filter of a column stands for all of them.
        if filters[..i].iter().any(|f| f.column == filter.column) {
            continue;
        }
        // As text, so that a filter needs no type: seeds are numbers.
        let column = col(filter.column.name()).cast(DataType::String);
        let mut any = lit(false);
        for other in filters.iter().filter(|f| f.column == filter.column) {
            any = any.or(column.clone().eq(lit(other.value.as_str())));
        }
        all = all.and(any);
    }
    all
}

/// The different values of a column as text, in the order of their first appearance.
pub(crate) fn values(frame: &LazyFrame, column: &str) -> Result<Vec<String>, ReportError> {
    let values = frame
        .clone()
        .select([col(column).cast(DataType::String)])
        .unique_stable(None, UniqueKeepStrategy::First)
        .collect()?;
    (0..values.height())
        .map(|i| text(&values, column, i))
        .collect()
}

fn columns(names: &[&str]) -> Vec<Expr> {
    names.iter().map(|&name| col(name)).collect()
}

/// One field of a column of text without nulls.
pub(crate) fn text(table: &DataFrame, name: &str, line: usize) -> Result<String, ReportError> {
    let text = table.column(name)?.str()?.get(line);
    Ok(text.expect("no query makes a name null").to_owned())
}

/// One field of a column of numbers.
pub(crate) fn number(
    table: &DataFrame,
    name: &str,
    line: usize,
) -> Result<Option<f64>, ReportError> {
    Ok(table.column(name)?.f64()?.get(line))
}

/// One field of a column of counts.
pub(crate) fn count(table: &DataFrame, name: &str, line: usize) -> Result<usize, ReportError> {
    let count = table.column(name)?.u32()?.get(line);
    Ok(count.expect("counts are never null") as usize)
}

/// The lists of a column whose elements are never null.
fn lists(table: &DataFrame, name: &str) -> Result<Vec<Series>, ReportError> {
    let lists = table.column(name)?.list()?;
    let series = (0..lists.len()).map(|i| lists.get_as_series(i));
    Ok(series
        .map(|list| list.expect("an aggregate gives every group a list"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observe(list: &[(&str, u64, f64)]) -> Vec<Observation> {
        let observation = |&(class, seed, value): &(&str, u64, f64)| Observation {
            row: "r".into(),
            class: class.into(),
            seed,
            metric: "m".into(),
            value: (!value.is_nan()).then_some(value),
            ..Observation::default()
        };
        list.iter().map(observation).collect()
    }

    fn summary(list: &[(&str, u64, f64)], class: &str) -> Summary {
        let key = ["r", class, "m"].map(str::to_owned);
        summaries(&observe(list), 2).unwrap()[&key].clone()
    }

    #[test]
    fn means_and_spreads_by_hand() {
        let list = [
            ("a", 1, 90.0),
            ("a", 2, 92.0),
            ("a", 3, 97.0),
            ("a", 4, f64::NAN),
        ];
        let s = summary(&list, "a");
        // mean 93; squared deviations 9, 1, 16: 26/3 and 26/2
        assert!((s.mean.unwrap() - 93.0).abs() < 1e-12);
        assert!((s.std.unwrap() - (26f64 / 3.0).sqrt()).abs() < 1e-12);
        assert!((s.std1.unwrap() - 13f64.sqrt()).abs() < 1e-12);
        assert_eq!(
            (s.planned, s.seeds),
            (4, vec![(1, 90.0), (2, 92.0), (3, 97.0)])
        );
        let one = summary(&list[..1], "a");
        assert_eq!((one.std, one.std1), (Some(0.0), None));
        let none = summary(&list[3..], "a");
        assert_eq!((none.mean, none.planned, none.seeds), (None, 1, vec![]));
    }

    #[test]
    fn class_mean_is_the_mean_of_class_means() {
        // Class b lacks seed 2: mean (91 + 80)/2, spread over the one seed that both have.
        let s = summary(&[("a", 1, 90.0), ("a", 2, 92.0), ("b", 1, 80.0)], MEAN);
        assert!((s.mean.unwrap() - 85.5).abs() < 1e-12);
        assert_eq!((s.std, s.std1, s.planned), (Some(0.0), None, 2));
        assert_eq!(s.seeds, [(1, 85.0)]);
        // Seeds' means 85 and 88: std 1.5 over n, √4.5 over n − 1.
        let s = summary(
            &[
                ("a", 2, 92.0),
                ("a", 1, 90.0),
                ("b", 1, 80.0),
                ("b", 2, 84.0),
            ],
            MEAN,
        );
        assert!((s.mean.unwrap() - 86.5).abs() < 1e-12);
        assert!((s.std.unwrap() - 1.5).abs() < 1e-12);
        assert!((s.std1.unwrap() - 4.5f64.sqrt()).abs() < 1e-12);
        assert_eq!(s.seeds, [(1, 85.0), (2, 88.0)]);
        // Without any value in a class there is no mean; with disjoint seeds there is one, but no
        // spread.
        assert_eq!(summary(&[("a", 1, 90.0)], MEAN).mean, None);
        let s = summary(&[("a", 1, 90.0), ("b", 2, 80.0)], MEAN);
        assert_eq!((s.mean, s.std), (Some(85.0), None));
    }
}
