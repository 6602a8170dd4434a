//! Each operation of libtorch that networks of this workspace record, as ONNX.

mod arithmetic;
mod networks;
mod shapes;

use crate::error::{OnnxError, Result, unsupported};
use crate::graph::Graph;
use crate::script::{self, Expression};
use segad_weights::{Dtype, Tensor};
use std::collections::HashMap;

/// What an expression stands for.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Tensor(Ranked),
    Number(f64),
    Bool(bool),
    None,
    List(Vec<Value>),
}

/// A tensor of the graph by its name, and how many dimensions it has.
#[derive(Clone, Debug)]
pub(crate) struct Ranked {
    pub name: String,
    pub rank: usize,
}

impl Ranked {
    pub(crate) fn new(name: String, rank: usize) -> Self {
        Self { name, rank }
    }

    /// A dimension, which may be counted from the end, as a number from 0.
    pub(crate) fn dimension(&self, dim: i64) -> usize {
        let rank = self.rank as i64;
        usize::try_from(if dim < 0 { dim + rank } else { dim }).unwrap_or(0)
    }
}

/// A recording on its way into a graph.
pub(crate) struct Recording<'a> {
    graph: &'a mut Graph,
    constants: &'a [Tensor],
    stored: HashMap<usize, String>,
    input_rank: usize,
}

impl<'a> Recording<'a> {
    pub(crate) fn new(graph: &'a mut Graph, constants: &'a [Tensor], input_rank: usize) -> Self {
        Self {
            graph,
            constants,
            stored: HashMap::new(),
            input_rank,
        }
    }

    /// Adds everything; returns the name of the result.
    pub(crate) fn run(&mut self, code: &str) -> Result<String> {
        let (argument, statements) = script::read(code)?;
        let input = Ranked::new("input".to_owned(), self.input_rank);
        let mut known = HashMap::from([(argument, Value::Tensor(input))]);
        for statement in &statements {
            let value = self.value(&statement.value, &known)?;
            match (&statement.targets[..], value) {
                ([], Value::Tensor(result)) => return Ok(result.name),
                ([target], value) => drop(known.insert(target, value)),
                (targets, Value::List(values)) if targets.len() == values.len() => {
                    known.extend(targets.iter().copied().zip(values));
                }
                (targets, _) => {
                    return unsupported(format!("an assignment to {}", targets.join(", ")));
                }
            }
        }
        Err(OnnxError::Statement {
            statement: "return".to_owned(),
            problem: "there is none".to_owned(),
        })
    }

    fn value(&mut self, of: &Expression<'_>, known: &HashMap<&str, Value>) -> Result<Value> {
        Ok(match of {
            Expression::Name(name) => match known.get(name) {
                Some(value) => value.clone(),
                None => return unsupported(*name),
            },
            Expression::Constant(number) => Value::Tensor(self.constant(*number)?),
            Expression::Number(number) => Value::Number(*number),
            Expression::Bool(is) => Value::Bool(*is),
            Expression::None => Value::None,
            Expression::List(items) => Value::List(self.values(items, known)?),
            Expression::Call {
                function,
                arguments,
                named,
            } => {
                let positional = self.values(arguments, known)?;
                let mut by_name = HashMap::new();
                for (name, value) in named {
                    by_name.insert(*name, self.value(value, known)?);
                }
                let arguments = Arguments {
                    function,
                    positional,
                    named: by_name,
                };
                self.call(function, &arguments)?
            }
        })
    }

