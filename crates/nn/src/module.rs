use crate::error::first_line;
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
/// If it is not the module that was expected (another number of arguments, something other than a
/// tensor, another shape, values that are not finite), the error says what it gave.
pub struct ScriptModule {
    module: CModule,
    device: tch::Device,
}

impl ScriptModule {
    /// A module from the content of its file.
    ///
    /// # Errors
    /// [`NnError::Script`] for bytes that are not a TorchScript archive; [`NnError::NoDevice`].
    pub fn from_bytes(bytes: &[u8], device: Device) -> Result<Self, NnError> {
        let device = torch_device(device)?;
        let module = CModule::load_data_on_device(&mut &*bytes, device);
        let mut module = module.map_err(|e| {
            NnError::Script(format!("not a TorchScript archive: {}", first_line(&e)))
        })?;
        // A module saved in training mode would move its statistics with every image.
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
                "it did not give a tensor; expected {wanted}"
            )));
        };
        let fits =
            matches!(logits.size()[..], [1, l, h, w] if l == classes as i64 && h > 0 && w > 0);
        plain(logits, fits, &wanted)
    }

    /// Masks of the things that prompts point at, by EfficientSAM's interface: `image` 1×3×H×W in
    /// 0…1, `points` 1×Q×P×2 (x, y in pixels), `labels` 1×Q×P (1: a point, 2 and 3: upper left and
    /// lower right corner of a box, −1: none). Gives logits, 1×Q×M×H×W, and the predicted overlap
    /// of each, 1×Q×M, f32, on the CPU.
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
                "it did not give a pair of tensors; expected {wanted}"
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

    /// The segment of each place, by a module of interface [`ScriptModule::logits`],
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
        let mut labels = vec![0; places];
        for (i, label) in labels.iter_mut().enumerate() {
            for class in 1..classes {
                if values[usize::from(class) * places + i]
                    > values[usize::from(*label) * places + i]
                {
                    *label = class;
                }
            }
        }
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
        // EfficientSAM takes pixels in 0…1 and normalises them itself.
        let input = Preprocess::unit(image.height(), image.width());
        let x = input.batch(std::slice::from_ref(image), self.device)?;
        let mut points = Vec::with_capacity(6 * prompts.len());
        for prompt in prompts {
            let [left, top, right, bottom] = prompt.bounds;
            let corners = [prompt.inside, [left, top], [right, bottom]];
            points.extend(corners.as_flattened().iter().map(|&v| v as f32));
        }
        let count = prompts.len() as i64;
        let points = crate::from_slice(&points, &[1, count, 3, 2])?;
        let labels = crate::from_slice(&[1.0, 2.0, 3.0].repeat(prompts.len()), &[1, count, 3])?;
        let (logits, overlaps) = self.masks(&x, &points, &labels)?;
        let logits = to_vec(&logits)?;
        let overlaps = to_vec(&overlaps)?;
        let candidates = overlaps.len() / prompts.len();
        let pixels = image.height() * image.width();
        let mut mask = vec![false; pixels];
        let masks = logits.chunks_exact(candidates * pixels);
        for (overlaps, masks) in overlaps.chunks_exact(candidates).zip(masks) {
            let best = first_largest(overlaps);
            let own = &masks[best * pixels..(best + 1) * pixels];
            for (inside, &logit) in mask.iter_mut().zip(own) {
                *inside |= logit >= 0.0;
            }
        }
        Ok(mask)
    }

    fn forward(&self, inputs: &[&Tensor], wanted: &str) -> Result<IValue, NnError> {
        let mut values = Vec::with_capacity(inputs.len());
        for tensor in inputs {
            values.push(IValue::Tensor(tensor.f_to_device(self.device)?));
        }
        tch::no_grad(|| self.module.forward_is(&values)).map_err(|e| {
            NnError::Script(format!(
                "called with {} tensors for {wanted}, it failed: {}",
                values.len(),
                reason(&e)
            ))
        })
    }
}

/// The position of the largest value, the first of equal ones.
fn first_largest(values: &[f32]) -> usize {
    let mut best = 0;
    for (i, &value) in values.iter().enumerate() {
        if value > values[best] {
            best = i;
        }
    }
    best
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

/// libtorch's account of an error inside a module is a traceback with C++ frames; the reason is the
/// line that names an exception or a mismatch of arguments.
fn reason(error: &tch::TchError) -> String {
    let text = error.to_string();
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with("frame #"));
    let first = lines.clone().next();
    let named = lines.find(|l| l.contains("Error: ") || l.starts_with("forward() "));
    named.or(first).unwrap_or(&text).to_owned()
}
