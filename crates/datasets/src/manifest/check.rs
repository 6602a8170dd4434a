//! What a manifest must not say.

use super::{Class, Distribution, Group, Layout, Manifest};
use crate::error::nearest;
use std::collections::{BTreeMap, HashSet};

impl Manifest {
    /// Why the manifest cannot be right, if it cannot.
    pub(super) fn contradiction(&self) -> Option<String> {
        if self.schema != 1 {
            return Some(format!("schema = {}: expected 1", self.schema));
        }
        if self.classes.is_empty() {
            return Some("at least one [[class]] is needed".to_owned());
        }
        // The others have their images at the top, where no folder tells a class.
        let several = matches!(self.layout, Layout::Elpv | Layout::Visa | Layout::Mvtec);
        if !several && self.classes.len() > 1 {
            return Some(format!(
                "layout {} holds one class, but {} are named",
                self.layout.name(),
                self.classes.len()
            ));
        }
        if let Some(name) = repeated(self.classes.iter().map(|c| c.name.as_str())) {
            return Some(format!("class {name:?} is named twice"));
        }
        if let Some(name) = repeated(self.groups.iter().map(|g| g.name.as_str())) {
            return Some(format!("group {name:?} is named twice"));
        }
        if let Some(folder) = repeated(self.groups.iter().map(Group::folder)) {
            return Some(format!("folder {folder:?} belongs to two groups"));
        }
        if self.layout == Layout::Elpv && self.groups.iter().any(|g| g.value.is_none()) {
            return Some("layout elpv needs a value for every group".to_owned());
        }
        self.classes
            .iter()
            .find_map(|class| self.class_contradiction(class))
            .or_else(|| self.seeds_contradiction())
            .or_else(|| self.sources.iter().find_map(Distribution::contradiction))
    }

    fn class_contradiction(&self, class: &Class) -> Option<String> {
        let name = &class.name;
        // A manifest may come from anywhere, and the name becomes part of a path.
        if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') {
            return Some(format!("class {name:?} is not a folder name"));
        }
        // A count of a group that no image can belong to would be a fault of every copy.
        let group = [&class.train, &class.test, &class.all]
            .into_iter()
            .flat_map(BTreeMap::keys)
            .find(|g| {
                self.groups.iter().all(|known| known.name != **g) && !class.defects.contains(g)
            })?;
        Some(format!(
            "class {name}: counts of group {group:?}, which is not declared"
        ))
    }

    fn seeds_contradiction(&self) -> Option<String> {
        for (name, list) in &self.seeds {
            // numpy's RandomState takes no others.
            if list.is_empty() || list.iter().any(|&s| s > u64::from(u32::MAX)) {
                return Some(format!(
                    "seeds {name:?}: expected numbers from 0 to 4294967295"
                ));
            }
            if let Some(seed) = repeated(list.iter()) {
                return Some(format!("seeds {name:?}: {seed} is named twice"));
            }
        }
        let low_shot = self.low_shot.as_ref()?;
        match self.seeds(&low_shot.seeds) {
            None => Some(format!(
                "low_shot.seeds = {:?}: expected the name of a list in [seeds]",
                low_shot.seeds
            )),
            Some(list) if list.len() < low_shot.lists => Some(format!(
                "low_shot: {} lists need as many seeds, {:?} has {}",
                low_shot.lists,
                low_shot.seeds,
                list.len()
            )),
            Some(_) => None,
        }
    }
}

impl Distribution {
    fn contradiction(&self) -> Option<String> {
        if self.url.is_some() == self.package.is_some() {
            return Some(format!(
                "source {}: either url or package is needed",
                self.file
            ));
        }
        if self.package.is_some() && (self.version.is_none() || self.registry.is_none()) {
            return Some(format!(
                "source {}: package needs version and registry",
                self.file
            ));
        }
        match &self.sha256 {
            Some(digest) if !is_sha256(digest) => Some(format!(
                "source {}: sha256 = {digest:?}: expected 64 lower-case hexadecimal digits",
                self.file
            )),
            None if !self.manual => Some(format!(
                "source {}: sha256 is needed unless manual = true",
                self.file
            )),
            _ => None,
        }
    }
}

fn is_sha256(digest: &str) -> bool {
    digest.len() == 64
        && digest
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The first item that was there before.
fn repeated<T: std::hash::Hash + Eq + Clone>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let mut seen = HashSet::new();
    items.find(|item| !seen.insert(item.clone()))
}

/// The parser's message with its line, and the nearest key where one is unknown.
pub(super) fn explain(error: &toml::de::Error, text: &str) -> String {
    let line = error.span().map_or(String::new(), |span| {
        let before = &text[..span.start.min(text.len())];
        format!("line {}: ", before.matches('\n').count() + 1)
    });
    let message = error.message();
    // The message quotes the unknown key first, then those that would be known.
    let mut names = message.split('`').skip(1).step_by(2);
    let hint = match (message.starts_with("unknown"), names.next()) {
        (true, Some(wrong)) => {
            nearest(wrong, names).map_or(String::new(), |n| format!(" (did you mean {n:?}?)"))
        }
        _ => String::new(),
    };
    format!("{line}{message}{hint}")
}
