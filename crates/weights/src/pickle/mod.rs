//! The part of Python's pickle language that files of tensors use, interpreted without executing
//! anything.

mod calls;
mod machine;

use std::rc::Rc;

use crate::dtype::Dtype;

pub(crate) use machine::load;

/// Every global that a file may name; anything else is refused.
pub const ALLOWED: [(&str, &str); 15] = [
    ("collections", "OrderedDict"),
    ("torch", "Size"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch", "BFloat16Storage"),
    ("torch", "BoolStorage"),
    ("torch", "ByteStorage"),
    ("torch", "CharStorage"),
    ("torch", "DoubleStorage"),
    ("torch", "FloatStorage"),
    ("torch", "HalfStorage"),
    ("torch", "IntStorage"),
    ("torch", "LongStorage"),
    ("torch", "ShortStorage"),
];

/// A storage that the pickle refers to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Storage {
    /// Its name in the file.
    pub key: String,
    pub dtype: Dtype,
    /// Number of elements, as the pickle says.
    pub elements: usize,
    /// Where it begins in the stored one, in elements (legacy layout only: a storage may be a part
    /// of another).
    pub offset: usize,
}

/// A tensor: a strided view of a storage, in elements.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct View {
    pub storage: Storage,
    pub shape: Vec<usize>,
    pub stride: Vec<usize>,
    pub offset: usize,
}

/// A value. Compound values live in the arena ([`Pickle`]) and are named by index, so that sharing,
/// mutation and cycles cost nothing and no depth of nesting can exhaust the stack.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// An integer beyond 64 bits, as little-endian two's complement.
    BigInt(Rc<[u8]>),
    Float,
    Str(Rc<str>),
    Tuple(usize),
    List(usize),
    Dict(usize),
    Global(usize),
    Storage(Rc<Storage>),
    Tensor(Rc<View>),
}

/// One unpickled object with the arena of its compound values.
#[derive(Debug, Default)]
pub(crate) struct Pickle {
    sequences: Vec<Vec<Value>>,
    dicts: Vec<Vec<(Value, Value)>>,
    storages: Vec<Rc<Storage>>,
}

impl Pickle {
    /// Every storage that is referred to, in order, with repetitions.
    pub(crate) fn storages(&self) -> impl Iterator<Item = &Storage> {
        self.storages.iter().map(|s| &**s)
    }

    /// The items of a tuple or list.
    pub(crate) fn items(&self, value: &Value) -> Option<&[Value]> {
        match value {
            Value::Tuple(i) | Value::List(i) => self.sequences.get(*i).map(Vec::as_slice),
            _ => None,
        }
    }

    /// The entries of a dictionary, in order; a repeated key occurs twice.
    pub(crate) fn entries(&self, value: &Value) -> Option<&[(Value, Value)]> {
        match value {
            Value::Dict(i) => self.dicts.get(*i).map(Vec::as_slice),
            _ => None,
        }
    }
}
