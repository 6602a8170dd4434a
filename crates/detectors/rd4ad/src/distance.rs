//! 1 − cosine between the encoder's and the decoder's features: as the loss, and as maps.

use crate::params::{Combine, Loss};
use segad_nn::{MapOperator, NnError, Upsample};
use tch::{Kind, TchError, Tensor};

/// Shorter norms count as this, so that a feature of zeros is at distance 1 from everything.
const SMALLEST: f64 = 1e-8;
/// Standard deviation of the blur over the map, in pixels of the network input.
const SIGMA: f64 = 4.0;

/// 1 − a·b/(|a||b|) over the given dimensions, from three sums rather than normalised copies. f32.
fn cosine_distance(a: &Tensor, b: &Tensor, over: &[i64]) -> Result<Tensor, NnError> {
    let a = a.f_to_kind(Kind::Float)?;
    let b = b.f_to_kind(Kind::Float)?;
    let product = a.f_mul(&b)?.f_sum_dim_intlist(over, false, Kind::Float)?;
    let cosine = product.f_div(&norm(&a, over)?.f_mul(&norm(&b, over)?)?)?;
    Ok(cosine.f_neg()?.f_add_scalar(1.0)?)
}

fn norm(t: &Tensor, over: &[i64]) -> Result<Tensor, TchError> {
    // Clamped before the root, whose slope at zero is infinite.
    t.f_square()?
        .f_sum_dim_intlist(over, false, Kind::Float)?
        .f_clamp_min(SMALLEST * SMALLEST)?
        .f_sqrt()
}

/// The loss of a batch: the sum over the three features of the mean distance, of whole images or of
/// places.
pub(crate) fn loss(
    kind: Loss,
    encoder: &[Tensor; 3],
    decoder: &[Tensor; 3],
) -> Result<Tensor, NnError> {
    let over: &[i64] = match kind {
        Loss::Flattened => &[1, 2, 3],
        Loss::PerPixel => &[1],
    };
    let mut total = cosine_distance(&encoder[0], &decoder[0], over)?.f_mean(Kind::Float)?;
    for i in 1..3 {
        let mean = cosine_distance(&encoder[i], &decoder[i], over)?.f_mean(Kind::Float)?;
        total = total.f_add(&mean)?;
    }
    Ok(total)
}

/// From features to maps of `size`: distances at each place, enlarged (bilinear, corners aligned),
/// combined, blurred.
pub(crate) struct Scorer {
    combine: Combine,
    enlarge: [MapOperator; 3],
    /// The blur where it cannot be part of enlarging, because a product comes in between.
    blur: Option<MapOperator>,
}

impl Scorer {
    /// For features of these (height, width).
    pub(crate) fn new(
        combine: Combine,
        from: [(usize, usize); 3],
        size: (usize, usize),
        device: tch::Device,
    ) -> Result<Self, NnError> {
        let bilinear = Upsample::Bilinear {
            align_corners: true,
        };
        // A sum of blurred maps is a blurred sum, so there the blur costs nothing beyond enlarging.
        let (within, blur) = match combine {
            Combine::Add => (Some(SIGMA), None),
            Combine::Multiply => {
                let blur = MapOperator::new(size, size, Upsample::Nearest, Some(SIGMA), device)?;
                (None, Some(blur))
            }
        };
        let [a, b, c] = from.map(|from| MapOperator::new(from, size, bilinear, within, device));
        Ok(Self {
            combine,
            enlarge: [a?, b?, c?],
            blur,
        })
    }

    /// N×H×W.
    pub(crate) fn maps(
        &self,
        encoder: &[Tensor; 3],
        decoder: &[Tensor; 3],
    ) -> Result<Tensor, NnError> {
        let mut map = self.enlarged(0, encoder, decoder)?;
        for i in 1..3 {
            let part = self.enlarged(i, encoder, decoder)?;
            map = match self.combine {
                Combine::Add => map.f_add_(&part)?,
                Combine::Multiply => map.f_mul_(&part)?,
            };
        }
        match &self.blur {
            Some(blur) => blur.apply(&map),
            None => Ok(map),
        }
    }

    fn enlarged(
        &self,
        i: usize,
        encoder: &[Tensor; 3],
        decoder: &[Tensor; 3],
    ) -> Result<Tensor, NnError> {
        self.enlarge[i].apply(&cosine_distance(&encoder[i], &decoder[i], &[1])?)
    }
}

#[cfg(test)]
mod tests;
