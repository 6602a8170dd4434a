mod text;

pub use text::value;

use crate::error::nearest;
use crate::file::File;
use crate::words::{plain_type, plain_value};
use crate::{Experiment, GridError};
use figment::error::{Kind, OneOf};
use figment::providers::Serialized;
use figment::value::{Dict, Map, Value as Merged};
use figment::{Figment, Metadata, Profile, Provider};
use segad_core::BoxError;
use std::collections::BTreeMap;
use text::{assignment, for_kinds, parse};
use toml::{Table, Value};

/// Key of a profile that names the file of settings that it builds on.
const EXTENDS: &str = "extends";

/// Gives the text of a file that an experiment names; relative paths start at the experiment's
/// folder.
pub type ReadFile<'a> = dyn Fn(&str) -> Result<String, BoxError> + 'a;

/// The layers of one experiment, in order; later ones win.
#[derive(Clone, Debug)]
pub struct Layers {
    file: String,
    name: String,
    /// The experiment file's own settings, its profiles included.
    own: Table,
    merged: Figment,
}

/// Where one setting's value came from.
#[derive(Clone, Debug, PartialEq)]
pub struct SettingOrigin {
    /// Path of the key, e.g. `detectors.patchcore.coreset_ratio`.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// Which layer set it.
    pub origin: String,
}

/// Settings from one place, for figment, which merges them and remembers where each came from.
struct Layer<'a> {
    origin: &'a str,
    settings: &'a Table,
}

impl Provider for Layer<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.to_owned())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Serialized::defaults(self.settings).data()
    }
}

impl Layers {
    /// The experiment file's own layer. `file` is its name, for messages; `text` its content.
    ///
    /// # Errors
    /// [`GridError::File`] with line, column and the nearest known key.
    pub fn new(file: &str, text: &str) -> Result<Self, GridError> {
        let own = parse(file, text)?;
        let stem = file.rsplit(['/', '\\']).next().unwrap_or(file);
        let name = stem.strip_suffix(".toml").unwrap_or(stem).to_owned();
        let mut settings = own.clone();
        // Each profile is a layer of its own, added when it is chosen.
        settings.remove("profile");
        Ok(Self {
            file: file.to_owned(),
            name,
            own,
            merged: Figment::new(),
        }
        .merge(file, &settings))
    }

    fn merge(mut self, origin: &str, settings: &Table) -> Self {
        self.merged = self.merged.merge(Layer { origin, settings });
        self
    }

    fn profiles(&self) -> impl Iterator<Item = (&String, &Table)> {
        let all = self.own.get("profile").and_then(Value::as_table);
        all.into_iter()
            .flatten()
            .filter_map(|(name, settings)| Some((name, settings.as_table()?)))
    }

    /// Adds the file's `[profile.NAME]`, on top of the settings that its `extends` names.
    ///
    /// # Errors
    /// [`GridError::Profile`] if the file has no such profile; `paper` is the file itself and
    /// always exists. [`GridError::Extends`] if the file that it extends cannot be read, and
    /// [`GridError::File`] if that is not a file of settings.
    pub fn profile(self, profile: &str, read: &ReadFile<'_>) -> Result<Self, GridError> {
        let found = self.profiles().find(|(name, _)| *name == profile);
        match found.map(|(_, settings)| settings.clone()) {
            Some(settings) => self.add_profile(profile, settings, read),
            None if profile == "paper" => Ok(self),
            None => {
                let own = self.profiles().map(|(name, _)| name.as_str());
                let known: Vec<&str> = own.chain(["paper"]).collect();
                Err(GridError::Profile {
                    known: known.join(", "),
                    file: self.file,
                    profile: profile.to_owned(),
                })
            }
        }
    }

    /// Adds `[profile.maps]`, for runs on maps instead of images, and `[profile.maps-NAME]` for
    /// `profile`'s NAME; where the file has neither, adds `profile` itself.
    ///
    /// # Errors
    /// As [`Layers::profile`].
    pub fn on_maps(self, profile: &str, read: &ReadFile<'_>) -> Result<Self, GridError> {
        // The general one first: what `maps-NAME` says wins over it.
        let wanted = ["maps".to_owned(), format!("maps-{profile}")];
        let mut layers = self.clone();
        let mut found = false;
        for name in &wanted {
            if let Some((_, settings)) = self.profiles().find(|(n, _)| *n == name) {
                layers = layers.add_profile(name, settings.clone(), read)?;
                found = true;
            }
        }
        if found {
            Ok(layers)
        } else {
            self.profile(profile, read)
        }
    }

