//! The page about experiment files, made from the types that they are read into.

use crate::file::File;
use schemars::{Schema, schema_for};
use serde_json::Value;

const HEAD: &str = "\
# Experiment files

<!-- Written by `cargo xtask codegen`; edit the doc comments in crates/grid instead. -->

An experiment is a TOML file: a data set, protocols and seeds, and one `[[row]]` per line of the
table. [experiments/](../experiments) has one for every table of the paper.

Settings come in layers, and later ones win: the file; the settings that its profile `extends`; its
`[profile.NAME]`, chosen by `--profile NAME`; environment variables such as
`SEGAD_SET_DETECTORS__PATCHCORE__IMAGE_SIZE=128`; `--set key.path=value`.
`segad config FILE --origin` prints every setting with the layer that set it. An unknown key is an
error that names the nearest known one.
";

const DEFINITIONS: &str = "
## `[detectors.NAME]`, `[classifiers.NAME]`, `[variants.NAME]`

| key | type | default | meaning |
|---|---|---|---|
| `kind` | string | `NAME` | Which detector, classifier or protocol this is. |
| any other | | | A parameter of that kind, as documented in its crate: `crates/detectors/KIND`, `crates/classifiers/KIND`, and `crates/datasets` for protocols. |

Rows refer to definitions by `NAME`, so one kind can be defined several times with different
parameters.
";

/// All keys of an experiment file with type, default and meaning, in Markdown.
pub fn reference() -> String {
    let schema = schema_for!(File);
    let mut page = HEAD.to_owned();
    page.push_str(&table("Top level", "", &schema, schema.as_value()));
    page.push_str(DEFINITIONS);
    for (title, name) in [
        ("`[[row]]`", "Row"),
        ("`[defaults]`", "Defaults"),
        ("`[sweep]`", "Sweep"),
    ] {
        let part = definition(&schema, name);
        page.push_str(&table(title, text(part, "description"), &schema, part));
    }
    page
}

fn definition<'a>(schema: &'a Schema, name: &str) -> &'a Value {
    &schema.as_value()["$defs"][name]
}

/// One line per key of an object.
fn table(title: &str, about: &str, schema: &Schema, object: &Value) -> String {
    let mut text = format!("\n## {title}\n\n");
    if !about.is_empty() {
        text.push_str(&format!("{}\n\n", wrapped(about)));
    }
    text.push_str("| key | type | default | meaning |\n|---|---|---|---|\n");
    for (key, property) in object["properties"].as_object().into_iter().flatten() {
        let meaning = self::text(property, "description").replace('\n', " ");
        let kind = kind(schema, property);
        let default = default(property);
        text.push_str(&format!("| `{key}` | {kind} | {default} | {meaning} |\n"));
    }
    text
}

/// Doc comments wrap where the source does; the page wraps at 100.
pub fn wrapped(paragraph: &str) -> String {
    let mut lines = vec![String::new()];
    for word in paragraph.split_whitespace() {
        let line = lines.last_mut().expect("there is a first line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= 100 {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.join("\n")
}

fn text<'a>(schema: &'a Value, key: &str) -> &'a str {
    schema[key].as_str().unwrap_or_default()
}

/// The default; empty where nothing is set.
fn default(property: &Value) -> String {
    match &property["default"] {
        Value::Null => String::new(),
        Value::Array(items) if items.is_empty() => "`[]`".to_owned(),
        Value::Object(_) => "`{}`".to_owned(),
        value => format!("`{value}`").replace(',', ", "),
    }
}

/// The type in words.
fn kind(schema: &Schema, property: &Value) -> String {
    if let Some(name) = property["$ref"].as_str() {
        // A reference is a path within the schema, of which only the end is a name.
        let name = name.rsplit('/').next().unwrap_or(name);
        return kind(schema, definition(schema, name));
    }
    for several in ["anyOf", "oneOf"] {
        if let Some(parts) = property[several].as_array() {
            let kinds = parts.iter().map(|part| kind(schema, part));
            let kinds: Vec<String> = kinds.filter(|kind| !kind.is_empty()).collect();
            return kinds.join(" or ");
        }
    }
    if let Some(value) = property.get("const") {
        return format!("`{value}`");
    }
    let names: Vec<&str> = match &property["type"] {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        name => name.as_str().into_iter().collect(),
    };
    let kinds: Vec<String> = names
        .into_iter()
        .filter(|name| *name != "null")
        .map(|name| match name {
            "integer" => "number".to_owned(),
            "array" => format!("list of {}s", kind(schema, &property["items"])),
            "object" if property["additionalProperties"].is_object() => "tables by name".to_owned(),
            "object" => "table".to_owned(),
            other => other.to_owned(),
        })
        .collect();
    kinds.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_types_and_defaults_are_those_of_the_code() {
        let page = reference();
        for line in [
            "| `seeds` | list of numbers or string |  | A list of seeds,",
            "| `metrics` | list of strings | `[\"cl_auroc\", \"fpr95tpr\"]` | What is measured;",
            "| `head` | `\"forest\"` or `\"max\"` or `\"classifier\"` or `\"stack\"` | `\"forest\"` |",
            "| `segments` | string or table |",
            "| `rows` | list of strings |",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
    }
}
