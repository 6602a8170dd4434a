use crate::classifier::{ClassifierKind, ClassifierSettings, on_features, on_images};
use crate::detector::{DetectorKind, DetectorSettings, one_class};
use crate::error::MethodError;
use segad_core::Key;
use std::collections::HashMap;
use std::sync::Mutex;
use toml::Table;

/// Every detector. A new one is a line here, beside its crate.
pub static DETECTORS: &[&dyn DetectorKind] = &[
    &one_class::<segad_detector_patchcore::PatchCore>(),
    &one_class::<segad_detector_fastflow::FastFlow>(),
    &one_class::<segad_detector_rd4ad::Rd4ad>(),
    &one_class::<segad_detector_efficientad::EfficientAd<'static>>(),
    &one_class::<segad_detector_anomalydino::AnomalyDino>(),
];

/// Every classifier. A new one is a line here, beside its crate.
pub static CLASSIFIERS: &[&dyn ClassifierKind] = &[
    &on_images::<segad_classifier_wrn::Wrn>(),
    &on_images::<segad_classifier_devnet::DevNet>(),
    &on_images::<segad_classifier_dra::Dra>(),
    &on_features::<segad_classifier_frozen::FrozenMethod<false>>(),
    &on_features::<segad_classifier_frozen::FrozenMethod<true>>(),
];

/// What stands for a method in the keys of its results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodKey {
    /// Kind, revisions, checked parameters, precision, device, and the content of files that it needs.
    pub key: Key,
    /// A file that is missing, and how to get it.
    pub missing: Option<String>,
}

/// The methods that were asked for so far: each table of settings is read and checked once.
#[derive(Default)]
pub struct Registry {
    detectors: Memo<DetectorSettings>,
    classifiers: Memo<ClassifierSettings>,
}

impl Registry {
    /// A detector with these settings.
    ///
    /// # Errors
    /// As [`DetectorSettings::read`].
    pub fn detector(&self, kind: &str, settings: &Table) -> Result<DetectorSettings, MethodError> {
        self.detectors
            .get_or_read(kind, settings, DetectorSettings::read)
    }

    /// A classifier with these settings.
    ///
    /// # Errors
    /// As [`ClassifierSettings::read`].
    pub fn classifier(
        &self,
        kind: &str,
        settings: &Table,
    ) -> Result<ClassifierSettings, MethodError> {
        self.classifiers
            .get_or_read(kind, settings, ClassifierSettings::read)
    }
}

/// Settings by kind and the table that they were read from.
struct Memo<T>(Mutex<HashMap<(String, String), T>>);

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Memo<T> {
    fn get_or_read(
        &self,
        kind: &str,
        settings: &Table,
        read: fn(&str, &Table) -> Result<T, MethodError>,
    ) -> Result<T, MethodError> {
        // Entries are only ever added, so a panic elsewhere leaves the map whole.
        let mut known = self.0.lock().unwrap_or_else(|e| e.into_inner());
        // Tables print in one order, so equal settings are one entry.
        let place = (kind.to_owned(), settings.to_string());
        if let Some(ready) = known.get(&place) {
            return Ok(ready.clone());
        }
        let ready = read(kind, settings)?;
        known.insert(place, ready.clone());
        Ok(ready)
    }
}

/// The entry of this kind.
pub(crate) fn find<T: ?Sized>(
    entries: &[&'static T],
    kind: &str,
    kind_of: fn(&T) -> &'static str,
) -> Result<&'static T, MethodError> {
    let found = entries.iter().find(|entry| kind_of(entry) == kind);
    found.copied().ok_or_else(|| {
        let known: Vec<&str> = entries.iter().map(|entry| kind_of(entry)).collect();
        MethodError::Kind {
            kind: kind.to_owned(),
            known: known.join(", "),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use toml::Value;

    #[test]
    fn every_kind_has_a_name_of_its_own_and_knows_its_defaults() {
        let mut kinds = HashSet::new();
        let unknown = Table::from_iter([("no_such_key".to_owned(), Value::Integer(1))]);
        let registry = Registry::default();
        for kind in DETECTORS.iter().map(|d| d.kind()) {
            assert!(kinds.insert(kind), "{kind}");
            let default = registry.detector(kind, &Table::new()).unwrap();
            assert_eq!(registry.detector(kind, &Table::new()).unwrap(), default);
            let e = registry.detector(kind, &unknown).unwrap_err().to_string();
            assert!(e.contains("no_such_key"), "{e}");
        }
        for kind in CLASSIFIERS.iter().map(|c| c.kind()) {
            assert!(kinds.insert(kind), "{kind}");
            assert_eq!(
                registry.classifier(kind, &Table::new()).unwrap().kind(),
                kind
            );
            let e = registry.classifier(kind, &unknown).err().unwrap();
            assert!(e.to_string().contains("no_such_key"), "{e}");
        }
        let e = registry.classifier("wnr", &Table::new()).err().unwrap();
        let known = "wrn, devnet, dra, frozen-lr, frozen-gbt";
        assert!(e.to_string().contains(known), "{e}");
        let head = Table::from_iter([("head".to_owned(), "trees".into())]);
        let e = registry.classifier("frozen-lr", &head).err().unwrap();
        assert!(
            e.to_string().contains("frozen-lr and frozen-gbt differ"),
            "{e}"
        );
    }
}