    fn values(
        &mut self,
        of: &[Expression<'_>],
        known: &HashMap<&str, Value>,
    ) -> Result<Vec<Value>> {
        of.iter().map(|item| self.value(item, known)).collect()
    }

    /// A stored tensor, put into the graph where it is first used.
    fn constant(&mut self, number: usize) -> Result<Ranked> {
        let Some(tensor) = self.constants.get(number) else {
            return unsupported(format!("constant {number}"));
        };
        let graph = &mut *self.graph;
        let name = self
            .stored
            .entry(number)
            .or_insert_with(|| match tensor.dtype {
                Dtype::I64 => {
                    graph.ints(&tensor.data.iter().map(|&v| v as i64).collect::<Vec<_>>())
                }
                _ => graph.floats(&tensor.shape, &tensor.data),
            });
        Ok(Ranked::new(name.clone(), tensor.shape.len()))
    }

    fn call(&mut self, function: &str, arguments: &Arguments<'_>) -> Result<Value> {
        // Devices and kinds of numbers are the runtime's business.
        if function == "device" {
            return Ok(Value::None);
        }
        for family in [Self::arithmetic, Self::shapes, Self::networks] {
            if let Some(value) = family(self, function, arguments)? {
                return Ok(value);
            }
        }
        unsupported(function)
    }
}

/// The arguments of a call.
pub(crate) struct Arguments<'a> {
    function: &'a str,
    positional: Vec<Value>,
    named: HashMap<&'a str, Value>,
}

impl Arguments<'_> {
    fn wrong<T>(&self, place: usize, expected: &str) -> Result<T> {
        let given = self.positional.get(place);
        unsupported(format!(
            "{} with {given:?} as argument {place}, expected {expected}",
            self.function
        ))
    }

    pub(crate) fn tensor(&self, place: usize) -> Result<Ranked> {
        match self.positional.get(place) {
            Some(Value::Tensor(tensor)) => Ok(tensor.clone()),
            _ => self.wrong(place, "a tensor"),
        }
    }

    /// None where it is absent or Python's None.
    pub(crate) fn optional(&self, place: usize) -> Result<Option<Ranked>> {
        match self.positional.get(place) {
            None | Some(Value::None) => Ok(None),
            Some(_) => self.tensor(place).map(Some),
        }
    }

    pub(crate) fn tensors(&self, place: usize) -> Result<Vec<Ranked>> {
        let Some(Value::List(items)) = self.positional.get(place) else {
            return self.wrong(place, "a list of tensors");
        };
        let mut tensors = Vec::new();
        for item in items {
            match item {
                Value::Tensor(tensor) => tensors.push(tensor.clone()),
                _ => return self.wrong(place, "a list of tensors"),
            }
        }
        Ok(tensors)
    }

    pub(crate) fn number(&self, place: usize) -> Result<Option<f64>> {
        match self.positional.get(place) {
            None | Some(Value::None) => Ok(None),
            Some(Value::Number(number)) => Ok(Some(*number)),
            Some(_) => self.wrong(place, "a number"),
        }
    }

    pub(crate) fn int(&self, place: usize) -> Result<i64> {
        match self.number(place)? {
            Some(number) => Ok(number as i64),
            None => self.wrong(place, "a whole number"),
        }
    }

    pub(crate) fn int_or(&self, place: usize, otherwise: i64) -> Result<i64> {
        Ok(self
            .number(place)?
            .map_or(otherwise, |number| number as i64))
    }

    pub(crate) fn bool_or(&self, place: usize, otherwise: bool) -> Result<bool> {
        match self.positional.get(place) {
            None => Ok(otherwise),
            Some(Value::Bool(is)) => Ok(*is),
            Some(_) => self.wrong(place, "True or False"),
        }
    }

    /// None where it is absent or Python's None; a number stands for a list of one.
    pub(crate) fn ints(&self, place: usize) -> Result<Option<Vec<i64>>> {
        let items = match self.positional.get(place) {
            None | Some(Value::None) => return Ok(None),
            Some(Value::Number(number)) => return Ok(Some(vec![*number as i64])),
            Some(Value::List(items)) => items,
            Some(_) => return self.wrong(place, "whole numbers"),
        };
        let mut ints = Vec::new();
        for item in items {
            match item {
                Value::Number(number) => ints.push(*number as i64),
                _ => return self.wrong(place, "whole numbers"),
            }
        }
        Ok(Some(ints))
    }

    pub(crate) fn some_ints(&self, place: usize) -> Result<Vec<i64>> {
        match self.ints(place)? {
            Some(ints) => Ok(ints),
            None => self.wrong(place, "whole numbers"),
        }
    }
}