    fn add_profile(
        mut self,
        name: &str,
        mut settings: Table,
        read: &ReadFile<'_>,
    ) -> Result<Self, GridError> {
        // Below the profile, which may change what it builds on.
        if let Some(base) = settings.remove(EXTENDS) {
            let Value::String(path) = base else {
                return Err(GridError::Value {
                    file: self.file,
                    key: format!("profile.{name}.{EXTENDS} = {base}"),
                    message: "expected the path of a file of settings".to_owned(),
                });
            };
            let text = read(&path).map_err(|cause| GridError::Extends {
                file: self.file.clone(),
                profile: name.to_owned(),
                path: path.clone(),
                cause,
            })?;
            // Named as the experiment's own file is, from the folder that the user is in.
            let folder = self.file.rsplit_once('/').map(|(folder, _)| folder);
            let place = match folder {
                Some(folder) if !path.starts_with('/') => format!("{folder}/{path}"),
                _ => path,
            };
            let shared = for_kinds(parse(&place, &text)?, &self.own);
            self = self.merge(&place, &shared);
        }
        Ok(self.merge(&format!("profile {name}"), &settings))
    }

    /// Adds settings from environment variables given as `(name, value)`:
    /// `SEGAD_SET_DETECTORS__PATCHCORE__MEMORY=…` sets `detectors.patchcore.memory`.
    ///
    /// # Errors
    /// [`GridError::Set`].
    pub fn environment(
        mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, GridError> {
        for (name, value) in variables {
            if let Some(path) = name.strip_prefix("SEGAD_SET_") {
                // Names of variables have no dots, and shells prefer capitals.
                let path = path.to_ascii_lowercase().replace("__", ".");
                let settings = assignment(&format!("{path}={value}"))?;
                self = self.merge(&format!("environment {name}"), &settings);
            }
        }
        Ok(self)
    }

    /// Adds one `key.path=value`; the value is TOML, or a bare word that is then a string.
    ///
    /// # Errors
    /// [`GridError::Set`].
    pub fn set(self, argument: &str) -> Result<Self, GridError> {
        let settings = assignment(argument)?;
        Ok(self.merge(&format!("--set {argument}"), &settings))
    }

    /// Merges the layers and checks the whole.
    ///
    /// # Errors
    /// [`GridError::File`] for unknown keys and wrong types in any layer, [`GridError::Value`] for
    /// impossible values.
    pub fn experiment(&self) -> Result<Experiment, GridError> {
        let file: File = self.merged.extract().map_err(|e| self.explain(e))?;
        file.check(&self.name, &self.file)
    }

    /// Every setting with the layer that set it, sorted by key.
    ///
    /// # Errors
    /// [`GridError::File`] if a layer cannot be merged.
    pub fn origins(&self) -> Result<Vec<SettingOrigin>, GridError> {
        let mut found = BTreeMap::new();
        let data = self.merged.data().map_err(|e| self.explain(e))?;
        for (key, value) in data.into_values().flatten() {
            self.collect(key, &value, &mut found)?;
        }
        Ok(found.into_values().collect())
    }

    /// The leaves of a merged value. A list of plain values was set as a whole; one of tables, such
    /// as `row`, is shown table by table.
    fn collect(
        &self,
        key: String,
        value: &Merged,
        found: &mut BTreeMap<String, SettingOrigin>,
    ) -> Result<(), GridError> {
        match value {
            Merged::Dict(_, table) if !table.is_empty() => {
                for (inner, value) in table {
                    self.collect(format!("{key}.{inner}"), value, found)?;
                }
            }
            Merged::Array(_, items) if items.iter().any(|item| item.as_dict().is_some()) => {
                for (i, item) in items.iter().enumerate() {
                    self.collect(format!("{key}[{i}]"), item, found)?;
                }
            }
            leaf => {
                let origin = SettingOrigin {
                    key: key.clone(),
                    value: leaf.deserialize().map_err(|e| self.explain(e))?,
                    origin: self.layer(leaf),
                };
                found.insert(key, origin);
            }
        }
        Ok(())
    }

    /// The name of the layer that set a value.
    fn layer(&self, value: &Merged) -> String {
        let metadata = self.merged.get_metadata(value.tag());
        metadata.map_or_else(|| self.file.clone(), |m| m.name.clone().into_owned())
    }

    /// What is wrong with the merged settings, and which layer brought it.
    fn explain(&self, error: figment::Error) -> GridError {
        let path = error.path.join(".");
        let (place, message, nearest) = match &error.kind {
            Kind::UnknownField(name, known) => {
                let place = [&path, name.as_str()].map(str::to_owned);
                let place = place.into_iter().filter(|p| !p.is_empty());
                (
                    place.collect::<Vec<_>>().join("."),
                    format!("unknown field `{name}`, expected {}", OneOf(known)),
                    nearest(name, known.iter().copied()),
                )
            }
            Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
                let found = plain_value(&actual.to_string());
                let expected = plain_type(expected);
                let message = format!("{path} = {found}: expected {expected}");
                (path.clone(), message, None)
            }
            kind => (path.clone(), format!("{path}: {kind}"), None),
        };
        // An unknown key belongs to a table that several layers share, so the key itself is asked.
        let found = self
            .merged
            .find_metadata(&place)
            .or(error.metadata.as_ref());
        GridError::File {
            file: found.map_or_else(|| self.file.clone(), |m| m.name.clone().into_owned()),
            message,
            nearest,
        }
    }
}

#[cfg(test)]
mod tests;
