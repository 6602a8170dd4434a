use crate::ForestError;
use segad_core::{CacheKey, KeyHasher};
use serde::{Deserialize, Serialize};

/// The three forests of the paper, as starting points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Boosted random forest, the paper's own head: 10 rounds of 200 trees, learning rate 0.3.
    #[default]
    Brf,
    /// Random forest: 1 round of 2000 trees, learning rate 1.
    Rf,
    /// Boosted trees: 2000 rounds of 1 tree, learning rate 0.3, every tree sees all columns.
    Bt,
}

macro_rules! parameters {
    ($($(#[$doc:meta])* $name:ident: $t:ty = $default:expr;)*) => {
        /// Settings as written in a file, not checked yet. What is not set comes from the preset.
        ///
        /// ```
        /// use segad_forest::{ForestSettings, Preset};
        /// let params = ForestSettings { max_depth: Some(4), ..Preset::Rf.into() }.checked()?;
        /// assert_eq!((params.rounds(), params.trees_per_round(), params.max_depth()), (1, 2000, 4));
        /// # Ok::<(), segad_forest::ForestError>(())
        /// ```
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct ForestSettings {
            /// Where unset values come from.
            pub preset: Preset,
            $($(#[$doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $name: Option<$t>,)*
            /// Weight of bad rows against good ones; unset: number of good ÷ number of bad training
            /// rows.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub scale_pos_weight: Option<f64>,
        }

        /// Checked settings, made by [`ForestSettings::checked`]. Two that mean the same give the
        /// same key, whichever preset they came from.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(try_from = "ForestSettings")]
        pub struct ForestParams {
            $($name: $t,)*
            scale_pos_weight: Option<f64>,
        }

        impl ForestSettings {
            fn resolved(self) -> ForestParams {
                let preset = self.preset;
                ForestParams {
                    $($name: self.$name.unwrap_or_else(|| ($default)(preset)),)*
                    scale_pos_weight: self.scale_pos_weight,
                }
            }
        }

        impl ForestParams {
            $($(#[$doc])* pub fn $name(&self) -> $t {
                self.$name
            })*

            /// Weight of bad rows; `None`: number of good ÷ number of bad training rows.
            pub fn scale_pos_weight(&self) -> Option<f64> {
                self.scale_pos_weight
            }
        }

        impl CacheKey for ForestParams {
            fn feed(&self, hasher: &mut KeyHasher) {
                $(hasher.field(stringify!($name), &self.$name);)*
                hasher.field("scale_pos_weight", &self.scale_pos_weight);
            }
        }
    };
}

parameters! {
    /// Boosting rounds (`n_estimators`).
    rounds: u32 = |p| match p { Preset::Brf => 10, Preset::Rf => 1, Preset::Bt => 2000 };
    /// Trees fitted side by side in a round (`num_parallel_tree`).
    trees_per_round: u32 = |p| match p { Preset::Brf => 200, Preset::Rf => 2000, Preset::Bt => 1 };
    /// Shrinkage of each round.
    learning_rate: f64 = |p| match p { Preset::Rf => 1.0, Preset::Brf | Preset::Bt => 0.3 };
    /// Splits from root to leaf, at most.
    max_depth: u32 = |_| 5;
    /// Share of rows that a tree sees.
    subsample: f64 = |_| 0.6;
    /// Share of columns that a tree sees.
    colsample_bytree: f64 = |p| match p { Preset::Bt => 1.0, Preset::Brf | Preset::Rf => 0.6 };
    /// Share of the tree's columns that a split sees.
    colsample_bynode: f64 = |_| 0.6;
    /// L1 penalty on leaf values.
    reg_alpha: f64 = |_| 1.0;
    /// L2 penalty on leaf values.
    reg_lambda: f64 = |_| 1.0;
    /// Least sum of second derivatives in a leaf.
    min_child_weight: f64 = |_| 1.0;
    /// Least gain of a split.
    gamma: f64 = |_| 0.0;
    /// Bins of a column's histogram, at most.
    max_bin: u32 = |_| 256;
}

impl From<Preset> for ForestSettings {
    fn from(preset: Preset) -> Self {
        Self {
            preset,
            ..Self::default()
        }
    }
}

impl ForestSettings {
    /// Fills in the preset's values and checks all.
    ///
    /// # Errors
    /// [`ForestError::Parameter`], naming the first setting out of its range.
    pub fn checked(self) -> Result<ForestParams, ForestError> {
        let params = self.resolved();
        let p = &params;
        let share = (1e-6..=1.0, "a share from 1e-6 to 1");
        let weight = (0.0..=1e9, "0 to 1e9");
        let scale = (1e-9..=1e9, "1e-9 to 1e9");
        let count = (1.0..=1e5, "1 to 100000");
        for (name, value, (range, expected)) in [
            ("rounds", p.rounds.into(), count.clone()),
            ("trees_per_round", p.trees_per_round.into(), count),
            ("max_depth", p.max_depth.into(), (1.0..=16.0, "1 to 16")),
            ("max_bin", p.max_bin.into(), (2.0..=65_536.0, "2 to 65536")),
            ("subsample", p.subsample, share.clone()),
            ("colsample_bytree", p.colsample_bytree, share.clone()),
            ("colsample_bynode", p.colsample_bynode, share),
            ("reg_alpha", p.reg_alpha, weight.clone()),
            ("reg_lambda", p.reg_lambda, weight.clone()),
            ("min_child_weight", p.min_child_weight, weight.clone()),
            ("gamma", p.gamma, weight),
            ("learning_rate", p.learning_rate, scale.clone()),
            // Unset means a ratio of two counts above 0, which is always in the range.
            ("scale_pos_weight", p.scale_pos_weight.unwrap_or(1.0), scale),
        ] {
            if !range.contains(&value) {
                return Err(ForestError::Parameter {
                    name,
                    value: value.to_string(),
                    expected,
                });
            }
        }
        Ok(params)
    }
}

impl TryFrom<ForestSettings> for ForestParams {
    type Error = ForestError;

    fn try_from(settings: ForestSettings) -> Result<Self, ForestError> {
        settings.checked()
    }
}

impl ForestParams {
    /// The preset's own values.
    pub fn preset(preset: Preset) -> Self {
        ForestSettings::from(preset).resolved()
    }

    /// Number of trees in the fitted forest.
    pub fn trees(&self) -> usize {
        self.rounds as usize * self.trees_per_round as usize
    }

    /// XGBoost's parameters. The tree method, the base score and the treatment of NaN are left to
    /// their defaults, as the scikit-learn wrapper leaves them: histograms, estimated, missing.
    pub(crate) fn to_xgboost(&self) -> Vec<(&'static str, String)> {
        vec![
            ("objective", "binary:logitraw".into()),
            ("num_parallel_tree", self.trees_per_round.to_string()),
            ("learning_rate", self.learning_rate.to_string()),
            ("max_depth", self.max_depth.to_string()),
            ("subsample", self.subsample.to_string()),
            ("colsample_bytree", self.colsample_bytree.to_string()),
            ("colsample_bynode", self.colsample_bynode.to_string()),
            ("reg_alpha", self.reg_alpha.to_string()),
            ("reg_lambda", self.reg_lambda.to_string()),
            ("min_child_weight", self.min_child_weight.to_string()),
            ("gamma", self.gamma.to_string()),
            ("max_bin", self.max_bin.to_string()),
        ]
    }
}

#[cfg(test)]
mod tests;
