use super::ModelError;
use crate::{BackboneKind, Tap};
use segad_core::{CacheKey, KeyHasher};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::ops::Deref;

/// The settings of a method as somebody wrote them, with a default for each that is left out.
pub trait Settings: Clone + fmt::Debug + PartialEq {
    /// What checking works out besides the settings, e.g. the taps of a backbone; `()` if nothing.
    type Derived: Clone + fmt::Debug + PartialEq;
    /// What checking reports: [`ModelError::Setting`] for the first value that makes no sense.
    type Error: std::error::Error + From<ModelError>;

    /// Checks every value. What was left open may be written out, so that a saved model states it.
    ///
    /// # Errors
    /// For the first value that makes no sense.
    fn check(&mut self) -> Result<Self::Derived, Self::Error>;

    /// Adds what decides the result to a key; settings that mean the same feed the same.
    fn feed_key(&self, derived: &Self::Derived, hasher: &mut KeyHasher);

    /// The settings, checked.
    ///
    /// # Errors
    /// As [`Settings::check`].
    fn checked(mut self) -> Result<Checked<Self>, Self::Error> {
        let derived = self.check()?;
        Ok(Checked {
            settings: self,
            derived,
        })
    }
}

/// Settings that passed [`Settings::checked`]. They can be read and not be changed; reading them
/// back from a file checks them again.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked<S: Settings> {
    settings: S,
    derived: S::Derived,
}

impl<S: Settings> Checked<S> {
    /// The settings.
    pub fn settings(&self) -> &S {
        &self.settings
    }

    /// What checking worked out.
    pub fn derived(&self) -> &S::Derived {
        &self.derived
    }
}

impl<S: Settings> Deref for Checked<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.settings
    }
}

impl<S: Settings> CacheKey for Checked<S> {
    fn feed(&self, hasher: &mut KeyHasher) {
        self.settings.feed_key(&self.derived, hasher);
    }
}

impl<S: Settings + Serialize> Serialize for Checked<S> {
    fn serialize<W: Serializer>(&self, serializer: W) -> Result<W::Ok, W::Error> {
        self.settings.serialize(serializer)
    }
}

impl<'de, S: Settings + Deserialize<'de>> Deserialize<'de> for Checked<S> {
    fn deserialize<R: Deserializer<'de>>(deserializer: R) -> Result<Self, R::Error> {
        S::deserialize(deserializer)?
            .checked()
            .map_err(de::Error::custom)
    }
}

/// `Ok` if `ok`; otherwise the error `field = value: expected …`.
///
/// # Errors
/// [`ModelError::Setting`].
pub fn expect(
    ok: bool,
    field: &'static str,
    value: impl fmt::Display,
    expected: impl Into<String>,
) -> Result<(), ModelError> {
    if ok {
        return Ok(());
    }
    Err(ModelError::Setting {
        field,
        value: value.to_string(),
        expected: expected.into(),
    })
}

/// Checks the side of a square network input, in pixels.
///
/// # Errors
/// [`ModelError::Setting`] for a side outside 32 to 4096.
pub fn expect_image_size(side: usize) -> Result<(), ModelError> {
    let ok = (32..=4096).contains(&side);
    expect(ok, "image_size", side, "32 to 4096 pixels")
}

/// Checks the side of a backbone's square input, in pixels.
///
/// # Errors
/// [`ModelError::Setting`] for a side outside 32 to 4096, or that a vision transformer cannot cut
/// into whole patches.
pub fn expect_input_size(kind: BackboneKind, side: usize) -> Result<(), ModelError> {
    expect_image_size(side)?;
    let patch = kind.patch().unwrap_or(1);
    let near = side / patch * patch;
    let expected = format!("a multiple of {patch}, the patch of {kind}, e.g. {near}");
    expect(side == near, "image_size", side, expected)
}

/// Checks that a backbone can be trained, which [`crate::TrainableBackbone`] does with
/// convolutional ones.
///
/// # Errors
/// [`ModelError::Setting`] for a vision transformer.
pub fn expect_trainable(kind: BackboneKind) -> Result<(), ModelError> {
    let expected = "a convolutional network: vision transformers are used as they are";
    expect(kind.patch().is_none(), "backbone", kind, expected)
}

