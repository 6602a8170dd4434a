//! Parts of a score that are fitted on patch tokens and labels of whole images.

use crate::error::{ProductError, Result};
use crate::nearest::{Bank, Distances, crossfit, kept_of};
use crate::tokens::ImageTokens;
use crate::units::below;
use rayon::prelude::*;
use segad_core::{FitContext, Label, Seed};
use segad_heads::{
    Bag, Filter, FilterTraining, HeadsError, Instances, InstancesLimits, Moments, Ridge, Whitening,
    count_of,
};
use serde::{Deserialize, Serialize};

/// Places of a good image that the background of the filter is made of, of 256.
const FILTER_PLACES: usize = 32;
/// Places of a good image that the whitening is made of, of 256.
const WHITENING_PLACES: usize = 64;

/// A part of a score that is made of patch tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenPart {
    /// How far the farthest places are from all good tokens. Needs no bad image.
    Nearest,
    /// A matched filter for what the bad images' most deviating places share.
    Filter,
    /// Ridge regression on how much each channel varies within the image.
    Spread,
    /// Multiple-instance logistic regression on whitened tokens.
    Instances,
}

impl TokenPart {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Nearest, Self::Filter, Self::Spread, Self::Instances];

    /// Its name in tables and reasons.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nearest => "nearest",
            Self::Filter => "filter",
            Self::Spread => "spread",
            Self::Instances => "instances",
        }
    }

    /// Whether it is made of distances to good tokens.
    pub(crate) fn needs_distances(self) -> bool {
        matches!(self, Self::Nearest | Self::Instances)
    }

    /// Whether it says where.
    pub fn has_map(self) -> bool {
        self != Self::Spread
    }
}

/// The fitted parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TokenParts {
    pub filter: Filter,
    pub spread: Ridge,
    pub instances: Instances,
}

/// What a part says of an image: its score, and one value a place if it has a map.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Said {
    pub score: f64,
    pub map: Vec<f64>,
}

impl TokenParts {
    /// What a part says of an image.
    pub(crate) fn say(
        &self,
        part: TokenPart,
        tokens: &ImageTokens,
        distances: &Distances,
    ) -> std::result::Result<Said, HeadsError> {
        Ok(match part {
            TokenPart::Nearest => distances.said(),
            TokenPart::Filter => {
                let map = self.filter.map(tokens.first())?;
                let score = Filter::score(&map);
                Said { score, map }
            }
            TokenPart::Spread => Said {
                score: self.spread.score(&tokens.spread())?,
                map: Vec::new(),
            },
            TokenPart::Instances => {
                let map = self.instances.map(tokens.first(), &distances.first)?;
                let score = self.instances.score(&map);
                Said { score, map }
            }
        })
    }
}

/// All images, ready to fit parts on some of them.
pub(crate) struct TokenProblem<'a> {
    tokens: &'a [ImageTokens],
    labels: &'a [Label],
    folds: &'a [usize],
    k: usize,
    /// By banks that lack the image's own fold.
    distances: Vec<Distances>,
    spreads: Vec<Vec<f64>>,
    /// Of the good images of each fold: the filter's and the whitening's.
    moments: Vec<[Moments; 2]>,
    pub bank: Bank,
}

/// What fits without one fold share, whichever images else are left out.
struct Shared {
    background: Moments,
    whitening: Whitening,
    /// Of the images outside the fold.
    bags: Vec<Option<Bag>>,
}

impl<'a> TokenProblem<'a> {
    pub(crate) fn new(
        tokens: &'a [ImageTokens],
        labels: &'a [Label],
        folds: &'a [usize],
        seed: Seed,
        ctx: &FitContext,
    ) -> Result<Self> {
        let places = tokens.first().map_or(0, |t| t.first().places());
        let orders: Vec<Vec<usize>> = (0..tokens.len())
            .map(|i| shuffled(places, seed.derive("token places").derive(&i.to_string())))
            .collect();
        let good = labels.iter().filter(|l| !l.is_bad()).count();
        let kept = count_of(kept_of(good), places);
        let banked: Vec<Vec<usize>> = orders.iter().map(|o| o[..kept].to_vec()).collect();
        let is_good = |i: usize| !labels[i].is_bad();
        let (bank, distances) = crossfit(tokens, &banked, folds, is_good, ctx)?;
        let k = folds.iter().max().map_or(0, |last| last + 1);
        let counts = [FILTER_PLACES, WHITENING_PLACES].map(|n| count_of(n, places));
        let moments = (0..k).into_par_iter().map(|fold| {
            let channels = tokens[0].first().channels();
            let mut moments = [Moments::new(channels), Moments::new(channels)];
            for i in (0..tokens.len()).filter(|&i| folds[i] == fold && is_good(i)) {
                for (moments, count) in moments.iter_mut().zip(counts) {
                    for &place in &orders[i][..count] {
                        moments.push(tokens[i].first().at(place))?;
                    }
                }
            }
            Ok(moments)
        });
        let moments = moments.collect::<std::result::Result<Vec<_>, HeadsError>>()?;
        Ok(Self {
            tokens,
            labels,
            folds,
            k,
            distances,
            spreads: tokens.par_iter().map(ImageTokens::spread).collect(),
            moments,
            bank,
        })
    }

