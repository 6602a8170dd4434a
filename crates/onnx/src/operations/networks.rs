//! Layers of networks.

use super::{Arguments, Ranked, Recording, Value};
use crate::error::{Result, unsupported};
use crate::graph::Attribute;

/// Size, strides and padding on both sides of a pooling window; without strides, those of windows
/// side by side.
fn window(args: &Arguments<'_>) -> Result<[Vec<i64>; 3]> {
    let kernel = args.some_ints(1)?;
    let strides = args.ints(2)?.filter(|s| !s.is_empty());
    let strides = strides.unwrap_or_else(|| kernel.clone());
    let pads = both(&args.ints(3)?.unwrap_or(vec![0; 2]));
    Ok([kernel, strides, pads])
}

/// As many before as behind, dimension by dimension.
fn both(pads: &[i64]) -> Vec<i64> {
    [pads, pads].concat()
}

impl Recording<'_> {
    pub(super) fn networks(&mut self, f: &str, args: &Arguments<'_>) -> Result<Option<Value>> {
        let result = match f {
            "_convolution" => self.convolution(args)?,
            "avg_pool2d" => self.average(args)?,
            "max_pool2d" => self.maximum(args)?,
            "constant_pad_nd" => self.pad("constant", args)?,
            "reflection_pad2d" => self.pad("reflect", args)?,
            "upsample_nearest2d" => self.resize("nearest", "asymmetric", args)?,
            "upsample_bilinear2d" => self.aligned("linear", args)?,
            "upsample_bicubic2d" => self.aligned("cubic", args)?,
            "matmul" | "bmm" | "mm" => {
                let (x, y) = (args.tensor(0)?, args.tensor(1)?);
                self.product(&x, &y)
            }
            "addmm" => {
                let (x, y) = (args.tensor(1)?, args.tensor(2)?);
                let product = self.product(&x, &y);
                self.sum(&product, Some(&args.tensor(0)?))
            }
            "linear" => {
                let weight = self.permuted(&args.tensor(1)?, &[1, 0]);
                let product = self.product(&args.tensor(0)?, &weight);
                self.sum(&product, args.optional(2)?.as_ref())
            }
            "layer_norm" => self.layer_norm(args)?,
            "softmax" => self.softmax(&args.tensor(0)?, args.int(1)?),
            "scaled_dot_product_attention" => self.attention(args)?,
            _ => return Ok(None),
        };
        Ok(Some(Value::Tensor(result)))
    }

    fn product(&mut self, x: &Ranked, y: &Ranked) -> Ranked {
        let name = self.graph.node("MatMul", &[&x.name, &y.name], &[]);
        Ranked::new(name, x.rank.max(y.rank))
    }

    fn sum(&mut self, x: &Ranked, y: Option<&Ranked>) -> Ranked {
        match y {
            Some(y) => Ranked::new(self.graph.node("Add", &[&x.name, &y.name], &[]), x.rank),
            None => x.clone(),
        }
    }

    fn convolution(&mut self, args: &Arguments<'_>) -> Result<Ranked> {
        let (x, bias) = (args.tensor(0)?, args.optional(2)?);
        let mut inputs = vec![x.name, args.tensor(1)?.name];
        inputs.extend(bias.map(|b| b.name));
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let [strides, pads, dilations] = [3, 4, 5].map(|place| args.some_ints(place));
        let (strides, pads, dilations) = (strides?, both(&pads?), dilations?);
        let mut attributes = vec![
            ("strides", Attribute::Ints(&strides)),
            ("pads", Attribute::Ints(&pads)),
            ("dilations", Attribute::Ints(&dilations)),
            ("group", Attribute::Int(args.int(8)?)),
        ];
        let more = args.some_ints(7)?;
        let op = if args.bool_or(6, false)? {
            attributes.push(("output_padding", Attribute::Ints(&more)));
            "ConvTranspose"
        } else {
            "Conv"
        };
        Ok(Ranked::new(
            self.graph.node(op, &inputs, &attributes),
            x.rank,
        ))
    }

    fn average(&mut self, args: &Arguments<'_>) -> Result<Ranked> {
        let x = args.tensor(0)?;
        let [kernel, strides, pads] = window(args)?;
        if args.bool_or(4, false)? {
            return unsupported("avg_pool2d with sizes rounded up");
        }
        let counted = i64::from(args.bool_or(5, true)?);
        let attributes = [
            ("kernel_shape", Attribute::Ints(&kernel)),
            ("strides", Attribute::Ints(&strides)),
            ("pads", Attribute::Ints(&pads)),
            ("count_include_pad", Attribute::Int(counted)),
        ];
        Ok(Ranked::new(
            self.graph.node("AveragePool", &[&x.name], &attributes),
            x.rank,
        ))
    }

    fn maximum(&mut self, args: &Arguments<'_>) -> Result<Ranked> {
        let x = args.tensor(0)?;
        let [kernel, strides, pads] = window(args)?;
        let dilations = args.ints(4)?.unwrap_or(vec![1; 2]);
        let up = i64::from(args.bool_or(5, false)?);
        let attributes = [
            ("kernel_shape", Attribute::Ints(&kernel)),
            ("strides", Attribute::Ints(&strides)),
            ("pads", Attribute::Ints(&pads)),
            ("dilations", Attribute::Ints(&dilations)),
            ("ceil_mode", Attribute::Int(up)),
        ];
        Ok(Ranked::new(
            self.graph.node("MaxPool", &[&x.name], &attributes),
            x.rank,
        ))
    }

    /// libtorch lists the ends of the last dimension first.
    fn pad(&mut self, mode: &str, args: &Arguments<'_>) -> Result<Ranked> {
        let x = args.tensor(0)?;
        let given = args.some_ints(1)?;
        let mut pads = vec![0; 2 * x.rank];
        for (i, ends) in given.chunks_exact(2).enumerate() {
            let dimension = x.rank - 1 - i;
            (pads[dimension], pads[x.rank + dimension]) = (ends[0], ends[1]);
        }
        let pads = self.graph.ints(&pads);
        let fill = self.graph.float(args.number(2)?.unwrap_or(0.0) as f32);
        let inputs = [x.name.as_str(), &pads, &fill];
        let mode = [("mode", Attribute::Text(mode))];
        Ok(Ranked::new(self.graph.node("Pad", &inputs, &mode), x.rank))
    }

    fn aligned(&mut self, mode: &str, args: &Arguments<'_>) -> Result<Ranked> {
        let corners = if args.bool_or(2, false)? {
            "align_corners"
        } else {
            "half_pixel"
        };
        self.resize(mode, corners, args)
    }

    fn resize(&mut self, mode: &str, corners: &str, args: &Arguments<'_>) -> Result<Ranked> {
        let x = args.tensor(0)?;
        let sizes = self.graph.ints(&args.some_ints(1)?);
        let attributes = [
            ("mode", Attribute::Text(mode)),
            ("coordinate_transformation_mode", Attribute::Text(corners)),
            ("nearest_mode", Attribute::Text("floor")),
            ("axes", Attribute::Ints(&[2, 3])),
        ];
        let inputs = [x.name.as_str(), "", "", &sizes];
        Ok(Ranked::new(
            self.graph.node("Resize", &inputs, &attributes),
            x.rank,
        ))
    }

    fn layer_norm(&mut self, args: &Arguments<'_>) -> Result<Ranked> {
        let (x, shape) = (args.tensor(0)?, args.some_ints(1)?);
        let (weight, bias) = (args.tensor(2)?, args.tensor(3)?);
        let epsilon = args.number(4)?.unwrap_or(1e-5) as f32;
        let attributes = [
            ("axis", Attribute::Int(-(shape.len() as i64))),
            ("epsilon", Attribute::Float(epsilon)),
        ];
        let inputs = [x.name.as_str(), &weight.name, &bias.name];
        let name = self.graph.node("LayerNormalization", &inputs, &attributes);
        Ok(Ranked::new(name, x.rank))
    }

    fn softmax(&mut self, x: &Ranked, axis: i64) -> Ranked {
        let axis = [("axis", Attribute::Int(axis))];
        Ranked::new(self.graph.node("Softmax", &[&x.name], &axis), x.rank)
    }

    /// softmax(q·kᵀ/√d)·v over the last two dimensions of four.
    fn attention(&mut self, args: &Arguments<'_>) -> Result<Ranked> {
        let [query, key, value] = [args.tensor(0)?, args.tensor(1)?, args.tensor(2)?];
        if args.positional.len() > 3 || key.rank != 4 {
            return unsupported("scaled_dot_product_attention with a mask");
        }
        let key = self.permuted(&key, &[0, 1, 3, 2]);
        let last = self
            .graph
            .node("Shape", &[&query.name], &[("start", Attribute::Int(-1))]);
        let last = self
            .graph
            .node("Cast", &[&last], &[("to", Attribute::Int(1))]);
        let root = self.graph.node("Sqrt", &[&last], &[]);
        let product = self.product(&query, &key);
        let scaled = self.graph.node("Div", &[&product.name, &root], &[]);
        let weights = self.softmax(&Ranked::new(scaled, 4), -1);
        Ok(self.product(&weights, &value))
    }
}
