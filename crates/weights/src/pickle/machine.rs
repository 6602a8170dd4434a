//! The stack machine that runs a pickle. Opcodes have the names of Python's `pickletools`.

use std::collections::HashMap;

use super::{Pickle, Value};
use crate::error::WeightsError;

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

pub(super) struct Machine<'a> {
    pub bytes: &'a [u8],
    at: usize,
    /// Where the present opcode began, for messages.
    start: usize,
    pub stack: Vec<Value>,
    /// Heights of the stack at each mark.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    /// Pairs copied into dictionaries so far.
    pub copied: usize,
    pub arena: Pickle,
}

pub(super) type Step<T> = Result<T, WeightsError>;

impl<'a> Machine<'a> {
    fn run(&mut self) -> Step<Value> {
        loop {
            self.start = self.at;
            match self.byte()? {
                b'.' => return self.pop(),
                opcode => self.execute(opcode)?,
            }
        }
    }

    fn execute(&mut self, opcode: u8) -> Step<()> {
        match opcode {
            0x80 => self.check_protocol(),
            // FRAME: a length that only lets a reader fetch more at once.
            0x95 => self.take(8).map(drop),
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => self.pop().map(drop),
            b'N' | 0x88 | 0x89 | b'K' | b'M' | b'J' | b'G' => self.push_scalar(opcode),
            0x8a => self.push_long(1),
            0x8b => self.push_long(4),
            // U and T are byte strings of Python 2, in which names and keys are ASCII.
            0x8c | b'U' => self.push_text(1),
            b'X' | b'T' => self.push_text(4),
            0x8d => self.push_text(8),
            b')' | 0x85 | 0x86 | 0x87 | b't' => self.push_tuple_of(opcode),
            b']' | b'l' | b'a' | b'e' => self.change_list(opcode),
            b'}' | b's' | b'u' => self.change_dict(opcode),
            b'c' | 0x93 => self.push_global(opcode),
            b'R' => self.reduce(),
            b'b' => self.build(),
            b'Q' => self.persistent(),
            b'q' | b'r' | 0x94 => self.put(opcode),
            b'h' | b'j' => self.get(opcode),
            other => self.fail(format!(
                "opcode {other:#04x} is not used by files of weights"
            )),
        }
    }

    fn check_protocol(&mut self) -> Step<()> {
        let protocol = self.byte()?;
        if !(2..=5).contains(&protocol) {
            return self.fail(format!("protocol {protocol}, expected 2 to 5"));
        }
        Ok(())
    }

    fn push_scalar(&mut self, opcode: u8) -> Step<()> {
        let value = match opcode {
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'K' => Value::Int(self.byte()?.into()),
            b'M' => Value::Int(self.number(2)? as i64),
            b'J' => Value::Int((self.number(4)? as u32 as i32).into()),
            // No tensor depends on the value of a float, e.g. a learning rate in a checkpoint.
            b'G' => self.take(8).map(|_| Value::Float)?,
            _ => Value::None,
        };
        self.stack.push(value);
        Ok(())
    }

    pub(super) fn fail<T>(&self, problem: String) -> Step<T> {
        Err(WeightsError::Pickle {
            at: self.start,
            problem,
        })
    }

    fn byte(&mut self) -> Step<u8> {
        Ok(self.take(1)?[0])
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

    pub(super) fn line(&mut self) -> Step<String> {
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

    fn push_long(&mut self, width: u64) -> Step<()> {
        let n = self.number(width)?;
        let bytes = self.take(n)?;
        let value = if bytes.len() <= 8 {
            let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
            // Starting from all ones extends the sign to 64 bits.
            let sign = if negative { -1 } else { 0 };
            Value::Int(bytes.iter().rev().fold(sign, |n, &b| n << 8 | i64::from(b)))
        } else {
            Value::BigInt(bytes.into())
        };
        self.stack.push(value);
        Ok(())
    }

    fn push_text(&mut self, width: u64) -> Step<()> {
        let n = self.number(width)?;
        let bytes = self.take(n)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => self.stack.push(Value::Str(text.into())),
            Err(_) => return self.fail("a text is not UTF-8".to_owned()),
        }
        Ok(())
    }

    pub(super) fn pop(&mut self) -> Step<Value> {
        // What lies below the last mark belongs to a collection that is not closed yet.
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

    fn push_tuple_of(&mut self, opcode: u8) -> Step<()> {
        let items = match opcode {
            b')' => Vec::new(),
            b't' => self.pop_to_mark()?,
            _ => {
                let count = usize::from(opcode - 0x84);
                let mut items = Vec::with_capacity(count);
                for _ in 0..count {
                    items.push(self.pop()?);
                }
                items.reverse();
                items
            }
        };
        self.arena.sequences.push(items);
        let at = self.arena.sequences.len() - 1;
        self.stack.push(Value::Tuple(at));
        Ok(())
    }

    fn change_list(&mut self, opcode: u8) -> Step<()> {
        let items = match opcode {
            b']' => Vec::new(),
            b'a' => vec![self.pop()?],
            _ => self.pop_to_mark()?,
        };
        if matches!(opcode, b'a' | b'e') {
            let Some(Value::List(i)) = self.stack.last() else {
                return self.fail("items are appended to something that is not a list".to_owned());
            };
            self.arena.sequences[*i].extend(items);
        } else {
            self.arena.sequences.push(items);
            let at = self.arena.sequences.len() - 1;
            self.stack.push(Value::List(at));
        }
        Ok(())
    }

    fn change_dict(&mut self, opcode: u8) -> Step<()> {
        let items = match opcode {
            b'}' => {
                self.push_dict();
                return Ok(());
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                vec![key, value]
            }
            _ => self.pop_to_mark()?,
        };
        self.set_items(items)
    }

    pub(super) fn push_dict(&mut self) {
        self.arena.dicts.push(Vec::new());
        let at = self.arena.dicts.len() - 1;
        self.stack.push(Value::Dict(at));
    }

    pub(super) fn set_items(&mut self, items: Vec<Value>) -> Step<()> {
        let Some(Value::Dict(i)) = self.stack.last() else {
            return self.fail("items are set in something that is not a dictionary".to_owned());
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

    fn put(&mut self, opcode: u8) -> Step<()> {
        let slot = match opcode {
            b'q' => self.byte()?.into(),
            b'r' => self.number(4)? as u32,
            // MEMOIZE numbers the slots itself.
            _ => self.memo.len() as u32,
        };
        match self.stack.last() {
            Some(value) => {
                self.memo.insert(slot, value.clone());
                Ok(())
            }
            None => self.fail("the stack is empty".to_owned()),
        }
    }

    fn get(&mut self, opcode: u8) -> Step<()> {
        let slot = match opcode {
            b'h' => self.byte()?.into(),
            _ => self.number(4)? as u32,
        };
        match self.memo.get(&slot) {
            Some(value) => {
                self.stack.push(value.clone());
                Ok(())
            }
            None => self.fail(format!("memo {slot} is empty")),
        }
    }
}
