use crate::{FrozenError, LogisticSettings};
use segad_core::{CacheKey, KeyHasher};
use segad_forest::{ForestParams, ForestSettings, Preset};
use segad_nn::BackboneKind;
use serde::{Deserialize, Serialize};

/// What is fitted on the features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Head {
    /// Regularised logistic regression.
    #[default]
    Logistic,
    /// Gradient-boosted trees.
    Trees,
}

/// How a channel's values over an image become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pool {
    /// Their mean.
    Mean,
    /// The largest.
    Max,
    /// The mean of the largest, a share `top_share` of them, at least one.
    Top,
}

impl Pool {
    /// Its name in settings and columns.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Max => "max",
            Self::Top => "top",
        }
    }
}

/// Settings as somebody wrote them, not checked yet.
///
/// ```
/// use segad_classifier_frozen::{FrozenSettings, Head, Pool};
/// let params = FrozenSettings { c: Some(0.1), ..Default::default() }.checked()?;
/// assert_eq!(params.embedding().layers, ["layer2", "layer3", "layer4"]);
/// assert_eq!(params.embedding().pools, [Pool::Mean, Pool::Max]);
/// let trees = FrozenSettings { head: Head::Trees, c: Some(0.1), ..Default::default() };
/// assert!(trees.checked().unwrap_err().to_string().contains("c = 0.1"));
/// # Ok::<(), segad_classifier_frozen::FrozenError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FrozenSettings {
    /// What is fitted on the features.
    pub head: Head,
    /// Which network gives them.
    pub backbone: BackboneKind,
    /// Its taps; unset: the two of strides 8 and 16 that PatchCore uses, and the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<String>>,
    /// Side of the square network input in pixels.
    pub image_size: usize,
    /// How channels are pooled over places; each gives a column a channel.
    pub pools: Vec<Pool>,
    /// Share of places that pool `top` averages.
    pub top_share: f64,
    /// Logistic regression: weight of the data against the penalty, scikit-learn's C; unset: 0.01.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub c: Option<f64>,
    /// Logistic regression: both labels count alike in sum, however many images there are; unset:
    /// yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balanced: Option<bool>,
    /// Trees: as a row's `forest`; unset: 300 trees of depth 3, learning rate 0.1, each from 80 %
    /// of the rows and 30 % of the columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trees: Option<ForestSettings>,
}

impl Default for FrozenSettings {
    fn default() -> Self {
        Self {
            head: Head::default(),
            backbone: BackboneKind::default(),
            layers: None,
            image_size: 256,
            pools: vec![Pool::Mean, Pool::Max],
            top_share: 0.05,
            c: None,
            balanced: None,
            trees: None,
        }
    }
}

/// What decides the features of an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Embedding {
    /// Which network.
    pub backbone: BackboneKind,
    /// Its taps.
    pub layers: Vec<String>,
    /// Side of the square network input in pixels.
    pub image_size: usize,
    /// How channels are pooled.
    pub pools: Vec<Pool>,
    /// Share of places that pool `top` averages.
    pub top_share: f64,
}

/// A checked head.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum HeadParams {
    Logistic(LogisticSettings),
    Trees(ForestParams),
}

/// Checked settings, made by [`FrozenSettings::checked`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "FrozenSettings", into = "FrozenSettings")]
pub struct FrozenParams {
    settings: FrozenSettings,
    embedding: Embedding,
    head: HeadParams,
}

fn expect(
    ok: bool,
    field: &'static str,
    value: &dyn ToString,
    expected: &str,
) -> Result<(), FrozenError> {
    if ok {
        return Ok(());
    }
    Err(FrozenError::Setting {
        field,
        value: value.to_string(),
        expected: expected.to_owned(),
    })
}

fn default_trees() -> ForestSettings {
    ForestSettings {
        rounds: Some(300),
        learning_rate: Some(0.1),
        max_depth: Some(3),
        subsample: Some(0.8),
        colsample_bytree: Some(0.3),
        ..Preset::Bt.into()
    }
}

impl FrozenSettings {
    /// Checks every value.
    ///
    /// # Errors
    /// [`FrozenError::Setting`] for the first that makes no sense, or that the head does not have;
    /// [`segad_nn::NnError::Tap`]; [`segad_forest::ForestError::Parameter`].
    pub fn checked(self) -> Result<FrozenParams, FrozenError> {
        let last = || self.backbone.taps().pop().map(|t| t.name);
        let layers = self.layers.clone().unwrap_or_else(|| {
            self.backbone
                .default_taps()
                .map(str::to_owned)
                .into_iter()
                .chain(last())
                .collect()
        });
        let text = format!("{layers:?}");
        expect(
            !layers.is_empty() && distinct(&layers),
            "layers",
            &text,
            "at least one, each once",
        )?;
        layers
            .iter()
            .try_for_each(|l| self.backbone.tap(l).map(|_| ()))?;
        let size = (32..=4096).contains(&self.image_size);
        expect(size, "image_size", &self.image_size, "32 to 4096 pixels")?;
        let text = format!("{:?}", self.pools);
        let pools = !self.pools.is_empty() && distinct(&self.pools);
        expect(
            pools,
            "pools",
            &text,
            "at least one of mean, max, top, each once",
        )?;
        let share = self.top_share > 0.0 && self.top_share <= 1.0;
        expect(
            share,
            "top_share",
            &self.top_share,
            "more than 0, at most 1",
        )?;
        let head = match self.head {
            Head::Logistic => {
                let text = self
                    .trees
                    .as_ref()
                    .map(|t| format!("{t:?}"))
                    .unwrap_or_default();
                expect(
                    self.trees.is_none(),
                    "trees",
                    &text,
                    "nothing: logistic regression has no trees",
                )?;
                let c = self.c.unwrap_or(0.01);
                expect((1e-9..=1e9).contains(&c), "c", &c, "1e-9 to 1e9")?;
                HeadParams::Logistic(LogisticSettings {
                    c,
                    balanced: self.balanced.unwrap_or(true),
                })
            }
            Head::Trees => {
                let none = "nothing: only logistic regression has it";
                expect(self.c.is_none(), "c", &self.c.unwrap_or_default(), none)?;
                let balanced = self.balanced.unwrap_or_default();
                expect(self.balanced.is_none(), "balanced", &balanced, none)?;
                HeadParams::Trees(self.trees.clone().unwrap_or_else(default_trees).checked()?)
            }
        };
        let embedding = Embedding {
            backbone: self.backbone,
            layers,
            image_size: self.image_size,
            pools: self.pools.clone(),
            top_share: self.top_share,
        };
        Ok(FrozenParams {
            settings: self,
            embedding,
            head,
        })
    }
}

