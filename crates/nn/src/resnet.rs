//! ResNet v1.5 (the stride is in the 3×3 convolution) with torchvision's names.

use crate::architecture::{
    Activation, Architecture, Block, Layer, Padding, Parameter, Shortcut, Stage, Unit,
};

fn unit(conv: String, norm: String, sizes: [i64; 4], activation: Activation) -> Unit {
    let [input, output, kernel, stride] = sizes;
    let padding = Padding::Fixed((kernel - 1) / 2);
    Unit {
        conv,
        norm,
        input,
        output,
        kernel,
        stride,
        groups: 1,
        padding,
        activation,
    }
}

fn stem(width: i64) -> Stage {
    let conv = unit(
        "conv1".into(),
        "bn1".into(),
        [3, width, 7, 2],
        Activation::Relu,
    );
    Stage {
        tap: "stem".into(),
        channels: width,
        stride: 4,
        layers: vec![Layer::Unit(conv), Layer::MaxPool],
    }
}

/// Which convolutions a block has: (kernel, output channels) of each; the first 3×3 carries the
/// stride.
fn block(name: &str, input: i64, convs: &[(i64, i64)], stride: i64) -> Block {
    let mut main = Vec::new();
    let mut channels = input;
    // v1.5: the stride waits for the first 3×3 convolution.
    let mut pending = stride;
    for (i, &(kernel, output)) in convs.iter().enumerate() {
        let step = if kernel == 3 {
            std::mem::replace(&mut pending, 1)
        } else {
            1
        };
        // The last one's comes after the sum with the shortcut.
        let activation = if i + 1 == convs.len() {
            Activation::None
        } else {
            Activation::Relu
        };
        main.push(unit(
            format!("{name}.conv{}", i + 1),
            format!("{name}.bn{}", i + 1),
            [channels, output, kernel, step],
            activation,
        ));
        channels = output;
    }
    let shortcut = if stride == 1 && input == channels {
        Shortcut::Identity
    } else {
        Shortcut::Projection(unit(
            format!("{name}.downsample.0"),
            format!("{name}.downsample.1"),
            [input, channels, 1, stride],
            Activation::None,
        ))
    };
    Block {
        main,
        shortcut,
        activation: Activation::Relu,
    }
}

/// `convs(w)` lists a block's convolutions for layer 1…4, where w = `width`, 2·`width`, …; `depths`
/// says how many blocks each layer has.
fn resnet(width: i64, depths: [usize; 4], convs: impl Fn(i64) -> Vec<(i64, i64)>) -> Architecture {
    let mut stages = vec![stem(width)];
    let mut channels = width;
    for (i, depth) in depths.into_iter().enumerate() {
        let convs = convs(width << i);
        let mut layers = Vec::new();
        for b in 0..depth {
            let stride = if b == 0 && i > 0 { 2 } else { 1 };
            layers.push(Layer::Block(block(
                &format!("layer{}.{b}", i + 1),
                channels,
                &convs,
                stride,
            )));
            channels = convs.last().map_or(channels, |c| c.1);
        }
        stages.push(Stage {
            tap: format!("layer{}", i + 1),
            channels,
            stride: 4 << i,
            layers,
        });
    }
    let head = vec![
        Parameter::new("fc.weight".into(), &[1000, channels], true),
        Parameter::new("fc.bias".into(), &[1000], true),
    ];
    Architecture {
        stages,
        epsilon: 1e-5,
        head,
    }
}

/// WideResNet-50-2: bottlenecks whose 3×3 is twice as wide as ResNet-50's.
pub(crate) fn wide_resnet50_2() -> Architecture {
    resnet(64, [3, 4, 6, 3], |w| {
        vec![(1, 2 * w), (3, 2 * w), (1, 4 * w)]
    })
}

/// ResNet-18: two 3×3 convolutions per block.
pub(crate) fn resnet18() -> Architecture {
    resnet(64, [2, 2, 2, 2], |w| vec![(3, w), (3, w)])
}

/// ResNet-18 with an eighth of the channels and one block per layer.
pub(crate) fn miniature() -> Architecture {
    resnet(8, [1, 1, 1, 1], |w| vec![(3, w), (3, w)])
}
