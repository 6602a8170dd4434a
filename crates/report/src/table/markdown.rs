use super::{Entry, Line, Table, layout};
use crate::table::Tables;
use crate::{Rank, ReportError, Results};
use std::fmt::Write;

/// `table.md`: GitHub-flavoured Markdown.
///
/// # Errors
/// As [`layout`].
pub fn table_md(results: &Results) -> Result<String, ReportError> {
    let tables = layout(results)?;
    let mut out = String::new();
    for table in &tables.tables {
        let _ = writeln!(out, "### {}\n", escape(&table.caption));
        out.push_str(&markdown_table(table));
        out.push('\n');
    }
    let legend = tables
        .legend
        .iter()
        .cloned()
        .chain(Tables::verdicts(results));
    let _ = writeln!(out, "{}", escape(&legend.collect::<Vec<_>>().join(" ")));
    if !tables.notes.is_empty() {
        out.push('\n');
        for (i, note) in tables.notes.iter().enumerate() {
            let _ = writeln!(out, "{}. {}", i + 1, escape(note));
        }
    }
    if !tables.failures.is_empty() {
        out.push_str("\nWithout a result:\n\n");
        for f in &tables.failures {
            let _ = writeln!(out, "- {}", escape(f));
        }
    }
    Ok(out)
}

/// One table without its caption.
pub(crate) fn markdown_table(table: &Table) -> String {
    let mut out = String::new();
    let mut heads = table.heads.clone();
    // Markdown has no groups of columns: their names go before the headings.
    let mut column = 0;
    for (name, width) in &table.groups {
        for head in &mut heads[column..column + width] {
            if !name.is_empty() {
                *head = format!("{name}: {head}");
            }
        }
        column += width;
    }
    let first = table.rows.iter().find_map(|line| match line {
        Line::Row(entries) => Some(entries),
        Line::Section(_) => None,
    });
    let names = first.map_or(0, |row| {
        row.iter().filter(|e| matches!(e, Entry::Name(_))).count()
    });
    let escaped: Vec<String> = heads.iter().map(|h| escape(h)).collect();
    let _ = writeln!(out, "| {} |", escaped.join(" | "));
    // Names stand before numbers and read from the left.
    let mut rule = vec![":---"; names];
    rule.resize(heads.len(), "---:");
    let _ = writeln!(out, "| {} |", rule.join(" | "));
    for line in &table.rows {
        match line {
            Line::Section(name) if name.is_empty() => {}
            Line::Section(name) => {
                let _ = writeln!(
                    out,
                    "| *{}* |{}",
                    escape(name),
                    " |".repeat(heads.len() - 1)
                );
            }
            Line::Row(entries) => {
                let texts: Vec<String> = entries.iter().map(entry).collect();
                let _ = writeln!(out, "| {} |", texts.join(" | "));
            }
        }
    }
    out
}

fn entry(entry: &Entry) -> String {
    match entry {
        Entry::Name(name) => escape(name),
        Entry::Tick(true) => "✓".to_owned(),
        Entry::Tick(false) | Entry::Empty => String::new(),
        Entry::Failed => "failed".to_owned(),
        Entry::Value {
            mean,
            std,
            partial,
            rank,
        } => {
            let std = std.as_ref().map(|s| format!(" ± {s}")).unwrap_or_default();
            let text = match rank {
                Rank::None => format!("{mean}{std}"),
                Rank::Best => format!("**{mean}**{std}"),
                Rank::Second => format!("<u>{mean}</u>{std}"),
            };
            partial.map_or(text.clone(), |(n, planned)| {
                format!("{text} ({n}/{planned})")
            })
        }
        Entry::Paper {
            text,
            verdict,
            note,
        } => {
            let mark = verdict
                .map(|v| format!("{}{}", if text.is_empty() { "" } else { " " }, v.mark()))
                .unwrap_or_default();
            let note = note.map(|n| format!("<sup>{n}</sup>")).unwrap_or_default();
            format!("{text}{mark}{note}")
        }
    }
}

/// Undoes what `escape` did, for terminals, which do not render Markdown.
pub fn unescape(markdown: &str) -> String {
    let mut out = String::with_capacity(markdown.len());
    let mut chars = markdown.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            c => out.push(c),
        }
    }
    // The ampersand last, as the other two hold one.
    out.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

/// Escapes what Markdown or the HTML within it would interpret.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' => {
                out.push('\\');
                out.push(c);
            }
            '\n' | '\r' => out.push(' '),
            _ => out.push(c),
        }
    }
    out
}
