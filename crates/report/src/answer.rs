//! Tables that a query gives, as Markdown, CSV and JSON.

use crate::round::{CSV, EXACT, TABLE, fixed, rounded};
use crate::table::{Entry, Line, Table, markdown_table};
use crate::text::csv_text;
use crate::{Rank, ReportError};
use polars::prelude::{AnyValue, DataFrame};
use serde::{Serialize, Serializer};

/// The answer to a [`Query`](crate::Query).
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    columns: Vec<String>,
    lines: Vec<Vec<Value>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Text(String),
    Count(u64),
    Number(f64),
    Missing,
}

impl Answer {
    pub(crate) fn new(table: &DataFrame, columns: &[&str]) -> Result<Self, ReportError> {
        let mut lines = vec![Vec::with_capacity(columns.len()); table.height()];
        for name in columns {
            let column = table.column(name)?;
            for (i, line) in lines.iter_mut().enumerate() {
                line.push(match column.get(i)? {
                    AnyValue::Null => Value::Missing,
                    AnyValue::Float64(number) => Value::Number(number),
                    AnyValue::UInt32(count) => Value::Count(count.into()),
                    AnyValue::UInt64(count) => Value::Count(count),
                    text => Value::Text(
                        text.get_str()
                            .map_or_else(|| text.to_string(), str::to_owned),
                    ),
                });
            }
        }
        Ok(Self {
            columns: columns.iter().map(|&c| c.to_owned()).collect(),
            lines,
        })
    }

    /// True if no value was asked for.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// A table in GitHub-flavoured Markdown, percentages with one decimal.
    pub fn markdown(&self) -> String {
        let rows = self.lines.iter();
        markdown_table(&Table {
            caption: String::new(),
            groups: Vec::new(),
            heads: self.columns.clone(),
            rows: rows
                .map(|line| Line::Row(line.iter().map(Value::entry).collect()))
                .collect(),
        })
    }

    /// CSV, percentages with four decimals; what is missing is empty.
    ///
    /// # Errors
    /// [`ReportError::Csv`].
    pub fn csv(&self) -> Result<String, ReportError> {
        let columns: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        let records = self.lines.iter();
        let records = records.map(|line| line.iter().map(Value::field).collect::<Vec<_>>());
        csv_text(&columns, records)
    }

    /// A JSON array with one object per line, percentages with six decimals; what is missing is
    /// null.
    ///
    /// # Errors
    /// [`ReportError::Json`].
    pub fn json(&self) -> Result<String, ReportError> {
        let lines: Vec<Object<'_>> = self
            .lines
            .iter()
            .map(|l| Object(&self.columns, l))
            .collect();
        Ok(serde_json::to_string_pretty(&lines)? + "\n")
    }
}

impl Value {
    fn entry(&self) -> Entry {
        let text = match self {
            Self::Text(text) => return Entry::Name(text.clone()),
            Self::Count(count) => count.to_string(),
            Self::Number(number) => fixed(*number, TABLE),
            Self::Missing => return Entry::Empty,
        };
        Entry::Value {
            mean: text,
            std: None,
            partial: None,
            rank: Rank::None,
        }
    }

    fn field(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Count(count) => count.to_string(),
            Self::Number(number) => fixed(*number, CSV),
            Self::Missing => String::new(),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Count(count) => serializer.serialize_u64(*count),
            // Rounded here too, so that the same answer gives the same bytes on every machine.
            Self::Number(number) => serializer.serialize_f64(rounded(*number, EXACT)),
            Self::Missing => serializer.serialize_none(),
        }
    }
}

/// A line with its columns, in their order.
struct Object<'a>(&'a [String], &'a [Value]);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().zip(self.1))
    }
}
