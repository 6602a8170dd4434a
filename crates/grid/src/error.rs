use crate::words::in_plain_words;
use segad_core::BoxError;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use thiserror::Error;

/// Why a part of an experiment cannot be planned: the cause, and the keys that lead to it. Clones
/// share the cause, since one fault is reported for every result that depends on it.
///
/// Converts from any error by `?`; for that it is not one itself, see [`Fault::cause`].
#[derive(Clone, Debug)]
pub struct Fault {
    place: String,
    cause: Arc<dyn StdError + Send + Sync>,
}

impl Fault {
    /// The same fault, seen from further out: `place` is put before what the message says already.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.place = format!("{place}: {}", self.place);
        self
    }

    /// What went wrong, without its place.
    pub fn cause(&self) -> &(dyn StdError + 'static) {
        &*self.cause
    }

    /// The fault as an error, whose source is the cause.
    pub fn into_error(self) -> BoxError {
        Box::new(FaultError(self))
    }
}

#[derive(Debug)]
struct FaultError(Fault);

impl fmt::Display for FaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for FaultError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.0.cause())
    }
}

impl<E: Into<BoxError>> From<E> for Fault {
    fn from(cause: E) -> Self {
        Self {
            place: String::new(),
            cause: Arc::from(cause.into()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)?;
        f.write_str(&chain(&*self.cause))
    }
}

/// An error with its causes, in one line. Causes that the text holds already are not repeated.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        // Many errors print their cause already; twice would confuse.
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = cause.source();
    }
    in_plain_words(&text)
}

/// An experiment file or setting that cannot be understood.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GridError {
    /// The text is not TOML, or has a key or a type that an experiment does not have.
    #[error("{file}: {message}{}", suggestion(.nearest))]
    File {
        /// Name of the experiment file or of the setting's source.
        file: String,
        /// What is wrong and where.
        message: String,
        /// The known key nearest to an unknown one.
        nearest: Option<String>,
    },
    /// A value that is well-formed but not possible.
    #[error("{file}: {key}: {message}")]
    Value {
        /// Name of the experiment file.
        file: String,
        /// Path of the key, e.g. `row[2].detectors`.
        key: String,
        /// What is wrong and what was expected.
        message: String,
    },
    /// A `--set` argument without `=`, or one that sets a key inside a value.
    #[error("--set {argument}: {message}")]
    Set {
        /// The argument.
        argument: String,
        /// What is wrong.
        message: String,
    },
    /// The file of settings that a profile builds on cannot be read.
    #[error("{file}: profile.{profile}.extends = {path:?}: {cause}")]
    Extends {
        /// Name of the experiment file.
        file: String,
        /// The profile.
        profile: String,
        /// The file that it names.
        path: String,
        /// Why that cannot be read.
        #[source]
        cause: BoxError,
    },
    /// A profile that the file does not define.
    #[error("{file}: profile = {profile:?}: expected one of {known}")]
    Profile {
        /// Name of the experiment file.
        file: String,
        /// The profile asked for.
        profile: String,
        /// Those it has.
        known: String,
    },
}

/// An impossible value and its key, before the file's name is known.
#[derive(Debug)]
pub(crate) struct Wrong {
    key: String,
    message: String,
}

impl Wrong {
    pub(crate) fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            message: message.into(),
        }
    }

    /// The same, where `table` holds the key.
    pub(crate) fn below(self, table: &str) -> Self {
        Self::new(format!("{table}.{}", self.key), self.message)
    }

    pub(crate) fn in_file(self, file: &str) -> GridError {
        GridError::Value {
            file: file.to_owned(),
            key: self.key,
            message: self.message,
        }
    }
}

fn suggestion(nearest: &Option<String>) -> String {
    nearest
        .as_ref()
        .map_or_else(String::new, |n| format!("\ndid you mean `{n}`?"))
}

/// The candidate most like `word`, if any is like it at all.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    candidates
        .into_iter()
        .map(|c| (strsim::jaro_winkler(word, c), c))
        // Below this, suggestions are further from what was meant than none.
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c.to_owned())
}

/// For serde's "unknown field `x`, expected one of `a`, `b`": the expected name nearest to `x`.
pub(crate) fn nearest_in_message(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("unknown field `")?;
    let (word, rest) = rest.split_once('`')?;
    nearest(word, rest.split('`').skip(1).step_by(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_named() {
        let m = "unknown field `detectrs`, expected one of `name`, `detectors`, `segments`";
        assert_eq!(nearest_in_message(m).as_deref(), Some("detectors"));
        assert_eq!(nearest("zzz", ["name"]), None);
    }
}
