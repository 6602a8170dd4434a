use crate::{NnError, Preprocess, to_vec, torch_device};
use segad_core::{Device, Image, LabelMap};
use tch::{CModule, IValue, Kind, Tensor};

/// What a promptable module is asked about: a box and a point inside, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prompt {
    /// Left, top, right, bottom.
    pub bounds: [usize; 4],
    /// x and y.
    pub inside: [usize; 2],
}

/// A TorchScript module. It is a program: it does what whoever made it wants.
///
/// Every way in which a module can be another one than was expected is an error that says what it
/// gave: another number of arguments, no tensor, another shape, values that are not finite.
pub struct ScriptModule {
    module: CModule,
    device: tch::Device,
}

impl ScriptModule {
    /// A module from the content of its file.
    ///
    /// # Errors
    /// [`NnError::Script`] for bytes that are no TorchScript archive; [`NnError::NoDevice`].
    pub fn from_bytes(bytes: &[u8], device: Device) -> Result<Self, NnError> {
        let device = torch_device(device)?;
        let module = CModule::load_data_on_device(&mut &*bytes, device);
        let mut module = module
            .map_err(|e| NnError::Script(format!("no TorchScript archive: {}", first_line(&e))))?;
        module.f_set_eval()?;
        Ok(Self { module, device })
    }

    /// Segment logits, 1 × `classes` × h × w, f32, on the CPU, of one image, 1×3×H×W.
    ///
    /// # Errors
    /// [`NnError::Script`] if the module does not take one tensor or gives anything else.
    pub fn logits(&self, image: &Tensor, classes: usize) -> Result<Tensor, NnError> {
        let wanted = format!("logits [1, {classes}, h, w]");
        let IValue::Tensor(logits) = self.forward(&[image], &wanted)? else {
            return Err(NnError::Script(format!(
                "it gave no tensor; expected {wanted}"
            )));
        };
        let fits =
            matches!(logits.size()[..], [1, l, h, w] if l == classes as i64 && h > 0 && w > 0);
        plain(logits, fits, &wanted)
    }

    /// Masks of the things that prompts point at, by EfficientSAM's interface: `image` 1×3×H×W in
    /// 0…1, `points` 1×Q×P×2 (x, y in pixels), `labels` 1×Q×P (1 a point, 2 and 3 upper left and
    /// lower right corner of a box, −1 none). Gives logits, 1×Q×M×H×W, and the predicted overlap of
    /// each, 1×Q×M, f32, on the CPU.
    ///
    /// # Errors
    /// [`NnError::Script`] if the module does not take three tensors or gives anything else.
    pub fn masks(
        &self,
        image: &Tensor,
        points: &Tensor,
        labels: &Tensor,
    ) -> Result<(Tensor, Tensor), NnError> {
        let (_, _, h, w) = image.size4()?;
        let q = points.size().get(1).copied().unwrap_or(0);
        let wanted = format!("a pair of logits [1, {q}, M, {h}, {w}] and overlaps [1, {q}, M]");
        let given = self.forward(&[image, points, labels], &wanted)?;
        let pair = match given {
            IValue::Tuple(parts) => <[IValue; 2]>::try_from(parts).ok(),
            _ => None,
        };
        let Some([IValue::Tensor(logits), IValue::Tensor(overlaps)]) = pair else {
            return Err(NnError::Script(format!(
                "it gave no pair of tensors; expected {wanted}"
            )));
        };
        let count = match logits.size()[..] {
            [1, lq, m, lh, lw] if lq == q && m > 0 && (lh, lw) == (h, w) => Some(m),
            _ => None,
        };
        let fits = count.is_some_and(|m| overlaps.size() == [1, q, m]);
        Ok((
            plain(logits, count.is_some(), &wanted)?,
            plain(overlaps, fits, &wanted)?,
        ))
    }

