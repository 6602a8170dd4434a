use crate::error::nearest_in_message;
use crate::experiment::File;
use crate::{Experiment, GridError, sweep};
use figment::Figment;
use figment::providers::{Format, Toml};
use toml::{Table, Value};

/// The layers of one experiment, in order; later ones win.
#[derive(Clone, Debug)]
pub struct Layers {
    file: String,
    name: String,
    layers: Vec<(String, Table)>,
}

/// Where one setting's value came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// Path of the key, e.g. `detectors.patchcore.coreset_ratio`.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// Which layer set it.
    pub origin: String,
}

impl Layers {
    /// The experiment file's own layer. `file` is its name, for messages; `text` its content.
    ///
    /// # Errors
    /// [`GridError::File`] with line, column and the nearest known key.
    pub fn new(file: &str, text: &str) -> Result<Self, GridError> {
        toml::from_str::<File>(text).map_err(|e| file_error(file, e.to_string()))?;
        let table: Table = toml::from_str(text).map_err(|e| file_error(file, e.to_string()))?;
        let stem = file.rsplit(['/', '\\']).next().unwrap_or(file);
        let name = stem.strip_suffix(".toml").unwrap_or(stem).to_owned();
        Ok(Self {
            file: file.to_owned(),
            name,
            layers: vec![(file.to_owned(), table)],
        })
    }

    /// Adds the file's `[profile.NAME]`.
    ///
    /// # Errors
    /// [`GridError::Profile`] if the file has no such profile; `paper` is the file itself and
    /// always there.
    pub fn profile(mut self, profile: &str) -> Result<Self, GridError> {
        let profiles = self.layers[0]
            .1
            .get("profile")
            .and_then(Value::as_table)
            .cloned()
            .unwrap_or_default();
        match profiles.get(profile).and_then(Value::as_table) {
            Some(table) => self
                .layers
                .push((format!("profile {profile}"), table.clone())),
            None if profile == "paper" => {}
            None => {
                let known = profiles
                    .keys()
                    .map(String::as_str)
                    .chain(["paper"])
                    .collect::<Vec<_>>();
                return Err(GridError::Profile {
                    file: self.file,
                    profile: profile.to_owned(),
                    known: known.join(", "),
                });
            }
        }
        Ok(self)
    }

    /// Adds `[profile.maps]`, for runs on maps instead of images, and `[profile.maps-NAME]` for
    /// `profile`'s NAME; where the file has neither, adds `profile` itself.
    ///
    /// # Errors
    /// As [`Layers::profile`].
    pub fn on_maps(mut self, profile: &str) -> Result<Self, GridError> {
        let all = self.layers[0]
            .1
            .get("profile")
            .and_then(Value::as_table)
            .cloned()
            .unwrap_or_default();
        let own = format!("maps-{profile}");
        let found: Vec<_> = ["maps", &own]
            .iter()
            .filter_map(|n| Some((*n, all.get(*n)?.as_table()?.clone())))
            .collect();
        if found.is_empty() {
            return self.profile(profile);
        }
        self.layers.extend(
            found
                .into_iter()
                .map(|(name, table)| (format!("profile {name}"), table)),
        );
        Ok(self)
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
                let path = path.to_ascii_lowercase().replace("__", ".");
                self.push_set(&format!("{path}={value}"), &format!("environment {name}"))?;
            }
        }
        Ok(self)
    }

    /// Adds one `key.path=value`; the value is TOML, or a bare word that is then a string.
    ///
    /// # Errors
    /// [`GridError::Set`].
    pub fn set(mut self, argument: &str) -> Result<Self, GridError> {
        self.push_set(argument, &format!("--set {argument}"))?;
        Ok(self)
    }

    fn push_set(&mut self, argument: &str, origin: &str) -> Result<(), GridError> {
        let bad = |message: String| GridError::Set {
            argument: argument.to_owned(),
            message,
        };
        let (path, text) = argument
            .split_once('=')
            .ok_or_else(|| bad("expected KEY=VALUE, e.g. --set seeds=[1,2]".to_owned()))?;
        let value = match toml::from_str::<Table>(&format!("v = {text}")) {
            Ok(mut table) => table.remove("v").unwrap_or(Value::String(text.to_owned())),
            Err(_) => Value::String(text.to_owned()),
        };
        let mut root = Value::Table(Table::new());
        sweep::set(&mut root, path.trim(), value).map_err(bad)?;
        if let Value::Table(table) = root {
            self.layers.push((origin.to_owned(), table));
        }
        Ok(())
    }

    /// Merges the layers and checks the whole.
    ///
    /// # Errors
    /// [`GridError::File`] for unknown keys and wrong types in any layer, [`GridError::Value`] for
    /// impossible values.
    pub fn experiment(&self) -> Result<Experiment, GridError> {
        for (origin, table) in &self.layers[1..] {
            let known: Result<File, _> = table.clone().try_into();
            known.map_err(|e| file_error(origin, e.to_string()))?;
        }
        let mut figment = Figment::new();
        for (_, table) in &self.layers {
            figment = figment.merge(Toml::string(&table.to_string()));
        }
        let file: File = figment
            .extract()
            .map_err(|e| file_error(&self.file, e.to_string()))?;
        file.check(&self.name, &self.file)
    }

    /// Every setting with the layer that set it, sorted by key.
    pub fn origins(&self) -> Vec<Origin> {
        let mut flat = std::collections::BTreeMap::new();
        for (origin, table) in &self.layers {
            flatten("", &Value::Table(table.clone()), &mut |key, value| {
                if !key.starts_with("profile.") {
                    flat.insert(
                        key.clone(),
                        Origin {
                            key,
                            value,
                            origin: origin.clone(),
                        },
                    );
                }
            });
        }
        flat.into_values().collect()
    }
}

