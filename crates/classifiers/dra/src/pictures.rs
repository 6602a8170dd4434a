use crate::DraParams;
use crate::augment::cut_paste;
use crate::score::Role;
use rand::Rng;
use segad_core::{Image, Label, Seed};
use segad_nn::model::ModelError;
use segad_nn::train::{ResizedImages, turned, uniform};
use segad_nn::{NnError, Preprocess};
use tch::Tensor;

/// Draws training images.
pub(crate) struct Pictures<'a> {
    pub params: &'a DraParams,
    pub pixels: ResizedImages<'a>,
    /// Positions of the good images.
    pub good: Vec<usize>,
    pub preprocess: Preprocess,
    pub device: tch::Device,
}

impl Pictures<'_> {
    /// Training image `i` and what it is: in place of a good one, with probability ½, another good
    /// one, drawn at random, with a pseudo anomaly.
    pub(crate) fn sample(
        &mut self,
        i: usize,
        label: Label,
        seed: Seed,
    ) -> Result<(Image, Role), ModelError> {
        let mut rng = seed.rng();
        let (image, role) = match label {
            Label::Bad => (self.pixels.get(i)?, Role::Seen),
            // One bit decides between the image and a pseudo anomaly.
            Label::Good if rng.next_u32() & 1 == 0 => (self.pixels.get(i)?, Role::Good),
            Label::Good => {
                let other = self.good[uniform(&mut rng, 0.0, self.good.len() as f64) as usize];
                let image = cut_paste(&self.pixels.get(other)?, seed.derive("cut and paste"));
                let image = image.map_err(|e| NnError::Image {
                    index: 0,
                    source: e.into(),
                })?;
                (image, Role::Pseudo)
            }
        };
        Ok((self.turn(image, seed)?, role))
    }

    /// Reference images: as they are, or treated like training images where the official code is
    /// followed.
    pub(crate) fn references(
        &mut self,
        chosen: &[usize],
        seed: Seed,
    ) -> Result<Vec<Image>, ModelError> {
        let mut images = Vec::with_capacity(chosen.len());
        for (slot, &i) in chosen.iter().enumerate() {
            // By place, not by image: references may hold one image twice.
            let seed = seed.derive(&format!("reference {slot}"));
            images.push(if self.params.strict_official {
                self.sample(i, Label::Good, seed)?.0
            } else {
                let image = self.pixels.get(i)?;
                self.turn(image, seed)?
            });
        }
        Ok(images)
    }

    fn turn(&self, image: Image, seed: Seed) -> Result<Image, ModelError> {
        Ok(if self.params.rotate {
            turned(&image, seed.derive("turn"))?
        } else {
            image
        })
    }

    pub(crate) fn input(&self, images: &[Image]) -> Result<Tensor, NnError> {
        self.preprocess.batch(images, self.device)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::DraSettings;
    use segad_core::{BoxError, ImageId, ImageLoader, Sample, TrainLabelled, TrainSplit};
    use segad_nn::BackboneKind;
    use segad_nn::model::Settings;

    /// Image number i is flat grey of value i, but for a corner.
    pub(crate) struct Numbered;

    impl ImageLoader for Numbered {
        fn load(&self, id: &ImageId) -> Result<Image, BoxError> {
            let mut grey = vec![id.as_str().parse::<u8>()?; 64 * 64];
            grey[..64].fill(255);
            Ok(Image::from_grey(64, 64, &grey)?)
        }
    }

    /// Of 40 images, the last ten of them bad.
    fn forty() -> TrainSplit {
        let sample = |i: usize| {
            Sample::new(
                ImageId::new(i.to_string()),
                if i < 30 { Label::Good } else { Label::Bad },
            )
        };
        TrainSplit::new((0..40).map(sample).collect()).unwrap()
    }

    fn pictures<'a>(params: &'a DraParams, images: &'a TrainLabelled<'a>) -> Pictures<'a> {
        Pictures {
            params,
            pixels: ResizedImages::new(images, 64, u64::MAX),
            good: (0..30).collect(),
            preprocess: params.backbone.preprocess(64, 64),
            device: tch::Device::Cpu,
        }
    }

    pub(crate) fn params(settings: DraSettings) -> DraParams {
        DraSettings {
            backbone: BackboneKind::Miniature,
            image_size: 64,
            ..settings
        }
        .checked()
        .unwrap()
    }

    #[test]
    fn half_of_the_good_places_hold_pseudo_anomalies_of_any_good_image() {
        let params = params(DraSettings::default());
        let (split, loader) = (forty(), Numbered);
        let images = split.labelled(&loader);
        let mut pictures = pictures(&params, &images);
        let number = |image: &Image| usize::from(image.pixel(63, 63).unwrap()[0]);
        let (mut pseudo, mut sources) = (0, [0; 40]);
        for s in 0..2000 {
            let (image, role) = pictures.sample(7, Label::Good, Seed(s)).unwrap();
            match role {
                Role::Good => assert_eq!(number(&image), 7),
                Role::Pseudo => {
                    pseudo += 1;
                    // A patch may cover the corner that tells the number.
                    sources[number(&image).min(39)] += 1;
                }
                Role::Seen => panic!("a good image is no seen anomaly"),
            }
            let (image, role) = pictures.sample(35, Label::Bad, Seed(s)).unwrap();
            assert_eq!((number(&image), role), (35, Role::Seen));
        }
        // 1000 ± 4·√500; of 30 sources about 33 each.
        assert!((910..1090).contains(&pseudo), "{pseudo}");
        assert!(
            sources[1..30].iter().all(|&n| (10..65).contains(&n)),
            "{sources:?}"
        );
    }

    #[test]
    fn references_are_clean_unless_the_official_code_is_followed() {
        let untouched = |strict_official| {
            let params = params(DraSettings {
                strict_official,
                ..Default::default()
            });
            let (split, loader) = (forty(), Numbered);
            let images = split.labelled(&loader);
            let mut pictures = pictures(&params, &images);
            let clean: Vec<Image> = (0..5).map(|i| pictures.pixels.get(i).unwrap()).collect();
            (0..100u64)
                .flat_map(|s| pictures.references(&[0, 1, 2, 3, 4], Seed(s)).unwrap())
                .enumerate()
                .filter(|(i, image)| *image == clean[i % 5])
                .count()
        };
        assert_eq!(untouched(false), 500);
        assert!((200..300).contains(&untouched(true)));
    }
}
