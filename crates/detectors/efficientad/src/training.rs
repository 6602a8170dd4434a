use crate::EfficientAdError;
use crate::autoencoder::Autoencoder;
use crate::layer::variables;
use crate::loss::{Losses, autoencoder_half, hard, mean_square, penalty};
use crate::pdn::{CHANNELS, Pdn, PdnSize};
use segad_core::Seed;
use segad_nn::NnError;
use segad_nn::train::Loss;
use tch::Tensor;
use tch::nn::VarStore;

/// The two networks that are trained.
pub(crate) struct Pupils {
    pub student: Pdn,
    pub autoencoder: Autoencoder,
}

/// What one step learns from, each a batch of one.
pub(crate) struct Lesson<'a> {
    pub image: &'a Tensor,
    /// The teacher's output for it, normalised.
    pub teacher: &'a Tensor,
    /// Another image for the autoencoder, and the teacher's output for that.
    pub other: Option<(&'a Tensor, &'a Tensor)>,
    /// An image that the student should know nothing of.
    pub penalty: Option<&'a Tensor>,
}

impl Pupils {
    /// With variables of `store` called `student.…` and `autoencoder.…`.
    pub(crate) fn new(
        store: &VarStore,
        size: PdnSize,
        image_size: usize,
        padded: bool,
    ) -> Result<Self, EfficientAdError> {
        let root = store.root();
        let student = Pdn::new(
            size,
            2 * CHANNELS,
            padded,
            &mut variables(root.sub("student")),
        )?;
        let mut source = variables(root.sub("autoencoder"));
        Ok(Self {
            student,
            autoencoder: Autoencoder::new(image_size, padded, &mut source)?,
        })
    }

    /// The terms of the loss. All images go through the student together: it normalises nothing
    /// over a batch, so that each comes out as if alone.
    pub(crate) fn losses(
        &self,
        lesson: &Lesson<'_>,
        quantile: f64,
        seed: Option<Seed>,
    ) -> Result<Losses, NnError> {
        let mut images = vec![lesson.image];
        images.extend(lesson.other.map(|o| o.0));
        images.extend(lesson.penalty);
        // Not channels-last, with which a step took a quarter longer on a processor.
        let outputs = self
            .student
            .forward(&Tensor::f_cat(&images, 0)?.f_contiguous()?)?;
        let (image, teacher) = lesson.other.unwrap_or((lesson.image, lesson.teacher));
        let reconstruction = self.autoencoder.forward(&image.f_contiguous()?, seed)?;
        // Without another image the autoencoder has the student's own.
        let imitation = outputs.f_narrow(0, i64::from(lesson.other.is_some()), 1)?;
        let last = images.len() as i64 - 1;
        Ok(Losses {
            hard: hard(lesson.teacher, &outputs.f_narrow(0, 0, 1)?, quantile)?,
            penalty: match lesson.penalty {
                Some(_) => Some(penalty(&outputs.f_narrow(0, last, 1)?)?),
                None => None,
            },
            autoencoder: mean_square(teacher, &reconstruction)?,
            student_autoencoder: mean_square(&reconstruction, &autoencoder_half(&imitation)?)?,
        })
    }
}

