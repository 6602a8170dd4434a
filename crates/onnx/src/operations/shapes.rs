//! Operations that move values without changing them.

use super::{Arguments, Ranked, Recording, Value};
use crate::error::{Result, unsupported};
use crate::graph::Attribute;

impl Recording<'_> {
    pub(super) fn shapes(&mut self, f: &str, args: &Arguments<'_>) -> Result<Option<Value>> {
        let result = match f {
            // Everything is `f32` here, on whatever the runtime runs.
            "to" | "contiguous" | "clone" | "alias" | "detach" => args.tensor(0)?,
            "view" | "reshape" => {
                let shape = args.some_ints(1)?;
                self.reshaped(&args.tensor(0)?, &shape)
            }
            "flatten" => self.flatten(args)?,
            "permute" => {
                let order = args.some_ints(1)?;
                self.permuted(&args.tensor(0)?, &order)
            }
            "transpose" => {
                let x = args.tensor(0)?;
                let mut order: Vec<i64> = (0..x.rank as i64).collect();
                order.swap(x.dimension(args.int(1)?), x.dimension(args.int(2)?));
                self.permuted(&x, &order)
            }
            "unsqueeze" => {
                let x = args.tensor(0)?;
                let axes = self.graph.ints(&[args.int(1)?]);
                let name = self.graph.node("Unsqueeze", &[&x.name, &axes], &[]);
                Ranked::new(name, x.rank + 1)
            }
            "squeeze" => {
                let x = args.tensor(0)?;
                let axes = args.some_ints(1)?;
                let names = self.graph.ints(&axes);
                let name = self.graph.node("Squeeze", &[&x.name, &names], &[]);
                Ranked::new(name, x.rank - axes.len())
            }
            "expand" => {
                let x = args.tensor(0)?;
                // ONNX keeps a size where 1 is asked for, libtorch where −1 is.
                let shape: Vec<i64> = args.some_ints(1)?.into_iter().map(|n| n.max(1)).collect();
                let wanted = self.graph.ints(&shape);
                let name = self.graph.node("Expand", &[&x.name, &wanted], &[]);
                Ranked::new(name, shape.len())
            }
            "cat" => {
                let parts = args.tensors(0)?;
                let names: Vec<&str> = parts.iter().map(|p| p.name.as_str()).collect();
                let axis = [("axis", Attribute::Int(args.int_or(1, 0)?))];
                let rank = parts.first().map_or(0, |p| p.rank);
                Ranked::new(self.graph.node("Concat", &names, &axis), rank)
            }
            "stack" => {
                let parts = args.tensors(0)?;
                let dim = args.int_or(1, 0)?;
                let axes = self.graph.ints(&[dim]);
                let widened =
                    |part: &Ranked| self.graph.node("Unsqueeze", &[&part.name, &axes], &[]);
                let names: Vec<String> = parts.iter().map(widened).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let rank = parts.first().map_or(0, |p| p.rank + 1);
                let axis = [("axis", Attribute::Int(dim))];
                Ranked::new(self.graph.node("Concat", &names, &axis), rank)
            }
            "select" => {
                let index = self.graph.int(args.int(2)?);
                self.gathered(args, &index, 0)?
            }
            "index_select" => {
                let index = args.tensor(2)?;
                self.gathered(args, &index.name, 1)?
            }
            "narrow" => {
                let start = args.int(2)?;
                self.slice(args, start, start + args.int(3)?)?
            }
            "slice" if args.int_or(4, 1)? == 1 => {
                let (start, end) = (args.int_or(2, 0)?, args.int_or(3, i64::MAX)?);
                self.slice(args, start, end)?
            }
            "split" | "chunk" | "split_with_sizes" => return self.split(f, args).map(Some),
            _ => return Ok(None),
        };
        Ok(Some(Value::Tensor(result)))
    }

    pub(super) fn reshaped(&mut self, x: &Ranked, shape: &[i64]) -> Ranked {
        let wanted = self.graph.ints(shape);
        let name = self.graph.node("Reshape", &[&x.name, &wanted], &[]);
        Ranked::new(name, shape.len())
    }

    pub(super) fn permuted(&mut self, x: &Ranked, order: &[i64]) -> Ranked {
        let order = [("perm", Attribute::Ints(order))];
        Ranked::new(self.graph.node("Transpose", &[&x.name], &order), x.rank)
    }

    fn flatten(&mut self, args: &Arguments<'_>) -> Result<Ranked> {
        let x = args.tensor(0)?;
        let first = x.dimension(args.int_or(1, 0)?);
        if x.dimension(args.int_or(2, -1)?) + 1 != x.rank {
            return unsupported("flatten before the last dimension");
        }
        // A size of 0 is that of the operand.
        let mut shape = vec![0; first];
        shape.push(-1);
        Ok(self.reshaped(&x, &shape))
    }

    /// `rank` is that of the index.
    fn gathered(&mut self, args: &Arguments<'_>, index: &str, rank: usize) -> Result<Ranked> {
        let x = args.tensor(0)?;
        let axis = [("axis", Attribute::Int(args.int(1)?))];
        let name = self.graph.node("Gather", &[&x.name, index], &axis);
        Ok(Ranked::new(name, x.rank - 1 + rank))
    }

    fn slice(&mut self, args: &Arguments<'_>, start: i64, end: i64) -> Result<Ranked> {
        let x = args.tensor(0)?;
        let [start, end, axis] = [start, end, args.int(1)?].map(|n| self.graph.ints(&[n]));
        let name = self
            .graph
            .node("Slice", &[&x.name, &start, &end, &axis], &[]);
        Ok(Ranked::new(name, x.rank))
    }

    fn split(&mut self, f: &str, args: &Arguments<'_>) -> Result<Value> {
        let x = args.tensor(0)?;
        let axis = ("axis", Attribute::Int(args.int_or(2, 0)?));
        let parts = match (f, args.some_ints(1)?) {
            ("chunk", count) => {
                let count = *count.first().unwrap_or(&1);
                let attributes = [axis, ("num_outputs", Attribute::Int(count))];
                self.graph
                    .nodes("Split", &[&x.name], &attributes, count as usize)
            }
            (_, sizes) if sizes.len() > 1 => {
                let names = self.graph.ints(&sizes);
                self.graph
                    .nodes("Split", &[&x.name, &names], &[axis], sizes.len())
            }
            _ => return unsupported("split into parts of one size"),
        };
        let parts = parts
            .into_iter()
            .map(|p| Value::Tensor(Ranked::new(p, x.rank)));
        Ok(Value::List(parts.collect()))
    }
}
