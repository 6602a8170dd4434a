use super::list::row_error;
use super::{Scan, listed_id};
use crate::manifest::{Class, Manifest};
use crate::{DatasetError, Entry, Part, listing};
use segad_core::ImageId;
use std::collections::HashSet;
use std::path::Path;

/// `labels.csv`: path, defect probability and cell type in columns of spaces, no header. The class
/// is the cell type; the order is the number in the file name.
pub(super) fn scan(manifest: &Manifest, base: &Path, class: &Class) -> Result<Scan, DatasetError> {
    let path = base.join("labels.csv");
    let text = segad_files::read_to_string(&path)?;
    let mut scan = Scan::new();
    let mut listed = HashSet::new();
    // One listing of the folder instead of a question per image.
    let present: HashSet<String> = listing::list(&base.join("images"))?
        .files
        .into_iter()
        .map(|f| format!("images/{f}"))
        .collect();
    for (line, text) in (1..).zip(text.lines()) {
        if text.trim().is_empty() {
            continue;
        }
        let (entry, kind) = row(manifest, text).map_err(|reason| row_error(&path, line, reason))?;
        // Rows of the other class are checked too: a list with a bad line is not trusted.
        if !listed.insert(entry.id.clone()) {
            let reason = format!("{} is listed twice", entry.id);
            return Err(row_error(&path, line, reason));
        }
        if kind != class.name {
            continue;
        }
        if present.contains(entry.id.as_str()) {
            scan.entries.push(entry);
        } else {
            scan.missing.push(entry.id);
        }
    }
    scan.extra = present
        .into_iter()
        .filter(|f| !listed.contains(&ImageId::new(f.as_str())))
        .collect();
    scan.extra.sort();
    scan.entries.sort_by_key(|e| e.order);
    Ok(scan)
}

fn row<'a>(manifest: &Manifest, line: &'a str) -> Result<(Entry, &'a str), String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let &[image, value, kind] = fields.as_slice() else {
        return Err(format!(
            "expected path, probability and type, got {} columns",
            fields.len()
        ));
    };
    if kind != "mono" && kind != "poly" {
        return Err(format!("type {kind:?}: expected mono or poly"));
    }
    let group = manifest
        .groups
        .iter()
        .find(|g| g.value.as_deref() == Some(value))
        .ok_or_else(|| {
            let known: Vec<&str> = manifest
                .groups
                .iter()
                .filter_map(|g| g.value.as_deref())
                .collect();
            format!(
                "probability {value:?}: expected one of {}",
                known.join(", ")
            )
        })?;
    let id = listed_id(image)?;
    // `cell0907` is number 907, the position in the order of the modules.
    let digits: String = id.stem().chars().filter(char::is_ascii_digit).collect();
    let order = digits
        .parse()
        .map_err(|_| format!("{image:?}: expected a cell number in the file name"))?;
    Ok((
        Entry {
            order,
            ..Entry::new(id, group.label, Part::All).with_group(&group.name)
        },
        kind,
    ))
}
