//! An ONNX graph that is being built.

use crate::wire::Message;

/// Version of the operators.
const OPSET: i64 = 18;
/// Version of the operators of `ai.onnx.ml`, to which ensembles of trees belong.
const ML_OPSET: i64 = 3;
const ML: &str = "ai.onnx.ml";
/// Version of the file format, the first that has [`OPSET`].
const IR_VERSION: i64 = 8;

const FLOAT: i64 = 1;
const INT64: i64 = 7;

/// A node's attribute.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Attribute<'a> {
    Float(f32),
    Int(i64),
    Text(&'a str),
    Floats(&'a [f32]),
    Ints(&'a [i64]),
    Texts(&'a [&'a str]),
}

/// Nodes, stored tensors, inputs and outputs.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    body: Message,
    named: usize,
}

impl Graph {
    fn name(&mut self) -> String {
        self.named += 1;
        format!("v{}", self.named)
    }

    /// Adds a node; returns the name of its output.
    pub(crate) fn node(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute<'_>)],
    ) -> String {
        self.nodes(op, inputs, attributes, 1).remove(0)
    }

    /// Adds a node with several outputs.
    pub(crate) fn nodes(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute<'_>)],
        outputs: usize,
    ) -> Vec<String> {
        let outputs: Vec<String> = (0..outputs).map(|_| self.name()).collect();
        let mut node = Message::default();
        for input in inputs {
            node.text(1, input);
        }
        for output in &outputs {
            node.text(2, output);
        }
        node.text(4, op);
        for (name, value) in attributes {
            node.message(5, &attribute(name, *value));
        }
        if op.starts_with("TreeEnsemble") {
            node.text(7, ML);
        }
        self.body.message(1, &node);
        outputs
    }

    /// Stores numbers; returns their name.
    pub(crate) fn floats(&mut self, shape: &[usize], values: &[f32]) -> String {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.store(shape, FLOAT, raw)
    }

    /// Stores a number.
    pub(crate) fn float(&mut self, value: f32) -> String {
        self.floats(&[], &[value])
    }

    /// Stores a list of whole numbers.
    pub(crate) fn ints(&mut self, values: &[i64]) -> String {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.store(&[values.len()], INT64, raw)
    }

    /// Stores a whole number.
    pub(crate) fn int(&mut self, value: i64) -> String {
        self.store(&[], INT64, value.to_le_bytes().to_vec())
    }

    fn store(&mut self, shape: &[usize], kind: i64, raw: Vec<u8>) -> String {
        let name = self.name();
        let shape: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
        let mut tensor = Message::default();
        tensor.numbers(1, &shape).number(2, kind);
        tensor.text(8, &name).bytes(9, &raw);
        self.body.message(5, &tensor);
        name
    }

    pub(crate) fn input(&mut self, name: &str, shape: &[i64]) {
        self.body.message(11, &described(name, Some(shape)));
    }

    /// Gives a value a name that users of the model see.
    pub(crate) fn output(&mut self, name: &str, value: &str) {
        let mut node = Message::default();
        node.text(1, value).text(2, name).text(4, "Identity");
        self.body.message(1, &node);
        self.body.message(12, &described(name, None));
    }

    /// The model file.
    pub(crate) fn model(mut self, name: &str) -> Vec<u8> {
        self.body.text(2, name);
        let mut model = Message::default();
        model
            .number(1, IR_VERSION)
            .text(2, "segad")
            .text(3, env!("CARGO_PKG_VERSION"))
            .message(7, &self.body);
        for (domain, version) in [("", OPSET), (ML, ML_OPSET)] {
            let mut opset = Message::default();
            opset.text(1, domain).number(2, version);
            model.message(8, &opset);
        }
        model.0
    }
}

fn attribute(name: &str, value: Attribute<'_>) -> Message {
    let mut message = Message::default();
    message.text(1, name);
    // The last field says which of the others holds the value.
    match value {
        Attribute::Float(v) => message.float(2, v).number(20, 1),
        Attribute::Int(v) => message.number(3, v).number(20, 2),
        Attribute::Text(v) => message.text(4, v).number(20, 3),
        Attribute::Floats(v) => message.floats(7, v).number(20, 6),
        Attribute::Ints(v) => message.numbers(8, v).number(20, 7),
        Attribute::Texts(v) => {
            for text in v {
                message.text(9, text);
            }
            message.number(20, 8)
        }
    };
    message
}

/// Name and type of an input or output; the shape of an output follows from the nodes.
fn described(name: &str, shape: Option<&[i64]>) -> Message {
    let mut tensor = Message::default();
    tensor.number(1, FLOAT);
    if let Some(shape) = shape {
        let mut dims = Message::default();
        for &size in shape {
            let mut dim = Message::default();
            dim.number(1, size);
            dims.message(1, &dim);
        }
        tensor.message(2, &dims);
    }
    let mut kind = Message::default();
    kind.message(1, &tensor);
    let mut value = Message::default();
    value.text(1, name).message(2, &kind);
    value
}
