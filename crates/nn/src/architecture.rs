//! Networks as data: the same description lists parameters, checks weights, folds and runs.

/// How a convolution pads its input with zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Padding {
    /// As many on each side.
    Fixed(i64),
    /// TensorFlow's SAME: output ⌈n/stride⌉; if the zeros do not divide evenly, one more goes to
    /// the bottom and to the right.
    Same,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    None,
    Relu,
    Relu6,
}

/// A convolution without bias, batch normalisation, activation.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    pub conv: String,
    pub norm: String,
    pub input: i64,
    pub output: i64,
    pub kernel: i64,
    pub stride: i64,
    pub groups: i64,
    pub padding: Padding,
    pub activation: Activation,
}

#[derive(Clone, Debug)]
pub(crate) enum Shortcut {
    None,
    Identity,
    Projection(Unit),
}

/// `activation(main(x) + shortcut(x))`.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub main: Vec<Unit>,
    pub shortcut: Shortcut,
    pub activation: Activation,
}

#[derive(Clone, Debug)]
pub(crate) enum Layer {
    Unit(Unit),
    /// 3×3, stride 2, padding 1.
    MaxPool,
    Block(Block),
}

/// A part of a network whose output can be tapped.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    pub tap: String,
    pub channels: i64,
    /// Input pixels per output pixel, along one axis, from the image on.
    pub stride: i64,
    pub layers: Vec<Layer>,
}

#[derive(Clone, Debug)]
pub(crate) struct Architecture {
    pub stages: Vec<Stage>,
    /// Added to the variance in every batch normalisation.
    pub epsilon: f64,
    /// What follows the stages: names that a weight file may hold and that no tap needs.
    pub head: Vec<Parameter>,
}

/// One tensor of a network's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name in the state dictionary.
    pub name: String,
    /// Its shape.
    pub shape: Vec<i64>,
    /// True for a weight or bias, false for a running statistic.
    pub trainable: bool,
}

impl Parameter {
    pub(crate) fn new(name: String, shape: &[i64], trainable: bool) -> Self {
        Self {
            name,
            shape: shape.to_vec(),
            trainable,
        }
    }

    /// Number of values.
    pub fn numel(&self) -> i64 {
        self.shape.iter().product()
    }
}

/// The four tensors of a batch normalisation over `channels`, without its batch counter.
pub(crate) fn norm_parameters(name: &str, channels: i64) -> [Parameter; 4] {
    [
        ("weight", true),
        ("bias", true),
        ("running_mean", false),
        ("running_var", false),
    ]
    .map(|(part, trainable)| Parameter::new(format!("{name}.{part}"), &[channels], trainable))
}

impl Unit {
    pub(crate) fn weight_shape(&self) -> [i64; 4] {
        [
            self.output,
            self.input / self.groups,
            self.kernel,
            self.kernel,
        ]
    }

    pub(crate) fn parameters(&self) -> Vec<Parameter> {
        let mut list = vec![Parameter::new(
            format!("{}.weight", self.conv),
            &self.weight_shape(),
            true,
        )];
        list.extend(norm_parameters(&self.norm, self.output));
        list
    }
}

impl Layer {
    pub(crate) fn units(&self) -> Vec<&Unit> {
        match self {
            Self::Unit(unit) => vec![unit],
            Self::MaxPool => vec![],
            Self::Block(block) => {
                let mut units: Vec<&Unit> = block.main.iter().collect();
                if let Shortcut::Projection(unit) = &block.shortcut {
                    units.push(unit);
                }
                units
            }
        }
    }
}

impl Stage {
    pub(crate) fn parameters(&self) -> Vec<Parameter> {
        self.layers
            .iter()
            .flat_map(|l| l.units())
            .flat_map(Unit::parameters)
            .collect()
    }
}
