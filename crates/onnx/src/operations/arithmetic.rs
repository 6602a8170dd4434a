//! Arithmetic and reductions.

use super::{Arguments, Ranked, Recording, Value};
use crate::error::{Result, unsupported};
use crate::graph::Attribute;

impl Recording<'_> {
    pub(super) fn arithmetic(&mut self, f: &str, args: &Arguments<'_>) -> Result<Option<Value>> {
        let result = match f {
            "add" => self.pairwise("Add", args)?,
            "sub" => self.pairwise("Sub", args)?,
            "mul" => self.pairwise("Mul", args)?,
            "div" => self.pairwise("Div", args)?,
            "pow" => self.pairwise("Pow", args)?,
            "abs" => self.single("Abs", args)?,
            "exp" => self.single("Exp", args)?,
            "log" => self.single("Log", args)?,
            "neg" => self.single("Neg", args)?,
            "relu" => self.single("Relu", args)?,
            "sigmoid" => self.single("Sigmoid", args)?,
            "sqrt" => self.single("Sqrt", args)?,
            "tanh" => self.single("Tanh", args)?,
            "square" => {
                let x = args.tensor(0)?;
                Ranked::new(self.graph.node("Mul", &[&x.name, &x.name], &[]), x.rank)
            }
            "rsub" => {
                let (x, y) = (args.tensor(0)?, self.operand(args, 1)?);
                Ranked::new(self.graph.node("Sub", &[&y.name, &x.name], &[]), x.rank)
            }
            "clamp" | "clamp_min" => self.clamp(args)?,
            // The threshold above which libtorch returns x itself changes nothing in 32 bits.
            "softplus" if args.number(1)?.is_none_or(|beta| beta == 1.0) => {
                self.single("Softplus", args)?
            }
            "mean" => self.reduce("ReduceMean", args)?,
            "sum" => self.reduce("ReduceSum", args)?,
            "amax" => self.reduce("ReduceMax", args)?,
            "amin" => self.reduce("ReduceMin", args)?,
            "max" => return self.extreme("ReduceMax", "ArgMax", args).map(Some),
            "min" => return self.extreme("ReduceMin", "ArgMin", args).map(Some),
            "topk" => return self.topk(args).map(Some),
            "gelu" => self.gelu(args)?,
            _ => return Ok(None),
        };
        Ok(Some(Value::Tensor(result)))
    }

    fn single(&mut self, op: &str, args: &Arguments<'_>) -> Result<Ranked> {
        let x = args.tensor(0)?;
        Ok(Ranked::new(self.graph.node(op, &[&x.name], &[]), x.rank))
    }

    /// A tensor, or a number as one.
    fn operand(&mut self, args: &Arguments<'_>, place: usize) -> Result<Ranked> {
        match args.positional.get(place) {
            Some(Value::Number(number)) => Ok(Ranked::new(self.graph.float(*number as f32), 0)),
            _ => args.tensor(place),
        }
    }

    fn pairwise(&mut self, op: &str, args: &Arguments<'_>) -> Result<Ranked> {
        let by = args.named.get("alpha").or(args.positional.get(2));
        if !matches!(by, None | Some(Value::Number(1.0))) {
            return unsupported(format!("{} with {by:?}", args.function));
        }
        let (x, y) = (self.operand(args, 0)?, self.operand(args, 1)?);
        let rank = x.rank.max(y.rank);
        Ok(Ranked::new(
            self.graph.node(op, &[&x.name, &y.name], &[]),
            rank,
        ))
    }

    fn clamp(&mut self, args: &Arguments<'_>) -> Result<Ranked> {
        let x = args.tensor(0)?;
        let mut ends = [String::new(), String::new()];
        for (end, place) in ends.iter_mut().zip(1..) {
            if let Some(number) = args.number(place)? {
                *end = self.graph.float(number as f32);
            }
        }
        let [low, high] = ends;
        Ok(Ranked::new(
            self.graph.node("Clip", &[&x.name, &low, &high], &[]),
            x.rank,
        ))
    }

    fn reduce(&mut self, op: &str, args: &Arguments<'_>) -> Result<Ranked> {
        let x = args.tensor(0)?;
        let axes = args.ints(1)?.filter(|axes| !axes.is_empty());
        let keep = args.bool_or(2, false)?;
        let count = axes.as_ref().map_or(x.rank, Vec::len);
        let axes = axes.map(|axes| self.graph.ints(&axes));
        let inputs: Vec<&str> = [&x.name]
            .into_iter()
            .chain(&axes)
            .map(String::as_str)
            .collect();
        let keepdims = [("keepdims", Attribute::Int(i64::from(keep)))];
        let rank = if keep { x.rank } else { x.rank - count };
        Ok(Ranked::new(self.graph.node(op, &inputs, &keepdims), rank))
    }

    /// The largest or smallest value, along a dimension also its position.
    fn extreme(&mut self, op: &str, position: &str, args: &Arguments<'_>) -> Result<Value> {
        if args.positional.len() == 1 {
            return Ok(Value::Tensor(self.reduce(op, args)?));
        }
        let (x, keep) = (args.tensor(0)?, args.bool_or(2, false)?);
        let attributes = [
            ("axis", Attribute::Int(args.int(1)?)),
            ("keepdims", Attribute::Int(i64::from(keep))),
        ];
        let at = self.graph.node(position, &[&x.name], &attributes);
        let value = self.reduce(op, args)?;
        let at = Ranked::new(at, value.rank);
        Ok(Value::List(vec![Value::Tensor(value), Value::Tensor(at)]))
    }

    fn topk(&mut self, args: &Arguments<'_>) -> Result<Value> {
        let x = args.tensor(0)?;
        let count = self.graph.ints(&[args.int(1)?]);
        let attributes = [
            ("axis", Attribute::Int(args.int_or(2, -1)?)),
            ("largest", Attribute::Int(i64::from(args.bool_or(3, true)?))),
            ("sorted", Attribute::Int(i64::from(args.bool_or(4, true)?))),
        ];
        let outputs = self.graph.nodes("TopK", &[&x.name, &count], &attributes, 2);
        let outputs = outputs
            .into_iter()
            .map(|o| Value::Tensor(Ranked::new(o, x.rank)));
        Ok(Value::List(outputs.collect()))
    }

    /// x/2·(1 + erf(x/√2)).
    fn gelu(&mut self, args: &Arguments<'_>) -> Result<Ranked> {
        if args.named.contains_key("approximate") {
            return unsupported("gelu by an approximation");
        }
        let x = args.tensor(0)?;
        let [root, one, half] =
            [std::f32::consts::FRAC_1_SQRT_2, 1.0, 0.5].map(|v| self.graph.float(v));
        let scaled = self.graph.node("Mul", &[&x.name, &root], &[]);
        let erf = self.graph.node("Erf", &[&scaled], &[]);
        let risen = self.graph.node("Add", &[&erf, &one], &[]);
        let halved = self.graph.node("Mul", &[&x.name, &half], &[]);
        Ok(Ranked::new(
            self.graph.node("Mul", &[&halved, &risen], &[]),
            x.rank,
        ))
    }
}
