use crate::{EfficientAdError, PdnSize};
use segad_nn::{NnError, Weights, channels_last};
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

/// Checks every name and shape of a teacher's weights and returns the tensors under the published
/// names (`0.weight`, …). anomalib's names (`conv1.weight`, …) are accepted too.
///
/// # Errors
/// [`EfficientAdError::Teacher`] with all that is missing, unexpected or of another shape.
pub fn teacher_tensors(
    size: PdnSize,
    weights: &Weights,
) -> Result<BTreeMap<String, Tensor>, EfficientAdError> {
    let published = size.teacher_parameters();
    let mut list = published.clone();
    if weights.tensors().contains_key("conv1.weight") {
        // Weight and bias of a convolution follow each other; anomalib counts convolutions where
        // the published file counts all layers.
        for (i, parameter) in list.iter_mut().enumerate() {
            let part = if i % 2 == 0 { "weight" } else { "bias" };
            parameter.name = format!("conv{}.{part}", i / 2 + 1);
        }
    }
    weights
        .check_against(&format!("efficientad teacher {size}"), &list, &[])
        .map_err(|source| EfficientAdError::Teacher { size, source })?;
    let mut tensors = BTreeMap::new();
    for (named, parameter) in published.into_iter().zip(&list) {
        if let Some(tensor) = weights.tensors().get(&parameter.name) {
            tensors.insert(named.name, tensor.shallow_clone());
        }
    }
    Ok(tensors)
}

/// Parameters of a network that is not trained here, from tensors by name.
pub(crate) fn frozen<'a>(
    tensors: &'a BTreeMap<String, Tensor>,
    prefix: &'a str,
    device: tch::Device,
) -> impl FnMut(&str, &[i64]) -> Result<Tensor, NnError> + 'a {
    move |name, shape| {
        let name = format!("{prefix}{name}");
        let tensor = tensors.get(&name).ok_or_else(|| NnError::WeightNames {
            network: "efficientad".into(),
            missing: vec![name.clone()],
            unexpected: vec![],
        })?;
        if tensor.size() != shape {
            return Err(NnError::WeightShape {
                network: "efficientad".into(),
                name,
                expected: shape.to_vec(),
                actual: tensor.size(),
            });
        }
        let tensor = tensor.f_to_kind(Kind::Float)?.f_to_device(device)?;
        if shape.len() == 4 {
            channels_last(&tensor)
        } else {
            Ok(tensor)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_nn::{golden, write_tensors};

    fn weights(rename: impl Fn(&str) -> Option<String>) -> Weights {
        let list: Vec<(String, Tensor)> = PdnSize::Small
            .teacher_parameters()
            .iter()
            .filter_map(|p| {
                Some((
                    rename(&p.name)?,
                    golden::parameter(&p.name, &p.shape).unwrap(),
                ))
            })
            .collect();
        Weights::from_safetensors(&write_tensors(list).unwrap()).unwrap()
    }

    #[test]
    fn both_namings_are_read() {
        let published = teacher_tensors(PdnSize::Small, &weights(|n| Some(n.to_owned()))).unwrap();
        assert_eq!(
            published.keys().cloned().collect::<Vec<_>>()[..2],
            ["0.bias", "0.weight"]
        );
        let anomalib = weights(|n| {
            let (index, part) = n.split_once('.')?;
            let i = ["0", "3", "6", "8"].iter().position(|k| *k == index)? + 1;
            Some(format!("conv{i}.{part}"))
        });
        let other = teacher_tensors(PdnSize::Small, &anomalib).unwrap();
        assert_eq!(published.len(), 8);
        for (name, tensor) in &published {
            assert_eq!(*tensor, other[name], "{name}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let missing = weights(|n| (n != "6.bias").then(|| n.to_owned()));
        let e = teacher_tensors(PdnSize::Small, &missing)
            .unwrap_err()
            .to_string();
        assert!(
            e.contains("6.bias") && e.contains("segad fit efficientad-teacher"),
            "{e}"
        );
        let e = teacher_tensors(PdnSize::Medium, &weights(|n| Some(n.to_owned())))
            .unwrap_err()
            .to_string();
        assert!(e.contains("12.weight"), "{e}");
        let small = Weights::from_safetensors(
            &write_tensors([("0.weight", &golden::input("x", &[2, 2]).unwrap())]).unwrap(),
        );
        assert!(teacher_tensors(PdnSize::Small, &small.unwrap()).is_err());
    }
}
