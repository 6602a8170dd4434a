//! What serde says about types, in the words and the form of other messages.

/// `invalid type: string "x", expected f64` with a line ``in `ratio` `` becomes
/// `ratio = "x": expected a number`; without the key, `expected a number, found "x"`. Anything else
/// stays as it is.
pub(crate) fn in_plain_words(message: &str) -> String {
    let message = message.trim_end();
    let start = ["invalid type: ", "invalid value: "]
        .iter()
        .find_map(|intro| Some((message.find(intro)?, intro.len())));
    let Some((at, length)) = start else {
        return message.to_owned();
    };
    let (before, rest) = (&message[..at], &message[at + length..]);
    let Some((found, rest)) = rest.split_once(", expected ") else {
        return message.to_owned();
    };
    let (expected, rest) = rest.split_once('\n').unwrap_or((rest, ""));
    let found = plain_value(found);
    let expected = plain_type(expected);
    let key = rest.strip_prefix("in `").and_then(|r| r.split('`').next());
    match key {
        Some(key) => format!("{before}{key} = {found}: expected {expected}"),
        None => format!("{before}expected {expected}, found {found}"),
    }
}

/// Serde's description of a value: the value itself where it is given.
pub(crate) fn plain_value(found: &str) -> String {
    let found = found.strip_prefix("found ").unwrap_or(found);
    match found {
        "sequence" => return "a list".to_owned(),
        "map" => return "a table".to_owned(),
        _ => {}
    }
    for kind in [
        "string ",
        "integer ",
        "signed int ",
        "unsigned int ",
        "floating point ",
        "float ",
        "boolean ",
        "bool ",
    ] {
        if let Some(value) = found.strip_prefix(kind) {
            return value.trim_matches('`').to_owned();
        }
    }
    found.to_owned()
}

/// Serde's name of a type.
pub(crate) fn plain_type(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number of at least 0",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "a nonzero usize" | "a nonzero u64" | "a nonzero u32" => "a whole number of at least 1",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a table",
        expected if expected.starts_with("struct ") => "a table",
        expected => expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "only their types are read")]
    struct Settings {
        ratio: Option<f64>,
        count: Option<usize>,
        names: Option<Vec<String>>,
    }

    #[test]
    fn types_are_named_in_plain_words() {
        let said = |text: &str| {
            let table: toml::Table = text.parse().unwrap();
            let error = table.try_into::<Settings>().unwrap_err();
            in_plain_words(&error.to_string())
        };
        assert_eq!(said("ratio = 'x'"), "ratio = \"x\": expected a number");
        let expected = "count = -1: expected a whole number of at least 0";
        assert_eq!(said("count = -1"), expected);
        assert_eq!(said("names = 'a'"), "names = \"a\": expected a list");
        assert_eq!(said("ratio = [1]"), "ratio = a list: expected a number");
    }

    #[test]
    fn other_messages_stay() {
        for text in ["", "unknown field `x`, expected `y`", "invalid type: odd"] {
            assert_eq!(in_plain_words(text), text);
        }
    }
}
