use super::escape;
use crate::Provenance;
use crate::round::{fixed, short, significant};
use segad_core::Label;
use std::collections::BTreeMap;
use std::fmt::Write;

/// What one feature contributed to a row's forests.
#[derive(Clone, Debug, PartialEq)]
pub struct Importance {
    /// Row of the experiment.
    pub row: String,
    /// Name of the segment; empty for what belongs to the whole image.
    pub segment: String,
    /// The detector or classifier.
    pub detector: String,
    /// The statistic.
    pub statistic: String,
    /// Summed gain over all splits.
    pub gain: f64,
}

/// How a feature's values differ between what the forest trained on and what it is tested on.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureDrift {
    /// Row of the experiment.
    pub row: String,
    /// Class of the experiment.
    pub class: String,
    /// The feature.
    pub feature: String,
    /// Of which images.
    pub label: Label,
    /// Kolmogorov–Smirnov distance, 0 to 1.
    pub ks: f64,
    /// Population stability index, where computed.
    pub psi: Option<f64>,
}

/// Features that the drift table shows; the strongest.
const DRIFT_ROWS: usize = 25;

/// One matrix per row of the experiment: (detector, segment) × statistic, shares of the gain in
/// percent.
pub(crate) fn importance(list: &[Importance]) -> String {
    let mut rows: Vec<&str> = Vec::new();
    for i in list {
        if !rows.contains(&i.row.as_str()) {
            rows.push(&i.row);
        }
    }
    let mut out = String::new();
    for row in rows {
        let own: Vec<&Importance> = list.iter().filter(|i| i.row == row).collect();
        importance_matrix(&mut out, row, &own);
    }
    out
}

fn importance_matrix(out: &mut String, row: &str, list: &[&Importance]) {
    let total: f64 = list.iter().map(|i| i.gain).sum();
    let percent = |gain: f64| {
        if total > 0.0 {
            100.0 * gain / total
        } else {
            0.0
        }
    };
    let mut statistics: BTreeMap<&str, f64> = BTreeMap::new();
    let mut segments: BTreeMap<(&str, &str), BTreeMap<&str, f64>> = BTreeMap::new();
    // In the order of the features, not of the alphabet.
    let mut heads: Vec<&str> = Vec::new();
    for i in list {
        if !heads.contains(&i.statistic.as_str()) {
            heads.push(&i.statistic);
        }
        *statistics.entry(&i.statistic).or_default() += i.gain;
        let segment = segments.entry((&i.detector, &i.segment)).or_default();
        *segment.entry(&i.statistic).or_default() += i.gain;
    }
    let mut ordered: Vec<_> = segments
        .into_iter()
        .map(|(name, gains)| (gains.values().sum::<f64>(), name, gains))
        .collect();
    ordered.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let _ = writeln!(
        out,
        "<div class=\"scroll\"><table class=\"heat\"><caption>{}: share of the gain, %</caption>\n<thead><tr>\
         <th>detector</th><th class=\"name\">segment</th>",
        escape(row)
    );
    for head in &heads {
        let _ = write!(out, "<th>{}</th>", escape(head));
    }
    out.push_str("<th>sum</th></tr></thead>\n<tbody>\n");
    for (sum, (detector, segment), gains) in ordered {
        let segment = if segment.is_empty() { "image" } else { segment };
        let _ = write!(
            out,
            "<tr><th scope=\"row\">{}</th><th scope=\"row\">{}</th>",
            escape(detector),
            escape(segment)
        );
        for head in &heads {
            match gains.get(head) {
                Some(gain) => out.push_str(&shaded(percent(*gain))),
                None => out.push_str("<td></td>"),
            }
        }
        let _ = writeln!(out, "<td><b>{}</b></td></tr>", fixed(percent(sum), 1));
    }
    out.push_str("<tr><th scope=\"row\" colspan=\"2\">sum</th>");
    for head in &heads {
        let _ = write!(
            out,
            "<td><b>{}</b></td>",
            fixed(percent(statistics[head]), 1)
        );
    }
    out.push_str("<td></td></tr>\n</tbody></table></div>\n");
}

