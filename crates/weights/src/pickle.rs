//! The part of Python's pickle language that files of tensors use, interpreted without executing
//! anything.

use std::collections::HashMap;
use std::rc::Rc;

use crate::dtype::Dtype;
use crate::error::WeightsError;

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

/// Interprets the pickle at the start of `bytes`; returns its value, its arena, and where it ends.
pub(crate) fn load(bytes: &[u8]) -> Result<(Value, Pickle, usize), WeightsError> {
    let mut machine = Machine {
        bytes,
        at: 0,
        start: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        copied: 0,
        arena: Pickle::default(),
    };
    let value = machine.run()?;
    Ok((value, machine.arena, machine.at))
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the present opcode began, for messages.
    start: usize,
    stack: Vec<Value>,
    /// Heights of the stack at each mark.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    /// Pairs copied into dictionaries so far.
    copied: usize,
    arena: Pickle,
}

type Step<T> = Result<T, WeightsError>;

impl<'a> Machine<'a> {
    fn run(&mut self) -> Step<Value> {
        loop {
            self.start = self.at;
            let opcode = self.take(1)?[0];
            match opcode {
                b'.' => return self.pop(),
                0x80 => {
                    let protocol = self.take(1)?[0];
                    if !(2..=5).contains(&protocol) {
                        return self.fail(format!("protocol {protocol}, expected 2 to 5"));
                    }
                }
                // FRAME: a length that only speeds reading up.
                0x95 => drop(self.take(8)?),
                b'(' => self.marks.push(self.stack.len()),
                b'0' => drop(self.pop()?),
                b'N' => self.stack.push(Value::None),
                0x88 => self.stack.push(Value::Bool(true)),
                0x89 => self.stack.push(Value::Bool(false)),
                b'K' => {
                    let n = self.take(1)?[0];
                    self.stack.push(Value::Int(n.into()));
                }
                b'M' => {
                    let n = self.number(2)?;
                    self.stack.push(Value::Int(n as i64));
                }
                b'J' => {
                    let n = self.number(4)? as u32 as i32;
                    self.stack.push(Value::Int(n.into()));
                }
                0x8a => self.long(1)?,
                0x8b => self.long(4)?,
                b'G' => {
                    self.take(8)?;
                    self.stack.push(Value::Float);
                }
                b'X' => self.text(4)?,
                0x8c => self.text(1)?,
                0x8d => self.text(8)?,
                // Byte strings of Python 2; names and keys are ASCII there.
                b'U' => self.text(1)?,
                b'T' => self.text(4)?,
                b')' => self.tuple(Vec::new()),
                0x85 => self.short_tuple(1)?,
                0x86 => self.short_tuple(2)?,
                0x87 => self.short_tuple(3)?,
                b't' => {
                    let items = self.pop_to_mark()?;
                    self.tuple(items);
                }
                b']' => self.list(Vec::new()),
                b'l' => {
                    let items = self.pop_to_mark()?;
                    self.list(items);
                }
                b'a' => {
                    let item = self.pop()?;
                    self.extend(vec![item])?;
                }
                b'e' => {
                    let items = self.pop_to_mark()?;
                    self.extend(items)?;
                }
                b'}' => self.dict(),
                b's' => {
                    let value = self.pop()?;
                    let key = self.pop()?;
                    self.set_items(vec![key, value])?;
                }
                b'u' => {
                    let items = self.pop_to_mark()?;
                    self.set_items(items)?;
                }
                b'c' => {
                    let module = self.line()?;
                    let name = self.line()?;
                    self.global(&module, &name)?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    match (&module, &name) {
                        (Value::Str(module), Value::Str(name)) => self.global(module, name)?,
                        _ => return self.fail("the name of a global is no text".to_owned()),
                    }
                }
                b'R' => self.reduce()?,
                b'b' => self.build()?,
                b'Q' => self.persistent()?,
                b'q' => {
                    let slot = self.take(1)?[0];
                    self.put(slot.into())?;
                }
                b'r' => {
                    let slot = self.number(4)? as u32;
                    self.put(slot)?;
                }
                0x94 => self.put(self.memo.len() as u32)?,
                b'h' => {
                    let slot = self.take(1)?[0];
                    self.get(slot.into())?;
                }
                b'j' => {
                    let slot = self.number(4)? as u32;
                    self.get(slot)?;
                }
                other => {
                    return self.fail(format!(
                        "opcode {other:#04x} is not used by files of weights"
                    ));
                }
            }
        }
    }

    fn fail<T>(&self, problem: String) -> Step<T> {
        Err(WeightsError::Pickle {
            at: self.start,
            problem,
        })
    }

