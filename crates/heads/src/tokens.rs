use crate::error::HeadsError;

/// Tokens of one image after one block: a row of `channels` values for each place, row-major.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tokens<'a> {
    values: &'a [f32],
    channels: usize,
}

impl<'a> Tokens<'a> {
    /// Tokens of `values.len() / channels` places.
    ///
    /// # Errors
    /// [`HeadsError::Size`] unless there is at least one place and every place has all channels.
    pub fn new(values: &'a [f32], channels: usize) -> Result<Self, HeadsError> {
        // Checked once here: everything below divides by the number of channels.
        if channels == 0 || values.is_empty() || !values.len().is_multiple_of(channels) {
            let what = "tokens of an image";
            let expected = format!("a positive multiple of {channels} channels");
            return Err(HeadsError::Size {
                what,
                found: values.len(),
                expected,
            });
        }
        Ok(Self { values, channels })
    }

    /// Values of a token.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Number of places.
    pub fn places(&self) -> usize {
        self.values.len() / self.channels
    }

    /// The token of a place.
    ///
    /// # Panics
    /// If there is no such place.
    pub fn at(&self, place: usize) -> &'a [f32] {
        &self.values[place * self.channels..(place + 1) * self.channels]
    }

    /// The token of each place.
    pub fn rows(&self) -> impl Iterator<Item = &'a [f32]> + use<'a> {
        self.values.chunks_exact(self.channels)
    }

    /// Adds the mean of the tokens at these places to `sum`.
    pub(crate) fn add_mean(&self, places: &[usize], sum: &mut [f64]) {
        for &place in places {
            for (s, &v) in sum.iter_mut().zip(self.at(place)) {
                *s += f64::from(v) / places.len() as f64;
            }
        }
    }
}