impl Losses {
    /// For the training loop: the sum, and the terms for the curve.
    pub(crate) fn into_loss(self) -> Result<Loss, NnError> {
        let total = self.total()?;
        let mut parts = vec![
            ("hard", self.hard.f_detach()?),
            ("autoencoder", self.autoencoder.f_detach()?),
            ("student-autoencoder", self.student_autoencoder.f_detach()?),
        ];
        if let Some(penalty) = self.penalty {
            parts.push(("penalty", penalty.f_detach()?));
        }
        Ok(Loss { total, parts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::teacher_half;
    use segad_nn::golden;
    use tch::Kind;

    fn pupils() -> (VarStore, Pupils) {
        let store = VarStore::new(tch::Device::Cpu);
        let pupils = Pupils::new(&store, PdnSize::Small, 128, true).unwrap();
        golden::fill(&store, "").unwrap();
        (store, pupils)
    }

    fn gradients(store: &VarStore, loss: &Tensor) -> Vec<(String, Tensor)> {
        let mut list: Vec<(String, Tensor)> = store.variables().into_iter().collect();
        list.sort_by(|a, b| a.0.cmp(&b.0));
        let inputs: Vec<&Tensor> = list.iter().map(|v| &v.1).collect();
        let g = Tensor::run_backward(&[loss], &inputs, false, false);
        list.iter().map(|v| v.0.clone()).zip(g).collect()
    }

    fn close(name: &str, a: &Tensor, b: &Tensor, tolerance: f64) {
        let scale = b.abs().max().double_value(&[]);
        let difference = (a - b).abs().max().double_value(&[]);
        assert!(
            difference <= tolerance * scale,
            "{name}: {difference} of {scale}"
        );
    }

    fn image(name: &str) -> Tensor {
        golden::input(name, &[1, 3, 128, 128]).unwrap()
    }

    fn output(name: &str) -> Tensor {
        golden::input(name, &[1, CHANNELS, 32, 32]).unwrap()
    }

    /// As published: the student sees each image by itself, and the autoencoder's image once more.
    fn separate(p: &Pupils, lesson: &Lesson<'_>) -> Tensor {
        let (image, teacher) = lesson.other.unwrap_or((lesson.image, lesson.teacher));
        let st = p.student.forward(lesson.image).unwrap();
        let d = (lesson.teacher - teacher_half(&st).unwrap()).square();
        let q = d
            .detach()
            .f_quantile_scalar(0.999, None, false, "linear")
            .unwrap();
        let hard = d.masked_select(&d.ge_tensor(&q)).mean(Kind::Float);
        let ae = p.autoencoder.forward(image, None).unwrap();
        let again = p.student.forward(image).unwrap();
        let l_ae = (teacher - &ae).square().mean(Kind::Float);
        let l_stae = (&ae - again.narrow(1, CHANNELS, CHANNELS))
            .square()
            .mean(Kind::Float);
        let mut total = hard + l_ae + l_stae;
        if let Some(x) = lesson.penalty {
            let s = p.student.forward(x).unwrap();
            total += s.narrow(1, 0, CHANNELS).square().mean(Kind::Float);
        }
        total
    }

    #[test]
    fn one_pass_equals_separate_passes() {
        let (store, pupils) = pupils();
        let (a, b, c, t, u) = (image("a"), image("b"), image("c"), output("t"), output("u"));
        let full = Lesson {
            image: &a,
            teacher: &t,
            other: Some((&b, &u)),
            penalty: Some(&c),
        };
        let plain = Lesson {
            image: &a,
            teacher: &t,
            other: None,
            penalty: None,
        };
        for lesson in [full, plain] {
            let one = pupils
                .losses(&lesson, 0.999, None)
                .unwrap()
                .total()
                .unwrap();
            let many = separate(&pupils, &lesson);
            close("loss", &one, &many, 1e-6);
            let (one, many) = (gradients(&store, &one), gradients(&store, &many));
            assert_eq!(one.len(), 8 + 28);
            for ((name, x), (_, y)) in one.iter().zip(&many) {
                close(name, x, y, 2e-5);
            }
        }
    }

    #[test]
    fn the_autoencoder_learns_from_the_student_too() {
        let (store, pupils) = pupils();
        let (a, t) = (image("a"), output("t"));
        let lesson = Lesson {
            image: &a,
            teacher: &t,
            other: None,
            penalty: None,
        };
        let losses = pupils.losses(&lesson, 0.999, None).unwrap();
        for (name, g) in gradients(&store, &losses.student_autoencoder) {
            let size = g.abs().max().double_value(&[]);
            assert!(size > 0.0, "{name}");
        }
    }
}
