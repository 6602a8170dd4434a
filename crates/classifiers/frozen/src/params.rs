use crate::{FrozenError, LogisticSettings};
use segad_core::{CacheKey, KeyHasher, feed_fields};
use segad_forest::{ForestParams, ForestSettings, Preset};
use segad_nn::BackboneKind;
use segad_nn::model::{Checked, ModelError, Settings, expect, expect_input_size};
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
/// use segad_nn::model::Settings;
///
/// let params = FrozenSettings { c: Some(0.1), ..Default::default() }.checked()?;
/// assert_eq!(params.derived().embedding.layers, ["layer2", "layer3", "layer4"]);
/// assert_eq!(params.derived().embedding.pools, [Pool::Mean, Pool::Max]);
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
    /// How channels are pooled over places; each gives one column per channel.
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

/// What is fitted on the features, with every choice made.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum HeadParams {
    Logistic(LogisticSettings),
    Trees(ForestParams),
}

/// What follows from checked settings.
#[derive(Clone, Debug, PartialEq)]
pub struct FrozenDerived {
    /// What decides the features of an image.
    pub embedding: Embedding,
    pub(crate) head: HeadParams,
}

/// Checked settings.
pub type FrozenParams = Checked<FrozenSettings>;

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

impl Settings for FrozenSettings {
    type Derived = FrozenDerived;
    type Error = FrozenError;

    fn check(&mut self) -> Result<FrozenDerived, FrozenError> {
        Ok(FrozenDerived {
            embedding: self.check_embedding()?,
            head: self.check_head()?,
        })
    }

    fn feed_key(&self, derived: &FrozenDerived, hasher: &mut KeyHasher) {
        hasher.field("embedding", &derived.embedding);
        match &derived.head {
            HeadParams::Logistic(LogisticSettings { c, balanced }) => hasher
                .field("head", "logistic")
                .field("c", c)
                .field("balanced", balanced),
            HeadParams::Trees(trees) => hasher.field("head", "trees").field("trees", trees),
        };
    }
}

impl FrozenSettings {
    fn check_embedding(&self) -> Result<Embedding, ModelError> {
        let kind = self.backbone;
        let layers = self.layers.clone().unwrap_or_else(|| {
            let [second, third] = kind.default_taps();
            [second, third, kind.last_tap()].map(str::to_owned).to_vec()
        });
        let text = format!("{layers:?}");
        let fits = !layers.is_empty() && distinct(&layers);
        expect(fits, "layers", text, "at least one, each once")?;
        for layer in &layers {
            kind.tap(layer)?;
        }
        expect_input_size(kind, self.image_size)?;
        let text = format!("{:?}", self.pools);
        // A pool named twice would give two columns of one name.
        let fits = !self.pools.is_empty() && distinct(&self.pools);
        let expected = "at least one of mean, max, top, each once";
        expect(fits, "pools", text, expected)?;
        let share = self.top_share;
        let fits = share > 0.0 && share <= 1.0;
        expect(fits, "top_share", share, "more than 0, at most 1")?;
        Ok(Embedding {
            backbone: kind,
            layers,
            image_size: self.image_size,
            pools: self.pools.clone(),
            top_share: share,
        })
    }

    fn check_head(&self) -> Result<HeadParams, FrozenError> {
        match self.head {
            Head::Logistic => {
                if let Some(trees) = &self.trees {
                    let expected = "nothing: logistic regression has no trees";
                    expect(false, "trees", format!("{trees:?}"), expected)?;
                }
                let c = self.c.unwrap_or(0.01);
                expect((1e-9..=1e9).contains(&c), "c", c, "1e-9 to 1e9")?;
                Ok(HeadParams::Logistic(LogisticSettings {
                    c,
                    balanced: self.balanced.unwrap_or(true),
                }))
            }
            Head::Trees => {
                let expected = "nothing: only logistic regression has it";
                if let Some(c) = self.c {
                    expect(false, "c", c, expected)?;
                }
                if let Some(balanced) = self.balanced {
                    expect(false, "balanced", balanced, expected)?;
                }
                let trees = self.trees.clone().unwrap_or_else(default_trees);
                Ok(HeadParams::Trees(trees.checked()?))
            }
        }
    }
}

fn distinct<T: PartialEq>(items: &[T]) -> bool {
    items
        .iter()
        .enumerate()
        .all(|(i, a)| !items[..i].contains(a))
}

impl CacheKey for Embedding {
    fn feed(&self, hasher: &mut KeyHasher) {
        let pools: Vec<&str> = self.pools.iter().map(|p| p.as_str()).collect();
        feed_fields!(hasher, self: backbone, layers, image_size);
        hasher.field("pools", &pools);
        // A setting without effect must not change a key.
        if self.pools.contains(&Pool::Top) {
            hasher.field("top_share", &self.top_share);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_core::Key;

    type Change = fn(&mut FrozenSettings);

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
        let wrong: [(&str, Change); 8] = [
            ("layers = []", |s| s.layers = Some(vec![])),
            ("layer9", |s| s.layers = Some(vec!["layer9".into()])),
            ("image_size = 8", |s| s.image_size = 8),
            ("pools", |s| s.pools = vec![Pool::Max, Pool::Max]),
            ("top_share = 0", |s| s.top_share = 0.0),
            ("c = 0", |s| s.c = Some(0.0)),
            ("trees", |s| s.trees = Some(Preset::Rf.into())),
            ("balanced = true", |s| {
                s.head = Head::Trees;
                s.balanced = Some(true);
            }),
        ];
        for (text, change) in wrong {
            let mut settings = FrozenSettings::default();
            change(&mut settings);
            let e = settings.checked().unwrap_err().to_string();
            assert!(e.contains(text), "{e}");
        }
    }
}
