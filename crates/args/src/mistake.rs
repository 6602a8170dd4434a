//! Mistakes on the command line, in the words and with the exit codes of all other mistakes.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use segad_provision::exit;
use std::error::Error as _;
use std::num::{ParseFloatError, ParseIntError};

/// What is wrong with an argument's value, as `--folds = 1: expected …`; `None` for every other
/// mistake, which clap explains with the usage.
///
/// ```
/// use clap::Parser;
///
/// let parsed = segad_args::Cli::try_parse_from(["segad", "fit", "d", "--out", "m", "--folds", "1"]);
/// let message = segad_args::explain(&parsed.unwrap_err()).unwrap();
/// assert_eq!(message, "--folds = 1: expected a whole number of at least 2");
/// ```
pub fn explain(error: &clap::Error) -> Option<String> {
    if !matches!(
        error.kind(),
        ErrorKind::ValueValidation | ErrorKind::InvalidValue
    ) {
        return None;
    }
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    // `--folds <N>`, `<MODEL>`, `<NAME>...`: the placeholder is no part of an option's name.
    let argument = text(ContextKind::InvalidArg)?.trim_end_matches("...");
    let name = argument.split(" <").next().unwrap_or(argument);
    let value = text(ContextKind::InvalidValue)?;
    let expected = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(known)) if !known.is_empty() => {
            format!("expected one of {}", known.join(", "))
        }
        _ => expected(error),
    };
    let hint = text(ContextKind::SuggestedValue)
        .map_or_else(String::new, |near| format!("; did you mean {near}?"));
    Some(format!("{name} = {value}: {expected}{hint}"))
}

/// What a parser says; those of numbers do not say what they expect.
fn expected(error: &clap::Error) -> String {
    match error.source() {
        Some(cause) if cause.is::<ParseIntError>() => "expected a whole number".to_owned(),
        Some(cause) if cause.is::<ParseFloatError>() => "expected a number".to_owned(),
        Some(cause) => {
            // Parsers of libraries put the value in front, which is here already.
            let text = cause.to_string();
            let start = text.find("expected ").unwrap_or(0);
            text[start..].to_owned()
        }
        None => "expected a value".to_owned(),
    }
}

/// The exit code of a command line that clap refuses: a wrong value is a wrong setting, wherever it
/// is given; help and the version are no mistake.
pub fn exit_code(error: &clap::Error) -> u8 {
    match error.kind() {
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => exit::CONFIGURATION,
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => exit::OK,
        _ => exit::USAGE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cli;
    use clap::Parser;

    fn mistake(words: &[&str]) -> (u8, Option<String>) {
        let error = Cli::try_parse_from(["segad"].iter().chain(words)).unwrap_err();
        (exit_code(&error), explain(&error))
    }

    #[test]
    fn wrong_values_are_settings_and_the_rest_is_usage() {
        let fit = ["fit", "d", "--out", "m"];
        for (option, value, expected) in [
            ("--threads", "0", "a whole number of at least 1"),
            ("--seed", "x", "a whole number"),
            ("--latency-ms", "x", "a number above 0"),
            ("--max-false-alarm", "2", "a share above 0 and below 1"),
            ("--memory", "1KiB", "at least 64MiB"),
            ("--cost", "0:0", "two numbers"),
            ("--calibration", "plat", "one of platt, isotonic"),
            ("--device", "gpu", "auto, cpu, cuda"),
        ] {
            let (code, message) = mistake(&[&fit[..], &[option, value]].concat());
            let message = message.unwrap();
            let start = format!("{option} = {value}: expected {expected}");
            assert_eq!((code, message.starts_with(&start)), (3, true), "{message}");
        }
        let (_, message) = mistake(&[&fit[..], &["--calibration", "plat"]].concat());
        assert!(message.unwrap().ends_with("did you mean platt?"));
        for words in [
            &["fit", "d"][..],
            &["fit", "d", "--out", "m", "--prevalence", "0.1"],
            &["inspct"],
            &["store", "ls", "--nothing"],
        ] {
            assert_eq!(mistake(words), (exit::USAGE, None), "{words:?}");
        }
        assert_eq!(mistake(&["--help"]), (exit::OK, None));
    }
}