/// The taps of these layers, which must be different ones in the order of the network, and so none
/// finer than the one before.
///
/// # Errors
/// [`ModelError::Setting`] for no layer, a repeated one or another order; an unknown name.
pub fn expect_finest_first(kind: BackboneKind, layers: &[String]) -> Result<Vec<Tap>, ModelError> {
    let text = format!("{layers:?}");
    let all = kind.taps();
    let mut left = &all[..];
    let mut taps: Vec<Tap> = Vec::with_capacity(layers.len());
    for layer in layers {
        let tap = kind.tap(layer)?;
        // Grids are built on the first layer's; a finer one later would lose its places. And the
        // last layer says how much of the network is needed.
        let place = left.iter().position(|t| *t == tap);
        let expected = "different layers, finest first, in the order of the network";
        expect(place.is_some(), "layers", &text, expected)?;
        left = &left[place.map_or(0, |place| place + 1)..];
        taps.push(tap);
    }
    expect(!taps.is_empty(), "layers", &text, "at least one layer")?;
    Ok(taps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Toy {
        #[serde(default)]
        layers: Option<Vec<String>>,
    }

    impl Settings for Toy {
        type Derived = Vec<Tap>;
        type Error = ModelError;

        fn check(&mut self) -> Result<Vec<Tap>, ModelError> {
            let layers = self.layers.get_or_insert_with(|| vec!["layer2".to_owned()]);
            expect_finest_first(BackboneKind::Resnet18, layers)
        }

        fn feed_key(&self, derived: &Vec<Tap>, hasher: &mut KeyHasher) {
            hasher.field("layers", &derived.len());
        }
    }

    fn toy(layers: &[&str]) -> Result<Checked<Toy>, ModelError> {
        let layers = layers.iter().map(|&l| l.to_owned()).collect();
        Toy {
            layers: Some(layers),
        }
        .checked()
    }

    #[test]
    fn checked_settings_state_what_was_left_open_and_read_back() {
        let params = Toy { layers: None }.checked().unwrap();
        assert_eq!(params, toy(&["layer2"]).unwrap());
        let text = serde_json::to_string(&params).unwrap();
        assert_eq!(text, r#"{"layers":["layer2"]}"#);
        assert_eq!(serde_json::from_str::<Checked<Toy>>(&text).unwrap(), params);
        let e = serde_json::from_str::<Checked<Toy>>(r#"{"layers":[]}"#).unwrap_err();
        assert!(e.to_string().contains("layers = []: expected"), "{e}");
    }

    #[test]
    fn layers_run_from_fine_to_coarse() {
        let params = toy(&["layer1", "layer3"]).unwrap();
        let strides: Vec<i64> = params.derived().iter().map(|t| t.stride).collect();
        assert_eq!(strides, [4, 16]);
        for wrong in [&["layer3", "layer1"][..], &["layer1", "layer1"], &[]] {
            let e = toy(wrong).unwrap_err();
            assert!(
                matches!(
                    e,
                    ModelError::Setting {
                        field: "layers",
                        ..
                    }
                ),
                "{e}"
            );
        }
        assert!(matches!(toy(&["layer9"]), Err(ModelError::Nn(_))));
        // Of one stride the network's order counts too.
        let vit = BackboneKind::Dinov2Vits14;
        let of = |layers: [&str; 2]| expect_finest_first(vit, &layers.map(str::to_owned));
        assert!(of(["block5", "block7"]).is_ok());
        let e = of(["block7", "block5"]).unwrap_err().to_string();
        assert!(e.contains("in the order of the network"), "{e}");
    }

    #[test]
    fn image_sizes_have_bounds() {
        assert!(expect_image_size(32).is_ok() && expect_image_size(4096).is_ok());
        let e = expect_image_size(31).unwrap_err().to_string();
        assert_eq!(e, "image_size = 31: expected 32 to 4096 pixels");
        let vit = BackboneKind::Dinov2Vits14;
        assert!(expect_input_size(vit, 224).is_ok() && expect_input_size(vit, 518).is_ok());
        assert!(expect_input_size(BackboneKind::Resnet18, 225).is_ok());
        let e = expect_input_size(vit, 256).unwrap_err().to_string();
        let expected = "image_size = 256: expected a multiple of 14, the patch of dinov2_vits14";
        assert!(e.starts_with(expected) && e.ends_with("e.g. 252"), "{e}");
    }

    #[test]
    fn only_convolutional_networks_are_trained() {
        assert!(expect_trainable(BackboneKind::Miniature).is_ok());
        let e = expect_trainable(BackboneKind::Dinov2Vits14)
            .unwrap_err()
            .to_string();
        assert!(
            e.starts_with("backbone = dinov2_vits14: expected a convolutional network"),
            "{e}"
        );
    }
}
