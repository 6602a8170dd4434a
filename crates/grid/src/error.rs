use thiserror::Error;

/// An experiment that cannot be understood or planned.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GridError {
    /// The text is no TOML, or holds a key or a type that an experiment does not have.
    #[error("{file}: {message}{}", suggestion(.nearest))]
    File {
        /// Name of the experiment file or of the setting's source.
        file: String,
        /// What is wrong and where.
        message: String,
        /// The known key nearest to an unknown one.
        nearest: Option<String>,
    },
    /// A value that is well-formed but cannot be.
    #[error("{file}: {key}: {message}")]
    Value {
        /// Name of the experiment file.
        file: String,
        /// Path of the key, e.g. `row[2].detectors`.
        key: String,
        /// What is wrong and what was expected.
        message: String,
    },
    /// A `--set` argument without `=`, or whose value is no TOML.
    #[error("--set {argument}: {message}")]
    Set {
        /// The argument.
        argument: String,
        /// What is wrong.
        message: String,
    },
    /// A profile that the file does not define.
    #[error("{file}: no profile {profile:?}; it has: {known}")]
    Profile {
        /// Name of the experiment file.
        file: String,
        /// The profile asked for.
        profile: String,
        /// Those it has.
        known: String,
    },
}

fn suggestion(nearest: &Option<String>) -> String {
    nearest
        .as_ref()
        .map(|n| format!("\ndid you mean `{n}`?"))
        .unwrap_or_default()
}

/// The candidate most like `word`, if any is like it at all.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    candidates
        .into_iter()
        .map(|c| (strsim::jaro_winkler(word, c), c))
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
