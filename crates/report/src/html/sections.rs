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

/// One matrix a row of the experiment: (detector, segment) × statistic, shares of the gain in
/// percent.
pub(crate) fn importance(out: &mut String, list: &[Importance]) {
    let mut rows: Vec<&str> = Vec::new();
    for i in list {
        if !rows.contains(&i.row.as_str()) {
            rows.push(&i.row);
        }
    }
    for row in rows {
        let own: Vec<&Importance> = list.iter().filter(|i| i.row == row).collect();
        let total: f64 = own.iter().map(|i| i.gain).sum();
        let share = |gain: f64| {
            if total > 0.0 {
                100.0 * gain / total
            } else {
                0.0
            }
        };
        let mut statistics: Vec<&str> = Vec::new();
        let mut segments: BTreeMap<(&str, &str), BTreeMap<&str, f64>> = BTreeMap::new();
        for i in &own {
            if !statistics.contains(&i.statistic.as_str()) {
                statistics.push(&i.statistic);
            }
            *segments
                .entry((&i.detector, &i.segment))
                .or_default()
                .entry(&i.statistic)
                .or_default() += i.gain;
        }
        let sum = |m: &BTreeMap<&str, f64>| m.values().sum::<f64>();
        let mut ordered: Vec<_> = segments.iter().collect();
        ordered.sort_by(|a, b| sum(b.1).total_cmp(&sum(a.1)).then_with(|| a.0.cmp(b.0)));
        let _ = writeln!(
            out,
            "<div class=\"scroll\"><table class=\"heat\"><caption>{}: share of the gain, %</caption>\n<thead><tr>\
             <th>detector</th><th class=\"name\">segment</th>",
            escape(row)
        );
        for s in &statistics {
            let _ = write!(out, "<th>{}</th>", escape(s));
        }
        out.push_str("<th>sum</th></tr></thead>\n<tbody>\n");
        let cell = |gain: Option<f64>| match gain {
            Some(g) => {
                let shade = short((share(g) * 2.0).clamp(0.0, 80.0), 0);
                format!("<td style=\"--shade:{shade}%\">{}</td>", fixed(share(g), 1))
            }
            None => "<td></td>".to_owned(),
        };
        for ((detector, segment), by) in ordered {
            let segment = if segment.is_empty() { "image" } else { segment };
            let _ = write!(
                out,
                "<tr><th scope=\"row\">{}</th><th scope=\"row\">{}</th>",
                escape(detector),
                escape(segment)
            );
            for s in &statistics {
                out.push_str(&cell(by.get(s).copied()));
            }
            let _ = writeln!(out, "<td><b>{}</b></td></tr>", fixed(share(sum(by)), 1));
        }
        out.push_str("<tr><th scope=\"row\" colspan=\"2\">sum</th>");
        for s in &statistics {
            let by: f64 = own
                .iter()
                .filter(|i| i.statistic == *s)
                .map(|i| i.gain)
                .sum();
            let _ = write!(out, "<td><b>{}</b></td>", fixed(share(by), 1));
        }
        out.push_str("<td></td></tr>\n</tbody></table></div>\n");
    }
}

/// The features that moved most.
pub(crate) fn drift(out: &mut String, list: &[FeatureDrift]) {
    let mut ordered: Vec<&FeatureDrift> = list.iter().collect();
    ordered.sort_by(|a, b| {
        b.ks.total_cmp(&a.ks).then_with(|| {
            (&a.row, &a.class, &a.feature, a.label).cmp(&(&b.row, &b.class, &b.feature, b.label))
        })
    });
    let shown = ordered.len().min(DRIFT_ROWS);
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
}

/// Command, versions, machine, times, keys.
pub(crate) fn provenance(out: &mut String, p: &Provenance) {
    out.push_str("<dl>\n");
    let mut item = |name: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(out, "<dt>{}</dt><dd>{value}</dd>", escape(name));
        }
    };
    let gib = |bytes: u64| format!("{} GiB", short(bytes as f64 / f64::from(1 << 30), 2));
    item(
        "command",
        if p.command.is_empty() {
            String::new()
        } else {
            format!("<code>{}</code>", escape(&p.command))
        },
    );
    item(
        "commit",
        p.commit
            .as_ref()
            .map(|c| format!("<code>{}</code>", escape(c)))
            .unwrap_or_default(),
    );
    let versions: Vec<String> = p
        .versions
        .iter()
        .map(|(n, v)| escape(&format!("{n} {v}")))
        .collect();
    item("versions", versions.join(" · "));
    let host = [
        p.host.cpu.clone(),
        p.host
            .threads
            .map(|t| format!("{t} {}", if t == 1 { "thread" } else { "threads" })),
        p.host.memory.map(gib),
        p.host.gpu.clone(),
        p.host.os.clone(),
    ];
    item(
        "machine",
        host.into_iter()
            .flatten()
            .map(|h| escape(&h))
            .collect::<Vec<_>>()
            .join(" · "),
    );
    item("peak memory", p.peak_memory.map(gib).unwrap_or_default());
    let stage = |s: &crate::Stage| {
        let cells = if s.cells == 1 { "cell" } else { "cells" };
        escape(&format!(
            "{} {} s ({} {cells})",
            s.name,
            significant(s.seconds),
            s.cells
        ))
    };
    item(
        "time",
        p.stages.iter().map(stage).collect::<Vec<_>>().join(" · "),
    );
    out.push_str("</dl>\n");
    if !p.cells.is_empty() {
        let _ = writeln!(
            out,
            "<details><summary>Keys of {} stored cells</summary>\n<pre>",
            p.cells.len()
        );
        for c in &p.cells {
            let _ = writeln!(
                out,
                "{}",
                escape(&format!(
                    "{}  {} · {} · {} · seed {}",
                    c.key, c.kind, c.row, c.class, c.seed
                ))
            );
        }
        out.push_str("</pre></details>\n");
    }
}
