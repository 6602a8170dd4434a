use super::escape;
use crate::{Entry, Line, Rank, Table, Verdict};
use std::fmt::Write;

/// Writes a laid-out table.
pub(crate) fn table(out: &mut String, table: &Table) {
    let _ = writeln!(
        out,
        "<div class=\"scroll\"><table>\n<caption>{}</caption>\n<thead>",
        escape(&table.caption)
    );
    // The first column of a group gets a rule at its left.
    let mut starts = vec![false; table.heads.len()];
    if !table.groups.is_empty() {
        out.push_str("<tr>");
        let mut column = 0;
        for (name, width) in &table.groups {
            let rule = column > 0;
            if let Some(start) = starts.get_mut(column) {
                *start = rule;
            }
            let class = if rule { " class=\"start\"" } else { "" };
            let _ = write!(out, "<th colspan=\"{width}\"{class}>{}</th>", escape(name));
            column += width;
        }
        out.push_str("</tr>\n");
    }
    out.push_str("<tr>");
    for (head, start) in table.heads.iter().zip(&starts) {
        let _ = write!(
            out,
            "<th scope=\"col\"{}>{}</th>",
            if *start { " class=\"start\"" } else { "" },
            escape(head)
        );
    }
    out.push_str("</tr>\n</thead>\n<tbody>\n");
    for line in &table.rows {
        match line {
            Line::Section(name) => {
                let _ = writeln!(
                    out,
                    "<tr class=\"section\"><th colspan=\"{}\">{}</th></tr>",
                    table.heads.len(),
                    escape(name)
                );
            }
            Line::Row(entries) => {
                out.push_str("<tr>");
                for (e, start) in entries.iter().zip(&starts) {
                    entry(out, e, *start);
                }
                out.push_str("</tr>\n");
            }
        }
    }
    out.push_str("</tbody>\n</table></div>\n");
}

fn entry(out: &mut String, entry: &Entry, start: bool) {
    // A missing result is shown as such and never as an empty cell, which means "not planned".
    let mut class: Vec<&str> = if start { vec!["start"] } else { Vec::new() };
    let text = match entry {
        Entry::Name(name) => {
            let _ = write!(out, "<th scope=\"row\">{}</th>", escape(name));
            return;
        }
        Entry::Tick(true) => "✓".to_owned(),
        Entry::Tick(false) | Entry::Empty => String::new(),
        Entry::Failed => {
            class.push("failed");
            "failed".to_owned()
        }
        Entry::Value {
            mean,
            std,
            partial,
            rank,
        } => {
            let mean = match rank {
                Rank::None => escape(mean),
                Rank::Best => format!("<b>{}</b>", escape(mean)),
                Rank::Second => format!("<u>{}</u>", escape(mean)),
            };
            let std = std
                .as_ref()
                .map(|s| format!(" <small>± {}</small>", escape(s)))
                .unwrap_or_default();
            let partial = partial
                .map(|(n, planned)| format!(" <small class=\"failed\">({n}/{planned})</small>"))
                .unwrap_or_default();
            mean + &std + &partial
        }
        Entry::Paper {
            text,
            verdict,
            note,
        } => {
            class.push("paper");
            let mark = verdict.map(|v| {
                let kind = match v {
                    Verdict::Reproduced => "yes",
                    Verdict::Differs => "no",
                    Verdict::KnownInconsistent | Verdict::Failed => "odd",
                };
                format!(" <span class=\"{kind}\" title=\"{v}\">{}</span>", v.mark())
            });
            let note = note.map(|n| format!("<sup>{n}</sup>")).unwrap_or_default();
            escape(text) + &mark.unwrap_or_default() + &note
        }
    };
    let class = if class.is_empty() {
        String::new()
    } else {
        format!(" class=\"{}\"", class.join(" "))
    };
    let _ = write!(out, "<td{class}>{text}</td>");
}
