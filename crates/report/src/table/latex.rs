use super::{Entry, Line, Table, Tables, layout};
use crate::{Rank, ReportError, Results, Verdict};
use std::fmt::Write;

/// Opens a document unless one is open already, so that the file compiles by itself and can be
/// `\input`.
const HEAD: &str = r"% Needs booktabs; compiles by itself and can be \input.
\expandafter\ifx\csname @twoclasseserror\endcsname\documentclass
  \def\segadtableend{\relax}
\else
  \documentclass{article}
  \usepackage[utf8]{inputenc}
  \usepackage[T1]{fontenc}
  \usepackage[landscape,margin=1cm]{geometry}
  \usepackage{booktabs}
  \def\segadtableend{\end{document}}
  \begin{document}
\fi
";

/// `table.tex`: one `table` float with booktabs rules for each table.
///
/// # Errors
/// As [`layout`].
pub fn table_tex(results: &Results) -> Result<String, ReportError> {
    let tables = layout(results)?;
    let mut out = HEAD.to_owned();
    for (i, table) in tables.tables.iter().enumerate() {
        write_table(&mut out, table);
        if i + 1 == tables.tables.len() {
            write_notes(&mut out, &tables, Tables::verdicts(results));
        }
        out.push_str("\\end{table}\n\n");
    }
    out.push_str("\\segadtableend\n");
    Ok(out)
}

fn write_notes(out: &mut String, tables: &Tables, verdicts: Option<String>) {
    let mut notes: Vec<String> = tables
        .legend
        .iter()
        .cloned()
        .chain(verdicts)
        .map(|l| escape(&l))
        .collect();
    notes.extend(
        tables
            .notes
            .iter()
            .enumerate()
            .map(|(i, n)| format!("$^{{{}}}$~{}", i + 1, escape(n))),
    );
    notes.extend(
        tables
            .failures
            .iter()
            .map(|f| format!("Without a result: {}.", escape(f))),
    );
    let _ = writeln!(
        out,
        "\n  \\smallskip\n  \\parbox{{0.95\\linewidth}}{{\\footnotesize\n  {}}}",
        notes.join("\n\n  ")
    );
}

fn write_table(out: &mut String, table: &Table) {
    // Wider tables would run off a page at the text's own size.
    let wide = table.heads.len() > 8;
    let _ = writeln!(out, "\\begin{{table}}[ht]\n  \\centering");
    let _ = writeln!(out, "  \\caption{{{}}}", escape(&table.caption));
    if wide {
        out.push_str("  \\footnotesize\\setlength{\\tabcolsep}{3pt}\n");
    }
    let columns: String = std::iter::once('l')
        .chain(std::iter::repeat_n('r', table.heads.len() - 1))
        .collect();
    let _ = writeln!(out, "  \\begin{{tabular}}{{{columns}}}\n    \\toprule");
    if !table.groups.is_empty() {
        let mut first = 1;
        let (mut heads, mut rules) = (Vec::new(), String::new());
        for (name, width) in &table.groups {
            heads.push(format!("\\multicolumn{{{width}}}{{c}}{{{}}}", escape(name)));
            if !name.is_empty() {
                let _ = write!(rules, "\\cmidrule(lr){{{first}-{}}}", first + width - 1);
            }
            first += width;
        }
        let _ = writeln!(out, "    {} \\\\\n    {rules}", heads.join(" & "));
    }
    let heads: Vec<String> = table.heads.iter().map(|h| escape(h)).collect();
    let _ = writeln!(out, "    {} \\\\\n    \\midrule", heads.join(" & "));
    for (i, line) in table.rows.iter().enumerate() {
        match line {
            Line::Section(name) => {
                if i > 0 {
                    out.push_str("    \\midrule\n");
                }
                if !name.is_empty() {
                    let _ = writeln!(
                        out,
                        "    \\multicolumn{{{}}}{{l}}{{\\textit{{{}}}}} \\\\",
                        table.heads.len(),
                        escape(name)
                    );
                }
            }
            Line::Row(entries) => {
                let texts: Vec<String> = entries.iter().map(entry).collect();
                let _ = writeln!(out, "    {} \\\\", texts.join(" & "));
            }
        }
    }
    out.push_str("    \\bottomrule\n  \\end{tabular}\n");
}

fn entry(entry: &Entry) -> String {
    match entry {
        Entry::Name(name) => escape(name),
        // A check mark would need another package; `\surd` is in every LaTeX.
        Entry::Tick(true) => "$\\surd$".to_owned(),
        Entry::Tick(false) | Entry::Empty => String::new(),
        Entry::Failed => "failed".to_owned(),
        Entry::Value {
            mean,
            std,
            partial,
            rank,
        } => {
            let mut text = match rank {
                Rank::None => mean.clone(),
                Rank::Best => format!("\\textbf{{{mean}}}"),
                Rank::Second => format!("\\underline{{{mean}}}"),
            };
            if let Some(std) = std {
                let _ = write!(text, "$\\,\\pm\\,${std}");
            }
            if let Some((n, planned)) = partial {
                let _ = write!(text, "~({n}/{planned})");
            }
            text
        }
        Entry::Paper {
            text,
            verdict,
            note,
        } => {
            let mut text = escape(text);
            if let Some(verdict) = verdict {
                let space = if text.is_empty() { "" } else { "~" };
                let _ = write!(text, "{space}{}", mark(*verdict));
            }
            if let Some(note) = note {
                let _ = write!(text, "$^{{{note}}}$");
            }
            text
        }
    }
}

fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Reproduced => "$\\surd$",
        Verdict::Differs => "$\\times$",
        Verdict::KnownInconsistent => "$\\approx$",
        Verdict::Failed => "--",
    }
}

/// Latin letters that fonts in T1 encoding lack.
const UNKNOWN: &str = "ĦħĸĿŀŉŦŧſ";

/// Escapes LaTeX's special characters, and writes the symbols that tables use in its own commands.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                out.push('\\');
                out.push(c);
            }
            '\\' => out.push_str("\\textbackslash{}"),
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '<' => out.push_str("$<$"),
            '>' => out.push_str("$>$"),
            '|' => out.push_str("$|$"),
            '"' => out.push_str("\\textquotedbl{}"),
            '±' => out.push_str("$\\pm$"),
            '−' => out.push_str("$-$"),
            '≤' => out.push_str("$\\leq$"),
            '·' => out.push_str("$\\cdot$"),
            '↑' => out.push_str("$\\uparrow$"),
            '↓' => out.push_str("$\\downarrow$"),
            'Δ' => out.push_str("$\\Delta$"),
            '✓' => out.push_str("$\\surd$"),
            '✗' => out.push_str("$\\times$"),
            '≈' => out.push_str("$\\approx$"),
            '–' => out.push_str("--"),
            '×' => out.push_str("$\\times$"),
            '\n' | '\r' => out.push(' '),
            // After a line break LaTeX would read `[` and `*` as arguments.
            '[' | ']' | '*' => {
                let _ = write!(out, "{{{c}}}");
            }
            c if c.is_control() => {}
            // What pdflatex knows without further packages; anything else is named by its code
            // point.
            c if c.is_ascii() || (('\u{c0}'..='\u{17f}').contains(&c) && !UNKNOWN.contains(c)) => {
                out.push(c)
            }
            c => {
                let _ = write!(out, "(U+{:04X})", u32::from(c));
            }
        }
    }
    out
}