    /// The segment of each place that a module of interface [`ScriptModule::logits`] tells apart,
    /// at the size of its logits; the first of equally likely ones.
    ///
    /// # Errors
    /// As [`ScriptModule::logits`].
    pub fn label_map(
        &self,
        image: &Image,
        input: &Preprocess,
        classes: u8,
    ) -> Result<LabelMap, NnError> {
        let x = input.batch(std::slice::from_ref(image), self.device)?;
        let logits = self.logits(&x, usize::from(classes))?;
        let (_, _, h, w) = logits.size4()?;
        let values = to_vec(&logits)?;
        let places = (h * w) as usize;
        let best = |i: usize| {
            let at = |l: u8| values[usize::from(l) * places + i];
            (1..classes).fold(0, |best, l| if at(l) > at(best) { l } else { best })
        };
        let labels = (0..places).map(best).collect();
        LabelMap::new(h as usize, w as usize, labels, classes)
            .map_err(|e| NnError::Script(e.to_string()))
    }

    /// The pixels of an image that a module of interface [`ScriptModule::masks`] takes for any of
    /// the prompted things: logits of at least 0 in the candidate with the largest predicted
    /// overlap, of all prompts together.
    ///
    /// # Errors
    /// As [`ScriptModule::masks`]; [`NnError::EmptyBatch`] without prompts.
    pub fn foreground(&self, image: &Image, prompts: &[Prompt]) -> Result<Vec<bool>, NnError> {
        if prompts.is_empty() {
            return Err(NnError::EmptyBatch);
        }
        let (height, width) = (image.height(), image.width());
        let x = Preprocess {
            height,
            width,
            mean: [0.0; 3],
            std: [1.0; 3],
        };
        let x = x.batch(std::slice::from_ref(image), self.device)?;
        let corners = |p: &Prompt| {
            let [left, top, right, bottom] = p.bounds;
            [p.inside, [left, top], [right, bottom]]
                .concat()
                .into_iter()
                .map(|v| v as f32)
        };
        let points: Vec<f32> = prompts.iter().flat_map(corners).collect();
        let q = prompts.len() as i64;
        let points = crate::from_slice(&points, &[1, q, 3, 2])?;
        let labels = crate::from_slice(&[1.0, 2.0, 3.0].repeat(prompts.len()), &[1, q, 3])?;
        let (logits, overlaps) = self.masks(&x, &points, &labels)?;
        let (logits, overlaps) = (to_vec(&logits)?, to_vec(&overlaps)?);
        let (candidates, pixels) = (overlaps.len() / prompts.len(), height * width);
        let mut mask = vec![false; pixels];
        for (of, masks) in overlaps
            .chunks_exact(candidates)
            .zip(logits.chunks_exact(candidates * pixels))
        {
            let best = (1..candidates).fold(0, |best, m| if of[m] > of[best] { m } else { best });
            let own = &masks[best * pixels..(best + 1) * pixels];
            mask.iter_mut()
                .zip(own)
                .for_each(|(m, &logit)| *m |= logit >= 0.0);
        }
        Ok(mask)
    }

    fn forward(&self, inputs: &[&Tensor], wanted: &str) -> Result<IValue, NnError> {
        let inputs = inputs
            .iter()
            .map(|t| Ok(IValue::Tensor(t.f_to_device(self.device)?)));
        let inputs = inputs.collect::<Result<Vec<_>, NnError>>()?;
        let n = inputs.len();
        tch::no_grad(|| self.module.forward_is(&inputs)).map_err(|e| {
            NnError::Script(format!(
                "called with {n} tensors for {wanted}, it failed: {}",
                reason(&e)
            ))
        })
    }
}

/// The tensor as f32 on the CPU, checked.
fn plain(tensor: Tensor, fits: bool, wanted: &str) -> Result<Tensor, NnError> {
    if !fits {
        return Err(NnError::Script(format!(
            "it gave a tensor {:?}; expected {wanted}",
            tensor.size()
        )));
    }
    let tensor = tensor
        .f_to_device(tch::Device::Cpu)?
        .f_to_kind(Kind::Float)?;
    let finite = tensor.f_isfinite()?.f_all()?;
    if finite.f_int64_value(&[])? == 0 {
        return Err(NnError::Script(format!(
            "it gave values that are not finite; expected {wanted}"
        )));
    }
    Ok(tensor)
}

fn first_line(error: &tch::TchError) -> String {
    error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// libtorch's account of an error inside a module is a traceback; the reason is its last line that
/// says anything.
fn reason(error: &tch::TchError) -> String {
    let text = error.to_string();
    let said = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with("frame #"));
    let told = said
        .clone()
        .find(|l| l.contains("Error: ") || l.starts_with("forward() "));
    told.or(said.clone().next()).unwrap_or_default().to_owned()
}