    fn take(&mut self, n: u64) -> Step<&'a [u8]> {
        let left = &self.bytes[self.at..];
        match usize::try_from(n).ok().and_then(|n| left.get(..n)) {
            Some(taken) => {
                self.at += taken.len();
                Ok(taken)
            }
            None => Err(WeightsError::Truncated {
                what: "pickle",
                at: self.bytes.len(),
                needed: n - left.len() as u64,
            }),
        }
    }

    /// A little-endian unsigned number of at most eight bytes.
    fn number(&mut self, width: u64) -> Step<u64> {
        let bytes = self.take(width)?;
        Ok(bytes.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b)))
    }

    fn line(&mut self) -> Step<String> {
        let left = &self.bytes[self.at..];
        let Some(n) = left.iter().position(|&b| b == b'\n') else {
            return Err(WeightsError::Truncated {
                what: "pickle",
                at: self.bytes.len(),
                needed: 1,
            });
        };
        self.at += n + 1;
        Ok(String::from_utf8_lossy(&left[..n]).into_owned())
    }

    fn long(&mut self, width: u64) -> Step<()> {
        let n = self.number(width)?;
        let bytes = self.take(n)?;
        let value = if bytes.len() <= 8 {
            let sign = if bytes.last().is_some_and(|b| b & 0x80 != 0) {
                -1
            } else {
                0
            };
            Value::Int(bytes.iter().rev().fold(sign, |n, &b| n << 8 | i64::from(b)))
        } else {
            Value::BigInt(bytes.into())
        };
        self.stack.push(value);
        Ok(())
    }

    fn text(&mut self, width: u64) -> Step<()> {
        let n = self.number(width)?;
        let bytes = self.take(n)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => self.stack.push(Value::Str(text.into())),
            Err(_) => return self.fail("a text is not UTF-8".to_owned()),
        }
        Ok(())
    }

    fn pop(&mut self) -> Step<Value> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() > floor
            && let Some(value) = self.stack.pop()
        {
            return Ok(value);
        }
        self.fail("the stack is empty".to_owned())
    }

    fn pop_to_mark(&mut self) -> Step<Vec<Value>> {
        match self.marks.pop() {
            Some(mark) => Ok(self.stack.split_off(mark)),
            None => self.fail("no mark on the stack".to_owned()),
        }
    }

    fn tuple(&mut self, items: Vec<Value>) {
        self.arena.sequences.push(items);
        let at = self.arena.sequences.len() - 1;
        self.stack.push(Value::Tuple(at));
    }

    fn short_tuple(&mut self, n: usize) -> Step<()> {
        let mut items = Vec::with_capacity(n);
        for _ in 0..n {
            items.push(self.pop()?);
        }
        items.reverse();
        self.tuple(items);
        Ok(())
    }

    fn list(&mut self, items: Vec<Value>) {
        self.arena.sequences.push(items);
        let at = self.arena.sequences.len() - 1;
        self.stack.push(Value::List(at));
    }

    fn dict(&mut self) {
        self.arena.dicts.push(Vec::new());
        let at = self.arena.dicts.len() - 1;
        self.stack.push(Value::Dict(at));
    }

    fn extend(&mut self, items: Vec<Value>) -> Step<()> {
        let Some(Value::List(i)) = self.stack.last() else {
            return self.fail("items are appended to something that is no list".to_owned());
        };
        self.arena.sequences[*i].extend(items);
        Ok(())
    }

    fn set_items(&mut self, items: Vec<Value>) -> Step<()> {
        let Some(Value::Dict(i)) = self.stack.last() else {
            return self.fail("items are set in something that is no dictionary".to_owned());
        };
        let i = *i;
        if !items.len().is_multiple_of(2) {
            return self.fail("a key without a value".to_owned());
        }
        let mut items = items.into_iter();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            self.arena.dicts[i].push((key, value));
        }
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Step<()> {
        if let Some(i) = ALLOWED.iter().position(|&known| known == (module, name)) {
            self.stack.push(Value::Global(i));
            return Ok(());
        }
        let package = module.split('.').next().unwrap_or_default();
        if module.starts_with("torch.nn.modules") || ["torchvision", "timm"].contains(&package) {
            return Err(WeightsError::WholeModule(format!("{module}.{name}")));
        }
        Err(WeightsError::Global {
            module: module.to_owned(),
            name: name.to_owned(),
        })
    }

    /// REDUCE: calls a global. Each that may be called has its meaning here; nothing else happens.
    fn reduce(&mut self) -> Step<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let Value::Global(function) = function else {
            return self.fail("something is called that is no global".to_owned());
        };
        let Value::Tuple(arguments) = arguments else {
            return self.fail("a call's arguments are no tuple".to_owned());
        };
        let arguments = match self.arena.sequences.get(arguments) {
            Some(arguments) if arguments.len() <= 16 => arguments.clone(),
            _ => return self.fail("a call with more than 16 arguments".to_owned()),
        };
        match (ALLOWED[function].1, arguments.as_slice()) {
            ("OrderedDict", []) => self.dict(),
            // Python 2 pickles the entries as a list of pairs.
            ("OrderedDict", [pairs]) => {
                let mut flat = Vec::new();
                // Copied pairs must not outgrow the file, however often it copies them.
                self.copied += self.arena.items(pairs).map_or(0, <[Value]>::len);
                if self.copied > self.bytes.len() {
                    return self.fail("the same entries are copied again and again".to_owned());
                }
                for pair in self.arena.items(pairs).unwrap_or_default() {
                    match self.arena.items(pair) {
                        Some([key, value]) => flat.extend([key.clone(), value.clone()]),
                        _ => return self.fail("OrderedDict of something but pairs".to_owned()),
                    }
                }
                self.dict();
                self.set_items(flat)?;
            }
            ("Size", [sizes]) => self.stack.push(sizes.clone()),
            ("_rebuild_parameter", [Value::Tensor(view), ..]) => {
                self.stack.push(Value::Tensor(view.clone()));
            }
            (
                "_rebuild_tensor" | "_rebuild_tensor_v2",
                [Value::Storage(storage), offset, shape, stride, ..],
            ) => {
                let view = View {
                    storage: Storage::clone(storage),
                    offset: self.size(offset)?,
                    shape: self.sizes(shape)?,
                    stride: self.sizes(stride)?,
                };
                if view.shape.len() != view.stride.len() {
                    return self.fail("shape and stride differ in length".to_owned());
                }
                self.stack.push(Value::Tensor(Rc::new(view)));
            }
            (name, _) => return self.fail(format!("{name} is called with other arguments")),
        }
        Ok(())
    }

    /// BUILD: sets attributes. Only an OrderedDict's `_metadata` occurs, which no reader of weights
    /// needs.
    fn build(&mut self) -> Step<()> {
        self.pop()?;
        match self.stack.last() {
            Some(Value::Dict(_)) => Ok(()),
            _ => self.fail("attributes are set on something that is no dictionary".to_owned()),
        }
    }

    /// BINPERSID: a reference to a storage, ('storage', class, key, location, elements[, view]).
    fn persistent(&mut self) -> Step<()> {
        let id = self.pop()?;
        let storage = match self.arena.items(&id) {
            Some([Value::Str(kind), class, key, _location, elements, rest @ ..])
                if &**kind == "storage" =>
            {
                let dtype = match class {
                    Value::Global(i) => Dtype::of_storage(ALLOWED[*i].1),
                    _ => None,
                };
                let Some(dtype) = dtype else {
                    return self.fail("a storage of no known class".to_owned());
                };
                let key = match key {
                    Value::Str(key) => key.to_string(),
                    Value::Int(key) => key.to_string(),
                    _ => return self.fail("a storage's key is no text".to_owned()),
                };
                let (elements, offset) = match rest {
                    [] | [Value::None] => (self.size(elements)?, 0),
                    [view] => match self.arena.items(view) {
                        Some([_key, offset, size]) => (self.size(size)?, self.size(offset)?),
                        _ => return self.fail("a view of a storage is malformed".to_owned()),
                    },
                    _ => return self.fail("a reference to a storage is malformed".to_owned()),
                };
                Storage {
                    key,
                    dtype,
                    elements,
                    offset,
                }
            }
            Some([Value::Str(kind), ..]) if &**kind == "module" => {
                return Err(WeightsError::WholeModule(
                    "a class with its source".to_owned(),
                ));
            }
            _ => return self.fail("a reference to something that is no storage".to_owned()),
        };
        let storage = Rc::new(storage);
        self.arena.storages.push(storage.clone());
        self.stack.push(Value::Storage(storage));
        Ok(())
    }

    fn size(&self, value: &Value) -> Step<usize> {
        match value {
            Value::Int(n) if *n >= 0 => Ok(*n as usize),
            _ => self.fail("expected a size that is an integer of at least 0".to_owned()),
        }
    }

    fn sizes(&self, value: &Value) -> Step<Vec<usize>> {
        match self.arena.items(value) {
            Some(items) if items.len() <= 64 => items.iter().map(|v| self.size(v)).collect(),
            _ => self.fail("expected at most 64 sizes".to_owned()),
        }
    }

    fn put(&mut self, slot: u32) -> Step<()> {
        match self.stack.last() {
            Some(value) => {
                self.memo.insert(slot, value.clone());
                Ok(())
            }
            None => self.fail("the stack is empty".to_owned()),
        }
    }

    fn get(&mut self, slot: u32) -> Step<()> {
        match self.memo.get(&slot) {
            Some(value) => {
                self.stack.push(value.clone());
                Ok(())
            }
            None => self.fail(format!("memo {slot} is empty")),
        }
    }
}
