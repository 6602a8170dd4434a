use crate::error::{Result, StoreError};
use crate::maps_reader::label_of;
use crate::parquet_file::ParquetFile;
use crate::parquet_writer::{properties, write_table};
use arrow::array::{
    ArrayRef, AsArray, Float32Array, Float64Array, StringArray, UInt8Array, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type, Schema, UInt8Type, UInt64Type};
use parquet::basic::Encoding;
use parquet::schema::types::ColumnPath;
use segad_core::{CurvePoint, FeatureTable, ImageId, ScoreRow};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

const FEATURES: &str = "features";
const SCORES: &str = "scores";
const CURVES: &str = "curves";
const ID: &str = "id";

/// Writes a feature table: column `id`, then one 32-bit float column per feature. NaN keeps its
/// bits.
///
/// # Errors
/// [`StoreError::Invalid`] if a name appears twice or is `id`, [`StoreError::File`].
pub fn write_features(path: &Path, table: &FeatureTable) -> Result<()> {
    // A Parquet file may have two columns of one name, but readers find only one.
    let mut names = HashSet::from([ID]);
    if let Some(twice) = table.names().iter().find(|n| !names.insert(n)) {
        let problem =
            format!("feature {twice:?}: names must be unique, and {ID:?} is the image's column");
        return Err(StoreError::invalid(path, problem));
    }
    let mut fields = vec![Field::new(ID, DataType::Utf8, false)];
    let mut columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from_iter_values(
        table.ids().iter().map(ImageId::as_str),
    ))];
    let mut settings = properties(path, FEATURES, &[])?;
    for (j, name) in table.names().iter().enumerate() {
        fields.push(Field::new(name, DataType::Float32, false));
        columns.push(Arc::new(Float32Array::from_iter_values(
            (0..table.rows()).map(|i| table.row(i)[j]),
        )));
        // A path of one part, even where the name has dots.
        let column = ColumnPath::new(vec![name.clone()]);
        settings = settings.set_column_encoding(column, Encoding::BYTE_STREAM_SPLIT);
    }
    write_table(path, Schema::new(fields), columns, settings.build())
}

/// Reads a feature table.
///
/// # Errors
/// [`StoreError::File`], [`StoreError::Damaged`], [`StoreError::NewerSchema`],
/// [`StoreError::Invalid`] for other columns.
pub fn read_features(path: &Path) -> Result<FeatureTable> {
    let file = ParquetFile::open(path, FEATURES)?;
    let ids: Vec<ImageId> = file
        .strings(ID)?
        .iter()
        .flatten()
        .map(ImageId::new)
        .collect();
    let fields = file.schema().fields();
    let names: Vec<String> = fields
        .iter()
        .map(|f| f.name().clone())
        .filter(|n| n != ID)
        .collect();
    let mut columns = Vec::with_capacity(names.len());
    for name in &names {
        columns.push(
            file.whole(name, &DataType::Float32)?
                .as_primitive::<Float32Type>()
                .clone(),
        );
    }
    // Columns on disk, rows in memory.
    let values = (0..ids.len())
        .flat_map(|i| columns.iter().map(move |c| c.value(i)))
        .collect();
    FeatureTable::new(names, ids, values).map_err(|e| StoreError::content(path, e))
}

/// Writes scores, columns as the fields of [`ScoreRow`]; `label` is 0 or 1.
///
/// # Errors
/// [`StoreError::File`].
pub fn write_scores(path: &Path, rows: &[ScoreRow]) -> Result<()> {
    let schema = Schema::new(vec![
        Field::new("row", DataType::Utf8, false),
        Field::new("class", DataType::Utf8, false),
        Field::new("seed", DataType::UInt64, false),
        Field::new("filepath", DataType::Utf8, false),
        Field::new("label", DataType::UInt8, false),
        Field::new("group", DataType::Utf8, false),
        Field::new("score", DataType::Float32, false),
    ]);
    let columns: Vec<ArrayRef> = vec![
        texts(rows.iter().map(|r| r.row.as_str())),
        texts(rows.iter().map(|r| r.class.as_str())),
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(|r| r.seed))),
        texts(rows.iter().map(|r| r.filepath.as_str())),
        Arc::new(UInt8Array::from_iter_values(
            rows.iter().map(|r| r.label.as_u8()),
        )),
        texts(rows.iter().map(|r| r.group.as_str())),
        Arc::new(Float32Array::from_iter_values(rows.iter().map(|r| r.score))),
    ];
    // Few different names in many rows: a dictionary helps here.
    let settings = ["row", "class", "group"]
        .iter()
        .fold(properties(path, SCORES, &[])?, |s, name| {
            s.set_column_dictionary_enabled(ColumnPath::new(vec![(*name).to_owned()]), true)
        });
    write_table(path, schema, columns, settings.build())
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

/// Reads scores.
///
/// # Errors
/// As [`read_features`].
pub fn read_scores(path: &Path) -> Result<Vec<ScoreRow>> {
    let file = ParquetFile::open(path, SCORES)?;
    let row = file.strings("row")?;
    let class = file.strings("class")?;
    let filepath = file.strings("filepath")?;
    let group = file.strings("group")?;
    let seed = file.whole("seed", &DataType::UInt64)?;
    let label = file.whole("label", &DataType::UInt8)?;
    let score = file.whole("score", &DataType::Float32)?;
    (0..file.rows())
        .map(|i| {
            let filepath = ImageId::new(filepath.value(i));
            Ok(ScoreRow {
                row: row.value(i).to_owned(),
                class: class.value(i).to_owned(),
                seed: seed.as_primitive::<UInt64Type>().value(i),
                label: label_of(path, &filepath, label.as_primitive::<UInt8Type>().value(i))?,
                filepath,
                group: group.value(i).to_owned(),
                score: score.as_primitive::<Float32Type>().value(i),
            })
        })
        .collect()
}

/// Writes training curves, columns `step`, `name`, `value`.
///
/// # Errors
/// [`StoreError::File`].
pub fn write_curves(path: &Path, points: &[CurvePoint]) -> Result<()> {
    let schema = Schema::new(vec![
        Field::new("step", DataType::UInt64, false),
        Field::new("name", DataType::Utf8, false),
        Field::new("value", DataType::Float64, false),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(points.iter().map(|p| p.step))),
        texts(points.iter().map(|p| p.name.as_str())),
        Arc::new(Float64Array::from_iter_values(
            points.iter().map(|p| p.value),
        )),
    ];
    let settings = properties(path, CURVES, &[])?
        .set_column_dictionary_enabled(ColumnPath::new(vec!["name".to_owned()]), true);
    write_table(path, schema, columns, settings.build())
}

/// Reads training curves.
///
/// # Errors
/// As [`read_features`].
pub fn read_curves(path: &Path) -> Result<Vec<CurvePoint>> {
    let file = ParquetFile::open(path, CURVES)?;
    let step = file.whole("step", &DataType::UInt64)?;
    let name = file.strings("name")?;
    let value = file.whole("value", &DataType::Float64)?;
    Ok((0..file.rows())
        .map(|i| CurvePoint {
            step: step.as_primitive::<UInt64Type>().value(i),
            name: name.value(i).to_owned(),
            value: value.as_primitive::<Float64Type>().value(i),
        })
        .collect())
}
