//! From text to tables of settings.

use crate::error::nearest_in_message;
use crate::file::{self, File};
use crate::words::in_plain_words;
use crate::{GridError, sweep};
use serde::Deserialize;
use toml::de::{DeTable, Deserializer};
use toml::{Table, Value};

/// Parses a file of settings once, and checks that it has the keys and types of an experiment file.
pub(super) fn parse(file: &str, text: &str) -> Result<Table, GridError> {
    let read = || -> Result<Table, toml::de::Error> {
        let document = DeTable::parse(text)?;
        // While the places of keys are known, so that a wrong one is reported with its line.
        File::deserialize(Deserializer::from(document.clone()))?;
        Table::deserialize(Deserializer::from(document))
    };
    read().map_err(|mut error| {
        error.set_input(Some(text));
        let message = in_plain_words(&error.to_string());
        GridError::File {
            file: file.to_owned(),
            nearest: nearest_in_message(&message),
            message,
        }
    })
}

/// Shared settings for the definitions of one experiment. Those of detectors and classifiers are by
/// kind: each goes to every definition of that kind, under its name, and to no other.
pub(super) fn for_kinds(mut shared: Table, own: &Table) -> Table {
    for family in ["detectors", "classifiers"] {
        let Some(Value::Table(by_kind)) = shared.remove(family) else {
            continue;
        };
        // A shared file knows kinds; how this experiment calls them is its own matter.
        let definitions = own.get(family).and_then(Value::as_table);
        let named = definitions.into_iter().flatten().filter_map(|(name, def)| {
            let kind = file::kind(name, def.as_table()?).ok()?;
            let settings = by_kind.get(kind)?;
            Some((name.clone(), settings.clone()))
        });
        shared.insert(family.to_owned(), Value::Table(named.collect()));
    }
    shared
}

/// `key.path=value` as a table.
pub(super) fn assignment(argument: &str) -> Result<Table, GridError> {
    let mut settings = Table::new();
    let done = match argument.split_once('=') {
        Some((path, text)) => sweep::set(&mut settings, path.trim(), value(text)),
        None => Err("expected KEY=VALUE, e.g. --set seeds=[1,2]".to_owned()),
    };
    match done {
        Ok(()) => Ok(settings),
        Err(message) => Err(GridError::Set {
            argument: argument.to_owned(),
            message,
        }),
    }
}

/// A TOML value; text that is not one is a string.
pub fn value(text: &str) -> Value {
    text.trim()
        .parse()
        .unwrap_or_else(|_| Value::String(text.to_owned()))
}