fn flatten(path: &str, value: &Value, out: &mut dyn FnMut(String, Value)) {
    match value {
        Value::Table(table) if !table.is_empty() => {
            for (key, value) in table {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                flatten(&path, value, out);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_table) => {
            for (i, item) in items.iter().enumerate() {
                flatten(&format!("{path}[{i}]"), item, out);
            }
        }
        leaf => out(path.to_owned(), leaf.clone()),
    }
}

fn file_error(file: &str, message: String) -> GridError {
    let nearest = nearest_in_message(&message);
    GridError::File {
        file: file.to_owned(),
        message,
        nearest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seeds;

    const TEXT: &str = r#"
        title = "t"
        dataset = "elpv"
        protocol = "p"
        seeds = [1, 2, 3]
        [detectors.patchcore]
        coreset_ratio = 0.01
        [[row]]
        name = "a"
        detectors = ["patchcore"]
        [profile.smoke]
        seeds = [7]
        detectors.patchcore.coreset_ratio = 0.5
    "#;

    #[test]
    fn later_layers_win_and_say_so() {
        let layers = Layers::new("x/t.toml", TEXT).unwrap();
        let e = layers
            .clone()
            .profile("smoke")
            .unwrap()
            .set("detectors.patchcore.layers=[\"s3\"]")
            .unwrap();
        let x = e.experiment().unwrap();
        assert_eq!((x.name.as_str(), x.seeds), ("t", Seeds::List(vec![7])));
        assert_eq!(
            x.detectors["patchcore"].params["coreset_ratio"].as_float(),
            Some(0.5)
        );
        let origins = e.origins();
        let of = |k: &str| {
            origins
                .iter()
                .find(|o| o.key == k)
                .map(|o| o.origin.clone())
        };
        assert_eq!(of("seeds").as_deref(), Some("profile smoke"));
        assert_eq!(of("dataset").as_deref(), Some("x/t.toml"));
        assert!(matches!(
            layers.profile("smok"),
            Err(GridError::Profile { .. })
        ));
    }

    #[test]
    fn runs_on_maps_have_profiles_of_their_own() {
        let text =
            format!("{TEXT}\n[profile.maps]\nprotocol = 'm'\n[profile.maps-smoke]\nseeds = [9]\n");
        let on = |profile: &str| {
            Layers::new("t.toml", &text)
                .unwrap()
                .on_maps(profile)
                .unwrap()
                .experiment()
                .unwrap()
        };
        assert_eq!(
            (on("paper").seeds, on("smoke").seeds),
            (Seeds::List(vec![1, 2, 3]), Seeds::List(vec![9]))
        );
        assert_eq!(on("paper").protocols, ["m"]);
        let plain = Layers::new("t.toml", TEXT)
            .unwrap()
            .on_maps("smoke")
            .unwrap()
            .experiment()
            .unwrap();
        assert_eq!(plain.seeds, Seeds::List(vec![7]));
    }

    #[test]
    fn environment_and_words() {
        let env = [("SEGAD_SET_TITLE".to_owned(), "hello there".to_owned())];
        let x = Layers::new("t.toml", TEXT)
            .unwrap()
            .environment(env)
            .unwrap()
            .experiment()
            .unwrap();
        assert_eq!(x.title, "hello there");
        assert!(matches!(
            Layers::new("t.toml", TEXT).unwrap().set("title"),
            Err(GridError::Set { .. })
        ));
    }

    #[test]
    fn unknown_keys_are_named_with_place_and_neighbour() {
        let message = Layers::new("t.toml", &TEXT.replace("seeds = [1", "sedes = [1"))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("t.toml") && message.contains("line 5"),
            "{message}"
        );
        assert!(message.contains("did you mean `seeds`?"), "{message}");
        let set = Layers::new("t.toml", TEXT)
            .unwrap()
            .set("datset=x")
            .unwrap()
            .experiment()
            .unwrap_err();
        assert!(set.to_string().contains("did you mean `dataset`?"), "{set}");
    }

    #[test]
    fn impossible_rows_are_named() {
        let bad = TEXT.replace(
            r#"detectors = ["patchcore"]"#,
            r#"detectors = ["pathcore"]"#,
        );
        let message = Layers::new("t.toml", &bad)
            .unwrap()
            .experiment()
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("row[0] (a).detectors") && message.contains("`patchcore`"),
            "{message}"
        );
    }
}
