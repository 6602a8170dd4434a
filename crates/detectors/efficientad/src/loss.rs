use crate::pdn::CHANNELS;
use crate::quantile::mean_above;
use segad_nn::NnError;
use tch::{Kind, Tensor};

/// The four terms of one training step, with gradients.
pub(crate) struct Losses {
    pub hard: Tensor,
    pub penalty: Option<Tensor>,
    pub autoencoder: Tensor,
    pub student_autoencoder: Tensor,
}

impl Losses {
    pub(crate) fn total(&self) -> Result<Tensor, NnError> {
        // Unweighted, as published.
        let mut sum = self
            .hard
            .f_add(&self.autoencoder)?
            .f_add(&self.student_autoencoder)?;
        if let Some(penalty) = &self.penalty {
            sum = sum.f_add(penalty)?;
        }
        Ok(sum)
    }
}

/// The student's first channels, which imitate the teacher.
pub(crate) fn teacher_half(student: &Tensor) -> Result<Tensor, NnError> {
    Ok(student.f_narrow(1, 0, CHANNELS)?.f_to_kind(Kind::Float)?)
}

/// The student's last channels, which imitate the autoencoder.
pub(crate) fn autoencoder_half(student: &Tensor) -> Result<Tensor, NnError> {
    Ok(student
        .f_narrow(1, CHANNELS, CHANNELS)?
        .f_to_kind(Kind::Float)?)
}

/// Mean of the squared differences above their `quantile`; `teacher` is normalised.
pub(crate) fn hard(teacher: &Tensor, student: &Tensor, quantile: f64) -> Result<Tensor, NnError> {
    mean_above(
        &teacher.f_sub(&teacher_half(student)?)?.f_square()?,
        quantile,
    )
}

/// Mean square of what imitates the teacher, on an image that the student should know nothing of.
pub(crate) fn penalty(student: &Tensor) -> Result<Tensor, NnError> {
    Ok(teacher_half(student)?.f_square()?.f_mean(Kind::Float)?)
}

/// Mean squared difference, with gradients to both sides.
pub(crate) fn mean_square(a: &Tensor, b: &Tensor) -> Result<Tensor, NnError> {
    let a = a.f_to_kind(Kind::Float)?;
    let b = b.f_to_kind(Kind::Float)?;
    Ok(a.f_sub(&b)?.f_square()?.f_mean(Kind::Float)?)
}