fn distinct<T: PartialEq>(items: &[T]) -> bool {
    items
        .iter()
        .enumerate()
        .all(|(i, a)| !items[..i].contains(a))
}

impl FrozenParams {
    /// What decides the features of an image.
    pub fn embedding(&self) -> &Embedding {
        &self.embedding
    }

    /// Which network gives the features.
    pub fn backbone(&self) -> BackboneKind {
        self.embedding.backbone
    }

    pub(crate) fn head(&self) -> &HeadParams {
        &self.head
    }
}

impl TryFrom<FrozenSettings> for FrozenParams {
    type Error = FrozenError;

    fn try_from(settings: FrozenSettings) -> Result<Self, FrozenError> {
        settings.checked()
    }
}

impl From<FrozenParams> for FrozenSettings {
    fn from(params: FrozenParams) -> Self {
        params.settings
    }
}

impl CacheKey for Embedding {
    fn feed(&self, hasher: &mut KeyHasher) {
        let pools: Vec<&str> = self.pools.iter().map(|p| p.as_str()).collect();
        hasher
            .field("backbone", &self.backbone)
            .field("layers", &self.layers)
            .field("image_size", &self.image_size)
            .field("pools", &pools);
        if self.pools.contains(&Pool::Top) {
            hasher.field("top_share", &self.top_share);
        }
    }
}

impl CacheKey for FrozenParams {
    fn feed(&self, hasher: &mut KeyHasher) {
        hasher.field("embedding", &self.embedding);
        match &self.head {
            HeadParams::Logistic(LogisticSettings { c, balanced }) => hasher
                .field("head", "logistic")
                .field("c", c)
                .field("balanced", balanced),
            HeadParams::Trees(trees) => hasher.field("head", "trees").field("trees", trees),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_core::Key;

    fn key(settings: FrozenSettings) -> Key {
        KeyHasher::new("test", 1)
            .field("p", &settings.checked().unwrap())
            .finish()
    }

    #[test]
    fn same_meaning_same_key() {
        let d = FrozenSettings::default;
        let written = Some(["layer2", "layer3", "layer4"].map(str::to_owned).to_vec());
        assert_eq!(
            key(d()),
            key(FrozenSettings {
                layers: written,
                c: Some(0.01),
                top_share: 0.5,
                ..d()
            })
        );
        let others = [
            FrozenSettings {
                c: Some(1.0),
                ..d()
            },
            FrozenSettings {
                balanced: Some(false),
                ..d()
            },
            FrozenSettings {
                head: Head::Trees,
                ..d()
            },
            FrozenSettings {
                pools: vec![Pool::Mean],
                ..d()
            },
            FrozenSettings {
                image_size: 128,
                ..d()
            },
        ];
        assert!(others.into_iter().all(|s| key(s) != key(d())));
        let trees = |trees| {
            key(FrozenSettings {
                head: Head::Trees,
                trees,
                ..d()
            })
        };
        assert_eq!(trees(None), trees(Some(default_trees())));
        assert_ne!(trees(None), trees(Some(Preset::Bt.into())));
    }

    #[test]
    fn wrong_values_are_named() {
        let d = FrozenSettings::default;
        for (text, settings) in [
            (
                "layers = []",
                FrozenSettings {
                    layers: Some(vec![]),
                    ..d()
                },
            ),
            (
                "layer9",
                FrozenSettings {
                    layers: Some(vec!["layer9".into()]),
                    ..d()
                },
            ),
            (
                "image_size = 8",
                FrozenSettings {
                    image_size: 8,
                    ..d()
                },
            ),
            (
                "pools",
                FrozenSettings {
                    pools: vec![Pool::Max, Pool::Max],
                    ..d()
                },
            ),
            (
                "top_share = 0",
                FrozenSettings {
                    top_share: 0.0,
                    ..d()
                },
            ),
            (
                "c = 0",
                FrozenSettings {
                    c: Some(0.0),
                    ..d()
                },
            ),
            (
                "trees",
                FrozenSettings {
                    trees: Some(Preset::Rf.into()),
                    ..d()
                },
            ),
            (
                "balanced = true",
                FrozenSettings {
                    head: Head::Trees,
                    balanced: Some(true),
                    ..d()
                },
            ),
        ] {
            let e = settings.checked().unwrap_err().to_string();
            assert!(e.contains(text), "{e}");
        }
    }
}
