use crate::model::{Forest, Header};
use crate::score::check_finite;
use crate::trees::Trees;
use crate::{ForestError, ForestParams, library_version};
use segad_core::{FeatureTable, Label, Seed};
use std::collections::HashMap;
use std::num::NonZeroUsize;
use xgboost_rs::{Booster, DMatrix, XGBError};

impl Forest {
    /// Fits a forest: one label per row of `table`, NaN is missing.
    ///
    /// `monotone` is empty, or says per column that the margin may only rise (1) or fall (−1) with
    /// it, or whatever the data say (0). XGBoost's seed is `seed` itself; seeds that agree in their
    /// low 32 bits give the same forest. `threads` changes no bit of the result. To fit many
    /// forests, give each one thread and run them side by side; if they have more than one, the
    /// program should set `OMP_WAIT_POLICY=PASSIVE` before it starts, or idle threads burn time.
    ///
    /// # Errors
    /// [`ForestError::Empty`], [`ForestError::Labels`], [`ForestError::OneClass`],
    /// [`ForestError::Infinite`], [`ForestError::Monotone`], [`ForestError::Seed`] for bad input,
    /// [`ForestError::Library`] for XGBoost's own.
    pub fn fit(
        params: &ForestParams,
        table: &FeatureTable,
        labels: &[Label],
        monotone: &[i8],
        seed: Seed,
        threads: NonZeroUsize,
    ) -> Result<Self, ForestError> {
        let (good, bad) = count_labels(table, labels)?;
        check_monotone(monotone, table.columns())?;
        check_finite(table)?;
        if i64::try_from(seed.0).is_err() {
            return Err(ForestError::Seed(seed.0));
        }
        let scale_pos_weight = params
            .scale_pos_weight()
            .unwrap_or(good as f64 / bad as f64);
        let mut settings = params.to_xgboost();
        settings.extend([
            ("scale_pos_weight", scale_pos_weight.to_string()),
            ("seed", seed.to_string()),
            ("nthread", threads.to_string()),
            // Libraries never print.
            ("verbosity", "0".to_owned()),
        ]);
        if !monotone.is_empty() {
            let list: Vec<String> = monotone.iter().map(i8::to_string).collect();
            settings.push(("monotone_constraints", format!("({})", list.join(","))));
        }
        let json = train(table, labels, settings, params.rounds(), threads)?;

        let header = Header {
            params: params.clone(),
            seed,
            columns: table.names().to_vec(),
            monotone: monotone.to_vec(),
            good,
            bad,
            scale_pos_weight,
            library: library_version(),
        };
        let trees = Trees::from_json(&json, table.columns())?;
        Ok(Self {
            header,
            json,
            trees,
        })
    }
}

/// Numbers of good and bad rows, of a table and labels that a forest can be fitted on.
fn count_labels(table: &FeatureTable, labels: &[Label]) -> Result<(usize, usize), ForestError> {
    let rows = table.rows();
    let columns = table.columns();
    if rows == 0 || columns == 0 {
        return Err(ForestError::Empty { rows, columns });
    }
    if labels.len() != rows {
        return Err(ForestError::Labels {
            rows,
            labels: labels.len(),
        });
    }
    let bad = labels.iter().filter(|label| label.is_bad()).count();
    let good = rows - bad;
    if bad == 0 || good == 0 {
        return Err(ForestError::OneClass { good, bad });
    }
    Ok((good, bad))
}

fn check_monotone(monotone: &[i8], columns: usize) -> Result<(), ForestError> {
    if monotone.is_empty() {
        return Ok(());
    }
    let error = |what| Err(ForestError::Monotone { what, columns });
    if monotone.len() != columns {
        return error(format!("for {} columns", monotone.len()));
    }
    match monotone.iter().position(|c| !(-1..=1).contains(c)) {
        Some(at) => error(format!("{} for column {at}", monotone[at])),
        None => Ok(()),
    }
}

/// The model that XGBoost trains, as its JSON.
fn train(
    table: &FeatureTable,
    labels: &[Label],
    settings: Vec<(&str, String)>,
    rounds: u32,
    threads: NonZeroUsize,
) -> Result<Vec<u8>, ForestError> {
    let columns = table.columns();
    let threads = i32::try_from(threads.get()).unwrap_or(i32::MAX);
    let width = size_of::<f32>();
    // `DMatrix::from_dense` would take zeros for missing; this call takes strides in bytes, so rows
    // may come first.
    let mut matrix = DMatrix::from_col_major_f32(
        table.values(),
        columns * width,
        width,
        table.rows(),
        columns,
        threads,
        f32::NAN,
    )
    .map_err(library_error("make the matrix"))?;
    let labels: Vec<f32> = labels
        .iter()
        .map(|label| f32::from(label.as_u8()))
        .collect();
    matrix
        .set_labels(&labels)
        .map_err(library_error("set the labels"))?;
    // `Booster::train` always makes 16 rounds, and typed parameters always fix the base score.
    let settings: HashMap<String, String> = settings
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    let mut booster = Booster::new_with_json_config(&[&matrix], settings)
        .map_err(library_error("make the booster"))?;
    for round in 0..rounds {
        booster
            .update(&matrix, round.cast_signed())
            .map_err(library_error("train"))?;
    }
    Ok(booster
        .save_to_buffer("json".to_owned())
        .map_err(library_error("save"))?
        .into_bytes())
}

/// The first line of XGBoost's message, without its time of day; the rest is a stack trace.
fn library_error(call: &'static str) -> impl Fn(XGBError) -> ForestError {
    move |error| {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or(&text);
        let line = line.trim_start_matches("XGBoost error: ");
        let line = match line.split_once("] ") {
            Some((clock, rest)) if clock.starts_with('[') => rest,
            _ => line,
        };
        ForestError::Library {
            call,
            version: library_version(),
            message: line.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_core::ImageId;

    #[test]
    fn errors_of_the_library_are_passed_on() {
        let ids = (0..4).map(|i| ImageId::new(i.to_string())).collect();
        let table = FeatureTable::new(vec!["x".into()], ids, vec![0.0, 1.0, 2.0, 3.0]).unwrap();
        let labels = [Label::Good, Label::Good, Label::Bad, Label::Bad];
        let settings = vec![("max_depth", "deep".to_owned())];
        let error = train(&table, &labels, settings, 1, NonZeroUsize::MIN).unwrap_err();
        let ForestError::Library {
            call: "train",
            message,
            ..
        } = &error
        else {
            panic!("{error}")
        };
        assert!(
            message.contains("max_depth") && !message.contains('\n'),
            "{message}"
        );
        assert!(!message.starts_with('['), "{message}");
    }
}