/// A cell that is darker the larger its share; beyond 40 % the text would be hard to read.
fn shaded(percent: f64) -> String {
    // Never darker than the text stays legible on.
    let shade = short((percent * 2.0).clamp(0.0, 80.0), 0);
    format!("<td style=\"--shade:{shade}%\">{}</td>", fixed(percent, 1))
}

/// The features that moved most.
pub(crate) fn drift(list: &[FeatureDrift]) -> String {
    let mut out = String::new();
    let mut ordered: Vec<&FeatureDrift> = list.iter().collect();
    ordered.sort_by(|a, b| {
        // Names break ties, so that a report never changes by itself.
        b.ks.total_cmp(&a.ks).then_with(|| {
            (&a.row, &a.class, &a.feature, a.label).cmp(&(&b.row, &b.class, &b.feature, b.label))
        })
    });
    let shown = ordered.len().min(DRIFT_ROWS);
    // A column that nothing fills is left out.
    let psi = list.iter().any(|d| d.psi.is_some());
    let _ = writeln!(
        out,
        "<div class=\"scroll\"><table><caption>The {shown} of {} features that differ most between the forest's training \
         images and the test images</caption>\n<thead><tr><th>method</th><th class=\"name\">class</th><th class=\"name\">feature</th><th class=\"name\">images</th>\
         <th>KS distance</th>{}</tr></thead>\n<tbody>",
        ordered.len(),
        if psi { "<th>PSI</th>" } else { "" }
    );
    for d in &ordered[..shown] {
        let _ = write!(
            out,
            "<tr><th scope=\"row\">{}</th><td class=\"name\">{}</td><td class=\"name\">{}</td><td class=\"name\">{}</td><td>{}</td>",
            escape(&d.row),
            escape(&d.class),
            escape(&d.feature),
            d.label,
            fixed(d.ks, 3)
        );
        if psi {
            let _ = write!(
                out,
                "<td>{}</td>",
                d.psi.map(|p| fixed(p, 3)).unwrap_or_default()
            );
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    out
}

/// Command, versions, machine, times, keys.
pub(crate) fn provenance(p: &Provenance) -> String {
    let mut out = "<dl>\n".to_owned();
    let code = |text: &str| format!("<code>{}</code>", escape(text));
    let commit = p.commit.as_deref().map(code);
    let versions = p.versions.iter().map(|(n, v)| format!("{n} {v}"));
    let threads = p.host.threads.map(|t| counted(t, "thread"));
    let host = [
        p.host.cpu.clone(),
        threads,
        p.host.memory.map(gib),
        p.host.gpu.clone(),
        p.host.os.clone(),
    ];
    let stages = p.stages.iter().map(|s| {
        let cells = counted(s.cells, "cell");
        format!("{} {} s ({cells})", s.name, significant(s.seconds))
    });
    for (name, value) in [
        (
            "command",
            if p.command.is_empty() {
                String::new()
            } else {
                code(&p.command)
            },
        ),
        ("commit", commit.unwrap_or_default()),
        ("versions", joined(versions)),
        ("machine", joined(host.into_iter().flatten())),
        ("peak memory", p.peak_memory.map(gib).unwrap_or_default()),
        ("time", joined(stages)),
    ] {
        if !value.is_empty() {
            let _ = writeln!(out, "<dt>{name}</dt><dd>{value}</dd>");
        }
    }
    out.push_str("</dl>\n");
    if !p.cells.is_empty() {
        let _ = writeln!(
            out,
            "<details><summary>Keys of {} stored cells</summary>\n<pre>",
            p.cells.len()
        );
        for c in &p.cells {
            let line = format!(
                "{}  {} · {} · {} · seed {}",
                c.key, c.kind, c.row, c.class, c.seed
            );
            let _ = writeln!(out, "{}", escape(&line));
        }
        out.push_str("</pre></details>\n");
    }
    out
}

fn counted(count: usize, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{s}")
}

fn gib(bytes: u64) -> String {
    format!("{} GiB", short(bytes as f64 / f64::from(1 << 30), 2))
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    let escaped: Vec<String> = parts.map(|p| escape(&p)).collect();
    escaped.join(" · ")
}
