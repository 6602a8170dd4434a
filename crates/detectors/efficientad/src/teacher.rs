use crate::{EfficientAdError, PdnSize};
use segad_nn::{NnError, Weights, channels_last};
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

/// Positions of the convolutions in the published `nn.Sequential`.
fn indices(size: PdnSize) -> Vec<String> {
    let list = size.teacher_parameters();
    list.iter()
        .step_by(2)
        .map(|p| p.name.trim_end_matches(".weight").to_owned())
        .collect()
}

/// Checks every name and shape of a teacher's weights and gives the tensors under the published
/// names (`0.weight`, …). anomalib's names (`conv1.weight`, …) are taken too.
///
/// # Errors
/// [`EfficientAdError::Teacher`] with all that is missing, unexpected or of another shape.
pub fn teacher_tensors(
    size: PdnSize,
    weights: &Weights,
) -> Result<BTreeMap<String, Tensor>, EfficientAdError> {
    let anomalib = weights.tensors().contains_key("conv1.weight");
    let mut list = size.teacher_parameters();
    let published: Vec<String> = list.iter().map(|p| p.name.clone()).collect();
    if anomalib {
        for (i, index) in indices(size).into_iter().enumerate() {
            for (p, name) in list.iter_mut().zip(&published) {
                if let Some(part) = name
                    .strip_prefix(&index)
                    .filter(|rest| rest.starts_with('.'))
                {
                    p.name = format!("conv{}{part}", i + 1);
                }
            }
        }
    }
    let bad = |source| EfficientAdError::Teacher { size, source };
    weights
        .check_against(&format!("efficientad teacher {size}"), &list, &[])
        .map_err(bad)?;
    let named = published.into_iter().zip(&list);
    Ok(named
        .filter_map(|(name, p)| Some((name, weights.tensors().get(&p.name)?.shallow_clone())))
        .collect())
}

/// Parameters of a network that is not trained here, from tensors by name.
pub(crate) fn frozen<'a>(
    tensors: &'a BTreeMap<String, Tensor>,
    prefix: &'a str,
    device: tch::Device,
) -> impl FnMut(&str, &[i64]) -> Result<Tensor, NnError> + 'a {
    move |name, shape| {
        let name = format!("{prefix}{name}");
        let missing = || NnError::WeightNames {
            network: "efficientad".into(),
            missing: vec![name.clone()],
            unexpected: vec![],
        };
        let tensor = tensors.get(&name).ok_or_else(missing)?;
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