    /// Number of places of an image.
    pub(crate) fn places(&self) -> usize {
        self.tokens.first().map_or(0, |t| t.first().places())
    }

    /// Channels of each layer.
    pub(crate) fn channels(&self) -> Vec<usize> {
        self.tokens
            .first()
            .map_or_else(Vec::new, ImageTokens::channels)
    }

    /// What the nearest good tokens say of each image.
    pub(crate) fn nearest(&self) -> Vec<Said> {
        self.distances.iter().map(Distances::said).collect()
    }

    fn shared(&self, left_out: Option<usize>) -> Result<Shared> {
        let channels = self.tokens[0].first().channels();
        let mut sums = [Moments::new(channels), Moments::new(channels)];
        for (fold, moments) in self.moments.iter().enumerate() {
            if Some(fold) != left_out {
                for (sum, moments) in sums.iter_mut().zip(moments) {
                    sum.add(moments)?;
                }
            }
        }
        let [background, whitened] = sums;
        let inside = |i: usize| Some(self.folds[i]) != left_out;
        let good = (0..self.tokens.len()).filter(|&i| inside(i) && !self.labels[i].is_bad());
        let tops: Vec<f64> = good.map(|i| self.distances[i].top()).collect();
        let whitening = Whitening::new(&whitened, &tops)?;
        let bags = (0..self.tokens.len()).into_par_iter().map(|i| {
            let bag = || whitening.bag(self.tokens[i].first(), &self.distances[i].first);
            inside(i).then(bag).transpose()
        });
        let bags = bags.collect::<std::result::Result<Vec<_>, HeadsError>>()?;
        Ok(Shared {
            background,
            whitening,
            bags,
        })
    }

    fn fit(&self, shared: &Shared, rows: &[usize]) -> Result<TokenParts> {
        let mut training = FilterTraining::new(self.tokens[0].first().channels());
        for &i in rows {
            let bad = self.labels[i].is_bad();
            training.push(self.tokens[i].first(), &self.distances[i].first, bad)?;
        }
        let good = rows.iter().filter(|&&i| !self.labels[i].is_bad());
        let good = good.map(|&i| self.tokens[i].first());
        let filter = Filter::fit(&shared.background, &training, good)?;
        let labels: Vec<Label> = rows.iter().map(|&i| self.labels[i]).collect();
        let spreads: Vec<&[f64]> = rows.iter().map(|&i| &self.spreads[i][..]).collect();
        let spread = Ridge::fit(&spreads, &labels, &self.tokens[0].channels())?;
        let bags = rows.iter().map(|&i| shared.bags[i].as_ref());
        let bags: Vec<&Bag> = bags
            .collect::<Option<_>>()
            .expect("only images outside the fold are fitted on");
        let limits = InstancesLimits::default();
        let instances = Instances::fit(&shared.whitening, &bags, &labels, limits)?;
        Ok(TokenParts {
            filter,
            spread,
            instances,
        })
    }

    /// The parts fitted on all images.
    pub(crate) fn fit_all(&self) -> Result<TokenParts> {
        let rows: Vec<usize> = (0..self.tokens.len()).collect();
        self.fit(&self.shared(None)?, &rows)
    }

    /// What each part says of each image, fitted without the image's fold; for each of `variants`,
    /// which names further images that are left out. The last index is the image's.
    pub(crate) fn out_of_fold(
        &self,
        parts: &[TokenPart],
        variants: &[&(dyn Fn(usize) -> bool + Sync)],
        ctx: &FitContext,
    ) -> Result<Vec<Vec<Vec<Said>>>> {
        let images = self.tokens.len();
        let mut all = vec![vec![vec![Said::default(); images]; parts.len()]; variants.len()];
        for fold in 0..self.k {
            if ctx.cancel.is_cancelled() {
                return Err(ProductError::Cancelled);
            }
            let shared = self.shared(Some(fold))?;
            let own: Vec<usize> = (0..images).filter(|&i| self.folds[i] == fold).collect();
            let said = variants.par_iter().map(|left_out| {
                let outside = (0..images).filter(|&i| self.folds[i] != fold && !left_out(i));
                let fitted = self.fit(&shared, &outside.collect::<Vec<_>>())?;
                let mut said = Vec::with_capacity(parts.len());
                for &part in parts {
                    let of = |&i: &usize| fitted.say(part, &self.tokens[i], &self.distances[i]);
                    said.push(
                        own.iter()
                            .map(of)
                            .collect::<std::result::Result<Vec<_>, _>>()?,
                    );
                }
                Ok(said)
            });
            for (all, said) in all.iter_mut().zip(said.collect::<Result<Vec<_>>>()?) {
                for (all, said) in all.iter_mut().zip(said) {
                    own.iter().zip(said).for_each(|(&i, s)| all[i] = s);
                }
            }
        }
        Ok(all)
    }
}

/// The numbers below `count` in random order.
fn shuffled(count: usize, seed: Seed) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut rng = seed.rng();
    for i in (1..count).rev() {
        order.swap(i, below(&mut rng, i + 1));
    }
    order
}
