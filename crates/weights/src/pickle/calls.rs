//! What stands in for calling Python: the few globals that files of weights call, and references to
//! storages.

use std::rc::Rc;

use super::machine::{Machine, Step};
use super::{ALLOWED, Storage, Value, View};
use crate::dtype::Dtype;
use crate::error::WeightsError;

/// Arguments of a call, at most; the real ones have seven.
const ARGUMENTS: usize = 16;
/// Dimensions of a tensor, at most.
const DIMENSIONS: usize = 64;

impl Machine<'_> {
    /// GLOBAL and STACK_GLOBAL: the name of a class or function follows, or lies on the stack.
    pub(super) fn push_global(&mut self, opcode: u8) -> Step<()> {
        if opcode == b'c' {
            let module = self.line()?;
            let name = self.line()?;
            return self.global(&module, &name);
        }
        let name = self.pop()?;
        let module = self.pop()?;
        match (&module, &name) {
            (Value::Str(module), Value::Str(name)) => self.global(module, name),
            _ => self.fail("the name of a global is not text".to_owned()),
        }
    }

    /// Pushes a global if it may be named.
    fn global(&mut self, module: &str, name: &str) -> Step<()> {
        if let Some(i) = ALLOWED.iter().position(|&known| known == (module, name)) {
            self.stack.push(Value::Global(i));
            return Ok(());
        }
        // A whole module was saved, not its state: a common mistake that deserves its own message.
        let package = module
            .split_once('.')
            .map_or(module, |(package, _)| package);
        if module.starts_with("torch.nn.modules") || ["torchvision", "timm"].contains(&package) {
            return Err(WeightsError::WholeModule(format!("{module}.{name}")));
        }
        Err(WeightsError::Global {
            module: module.to_owned(),
            name: name.to_owned(),
        })
    }

    /// REDUCE: calls a global. Each that may be called has its meaning here; nothing else happens.
    pub(super) fn reduce(&mut self) -> Step<()> {
        let arguments = self.pop()?;
        let function = self.pop()?;
        let Value::Global(function) = function else {
            return self.fail("something is called that is not a global".to_owned());
        };
        let Value::Tuple(arguments) = arguments else {
            return self.fail("a call's arguments are not a tuple".to_owned());
        };
        let arguments = match self.arena.sequences.get(arguments) {
            Some(arguments) if arguments.len() <= ARGUMENTS => arguments.clone(),
            _ => return self.fail(format!("a call with more than {ARGUMENTS} arguments")),
        };
        match (ALLOWED[function].1, arguments.as_slice()) {
            ("OrderedDict", []) => self.push_dict(),
            // Python 2 pickles the entries as a list of pairs.
            ("OrderedDict", [pairs]) => self.push_dict_of(pairs)?,
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

    fn push_dict_of(&mut self, pairs: &Value) -> Step<()> {
        let Some(pairs) = self.arena.items(pairs) else {
            return self.fail("OrderedDict of something other than a list of pairs".to_owned());
        };
        // A list in the memo can be named again in a few bytes: what is copied must not outgrow the
        // file, or a small file would ask for all memory.
        let copied = self.copied + pairs.len();
        if copied > self.bytes.len() {
            return self.fail("the same entries are copied again and again".to_owned());
        }
        let mut flat = Vec::with_capacity(2 * pairs.len());
        for pair in pairs {
            match self.arena.items(pair) {
                Some([key, value]) => flat.extend([key.clone(), value.clone()]),
                _ => return self.fail("OrderedDict of something other than pairs".to_owned()),
            }
        }
        self.copied = copied;
        self.push_dict();
        self.set_items(flat)
    }

    /// BUILD: sets attributes. Only an OrderedDict's `_metadata` occurs, which no reader of weights
    /// needs.
    pub(super) fn build(&mut self) -> Step<()> {
        self.pop()?;
        match self.stack.last() {
            Some(Value::Dict(_)) => Ok(()),
            _ => self.fail("attributes are set on something that is not a dictionary".to_owned()),
        }
    }

    /// BINPERSID: a reference to a storage, ('storage', class, key, location, elements[, view]).
    pub(super) fn persistent(&mut self) -> Step<()> {
        let id = self.pop()?;
        let storage = match self.arena.items(&id) {
            Some([Value::Str(kind), class, key, _location, elements, rest @ ..])
                if &**kind == "storage" =>
            {
                self.storage(class, key, elements, rest)?
            }
            Some([Value::Str(kind), ..]) if &**kind == "module" => {
                let what = "a class with its source".to_owned();
                return Err(WeightsError::WholeModule(what));
            }
            _ => return self.fail("a reference to something that is not a storage".to_owned()),
        };
        let storage = Rc::new(storage);
        self.arena.storages.push(storage.clone());
        self.stack.push(Value::Storage(storage));
        Ok(())
    }

    fn storage(
        &self,
        class: &Value,
        key: &Value,
        elements: &Value,
        rest: &[Value],
    ) -> Step<Storage> {
        let dtype = match class {
            Value::Global(i) => Dtype::of_storage(ALLOWED[*i].1),
            _ => None,
        };
        let Some(dtype) = dtype else {
            return self.fail("a storage of an unknown class".to_owned());
        };
        let key = match key {
            Value::Str(key) => key.to_string(),
            Value::Int(key) => key.to_string(),
            _ => return self.fail("a storage's key is not text".to_owned()),
        };
        // The legacy layout lets a storage be a part of another: (key, offset, size).
        let (elements, offset) = match rest {
            [] | [Value::None] => (self.size(elements)?, 0),
            [view] => match self.arena.items(view) {
                Some([_key, offset, size]) => (self.size(size)?, self.size(offset)?),
                _ => return self.fail("a view of a storage is malformed".to_owned()),
            },
            _ => return self.fail("a reference to a storage is malformed".to_owned()),
        };
        Ok(Storage {
            key,
            dtype,
            elements,
            offset,
        })
    }

    fn size(&self, value: &Value) -> Step<usize> {
        match value {
            Value::Int(n) if *n >= 0 => Ok(*n as usize),
            _ => self.fail("expected a size that is an integer of at least 0".to_owned()),
        }
    }

    fn sizes(&self, value: &Value) -> Step<Vec<usize>> {
        match self.arena.items(value) {
            Some(items) if items.len() <= DIMENSIONS => {
                items.iter().map(|v| self.size(v)).collect()
            }
            _ => self.fail(format!("expected at most {DIMENSIONS} sizes")),
        }
    }
}
