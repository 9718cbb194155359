//! Functions of elements, sums and products.

use super::activations as curves;
use super::call::{Call, Value, axes};
use super::fault::{Fault, Result};
use super::fold::widen;
use crate::constant::{Constant, Data};
use ops::frozen::{Binary, Conv, Op, Reduction, broadcast};
use ops::frozen::{Program, Step};

impl Call<'_> {
    /// A function of one tensor's elements.
    pub(super) fn unary(&mut self) -> Result<Value> {
        let [alpha, beta] = ["alpha", "beta"].map(|name| self.attribute(name).and_then(|attribute| attribute.f));
        let simple = |step: fn(usize) -> Step| Program::new(|p, x| p.push(step(x)));
        let program = match self.node.op_type.as_str() {
            "Relu" => simple(Step::Relu),
            "Sigmoid" => simple(Step::Sigmoid),
            "Tanh" => simple(Step::Tanh),
            "Erf" => simple(Step::Erf),
            "Exp" => simple(Step::Exp),
            "Sqrt" => simple(Step::Sqrt),
            "Neg" => simple(Step::Neg),
            "Log" => {
                let x = self.input(0)?;
                return self.emit(Op::Log, vec![x]);
            }
            "Softplus" => return self.softplus(),
            "Reciprocal" => Program::new(|p, x| {
                let one = p.constant(1.0);
                p.push(Step::Div(one, x))
            }),
            "Abs" => Program::new(curves::absolute),
            "LeakyRelu" => Program::new(|p, x| curves::leaky_relu(p, x, alpha.unwrap_or(0.01))),
            "Elu" => Program::new(|p, x| curves::elu(p, x, alpha.unwrap_or(1.0), 1.0)),
            "Celu" => {
                let alpha = alpha.unwrap_or(1.0);
                Program::new(|p, x| curves::elu(p, x, alpha, 1.0 / alpha))
            }
            "Selu" => {
                let gamma = self.float("gamma", curves::SELU_GAMMA);
                Program::new(|p, x| curves::selu(p, x, alpha.unwrap_or(curves::SELU_ALPHA), gamma))
            }
            "Softsign" => Program::new(curves::softsign),
            "Mish" => Program::new(curves::mish),
            "HardSigmoid" => Program::new(|p, x| curves::hard_sigmoid(p, x, alpha.unwrap_or(0.2), beta.unwrap_or(0.5))),
            "HardSwish" => Program::new(curves::hard_swish),
            "Gelu" => match self.text("approximate") {
                "tanh" => Program::new(curves::gelu_tanh),
                _ => Program::new(curves::gelu_erf),
            },
            "Clip" => {
                let bound = |call: &Self, index: usize, name: &str, open: f32| -> Result<f32> {
                    let given = call.floats(index)?.and_then(|values| values.first().copied());
                    Ok(given.unwrap_or_else(|| call.float(name, open)))
                };
                let min = bound(self, 1, "min", f32::NEG_INFINITY)?;
                let max = bound(self, 2, "max", f32::INFINITY)?;
                Program::new(|p, x| p.push(Step::Clip(x, min, max)))
            }
            _ => return Err(Fault::Unknown),
        };
        let x = self.input(0)?;
        self.pointwise(program, x)
    }

    /// A program applied to a value.
    pub(super) fn pointwise(&mut self, program: Program, x: Value) -> Result<Value> {
        if program.is_identity() { Ok(x) } else { self.emit(Op::Pointwise(program), vec![x]) }
    }

    /// log(1 + exp(x)), as relu(x) + log(1 + exp(-|x|)), which cannot overflow.
    fn softplus(&mut self) -> Result<Value> {
        let x = self.input(0)?;
        let tail = Program::new(|p, x| {
            let size = curves::absolute(p, x);
            let size = p.push(Step::Neg(size));
            let (tail, one) = (p.push(Step::Exp(size)), p.constant(1.0));
            p.push(Step::Add(tail, one))
        });
        let tail = self.pointwise(tail, x.clone())?;
        let tail = self.emit(Op::Log, vec![tail])?;
        let relu = self.pointwise(Program::new(|p, x| p.push(Step::Relu(x))), x)?;
        self.combine(Binary::Add, relu, tail)
    }

    /// `x` above 0, `slope * x` below; the slope's dimensions are repeated to those of `x`.
    pub(super) fn prelu(&mut self) -> Result<Value> {
        let (x, slope) = (self.input(0)?, self.input(1)?);
        if let Value::Constant(value) = &slope
            && let Some(slope) = value.as_scalar()
        {
            return self.pointwise(Program::new(|p, x| curves::leaky_relu(p, x, slope)), x);
        }
        let (shape, slopes) = (self.shape(&x), self.shape(&slope));
        if broadcast(&widen(&slopes, shape.len()), &shape).as_ref() != Some(&shape) || slopes.len() > shape.len() {
            return Err(format!("slopes of {slopes:?} for an input of {shape:?}").into());
        }
        let below = self.pointwise(Program::new(curves::below_zero), x.clone())?;
        let above = self.pointwise(Program::new(|p, x| p.push(Step::Relu(x))), x)?;
        let scaled = self.combine(Binary::Mul, below, slope)?;
        self.combine(Binary::Sub, above, scaled)
    }

    /// An operation on two tensors, or on more, one after another.
    pub(super) fn binary(&mut self) -> Result<Value> {
        let mut result = self.input(0)?;
        for index in 1..self.inputs.len() {
            let next = self.input(index)?;
            result = match self.node.op_type.as_str() {
                "Add" => self.combine(Binary::Add, result, next)?,
                "Sub" => self.combine(Binary::Sub, result, next)?,
                "Mul" => self.combine(Binary::Mul, result, next)?,
                "Div" => self.combine(Binary::Div, result, next)?,
                "Max" => self.maximum(result, next, false)?,
                "Min" => self.maximum(result, next, true)?,
                "Pow" => self.power(result, &next)?,
                _ => return Err(Fault::Unknown),
            };
        }
        Ok(result)
    }

    fn power(&mut self, x: Value, exponent: &Value) -> Result<Value> {
        let number = match exponent {
            Value::Constant(value) => match &value.data {
                Data::Float(values) => values.first().copied().filter(|_| values.len() == 1),
                Data::Int(values) => values.first().map(|&value| value as f32).filter(|_| values.len() == 1),
            },
            Value::Node(_) => None,
        };
        let number = number.ok_or("only one constant exponent is supported")?;
        // Products are exact for negative bases, too, and faster.
        let program = Program::new(|p, x| match number {
            1.0 => x,
            2.0 => p.push(Step::Mul(x, x)),
            3.0 => {
                let square = p.push(Step::Mul(x, x));
                p.push(Step::Mul(square, x))
            }
            0.5 => p.push(Step::Sqrt(x)),
            _ => p.push(Step::Pow(x, number)),
        });
        self.pointwise(program, x)
    }

    /// The larger of two, or the smaller: `a + relu(b - a)`, `a - relu(a - b)`.
    fn maximum(&mut self, a: Value, b: Value, smaller: bool) -> Result<Value> {
        let (program, difference, whole) = match (&a, &b) {
            (Value::Node(_), Value::Constant(value)) | (Value::Constant(value), Value::Node(_))
                if value.as_scalar().is_some() =>
            {
                let bound = value.as_scalar().unwrap_or_default();
                let (min, max) = if smaller { (f32::NEG_INFINITY, bound) } else { (bound, f32::INFINITY) };
                let x = if matches!(a, Value::Node(_)) { a } else { b };
                return self.pointwise(Program::new(|p, x| p.push(Step::Clip(x, min, max))), x);
            }
            _ if smaller => (Step::Relu, self.combine(Binary::Sub, a.clone(), b)?, Binary::Sub),
            _ => (Step::Relu, self.combine(Binary::Sub, b, a.clone())?, Binary::Add),
        };
        let relu = self.pointwise(Program::new(|p, x| p.push(program(x))), difference)?;
        self.combine(whole, a, relu)
    }

    /// Two values, element by element. A number becomes part of a program, a number for each channel of an image a
    /// convolution, so that both can be folded into what is around them.
    pub(super) fn combine(&mut self, binary: Binary, a: Value, b: Value) -> Result<Value> {
        let (a_shape, b_shape) = (self.shape(&a), self.shape(&b));
        let rank = a_shape.len().max(b_shape.len());
        let (a_wide, b_wide) = (widen(&a_shape, rank), widen(&b_shape, rank));
        let shape =
            broadcast(&a_wide, &b_wide).ok_or_else(|| format!("inputs of {a_shape:?} and {b_shape:?} do not fit"))?;
        match (&a, &b) {
            (Value::Node(_), Value::Constant(value)) if shape == a_shape => {
                if let Some(found) = self.by_constant(binary, &a, value, false)? {
                    return Ok(found);
                }
            }
            (Value::Constant(value), Value::Node(_)) if shape == b_shape => {
                if let Some(found) = self.by_constant(binary, &b, value, true)? {
                    return Ok(found);
                }
            }
            _ => {}
        }
        let (a, b) = (self.reshaped(a, a_wide)?, self.reshaped(b, b_wide)?);
        self.emit(Op::Binary(binary), vec![a, b])
    }

    /// `x` and a constant as a program or a channelwise convolution; `swapped` says that the constant comes first.
    fn by_constant(&mut self, binary: Binary, x: &Value, value: &Constant, swapped: bool) -> Result<Option<Value>> {
        if let Some(number) = value.as_scalar() {
            let program = Program::new(|p, x| {
                let number = p.constant(number);
                let (a, b) = if swapped { (number, x) } else { (x, number) };
                p.push(binary.step(a, b))
            });
            return self.pointwise(program, x.clone()).map(Some);
        }
        let shape = self.shape(x);
        let (Some(values), &[_, channels, ..]) = (value.as_floats(), shape.as_slice()) else { return Ok(None) };
        if shape.len() != 4 || widen(&value.shape, 4) != [1, channels, 1, 1] {
            return Ok(None);
        }
        let same = || vec![1.0; channels];
        let (scale, shift) = match (binary, swapped) {
            (Binary::Add, _) => (same(), values.to_vec()),
            (Binary::Sub, false) => (same(), values.iter().map(|value| -value).collect()),
            (Binary::Sub, true) => (vec![-1.0; channels], values.to_vec()),
            (Binary::Mul, _) => (values.to_vec(), vec![0.0; channels]),
            (Binary::Div, false) => (values.iter().map(|value| 1.0 / value).collect(), vec![0.0; channels]),
            (Binary::Div, true) => return Ok(None),
        };
        self.emit(Op::Conv(Box::new(Conv::channelwise(scale, shift))), vec![x.clone()]).map(Some)
    }

    pub(super) fn reduce(&mut self) -> Result<Value> {
        let x = self.input(0)?;
        let shape = self.shape(&x);
        let list = self.ints(1, "axes")?.unwrap_or_default();
        let axes = match list.as_slice() {
            [] if self.int("noop_with_empty_axes", 0) != 0 => return Ok(x),
            [] => (0..shape.len()).collect(),
            list => axes(list, shape.len())?,
        };
        let reduction = if self.node.op_type == "ReduceMean" { Reduction::Mean } else { Reduction::Sum };
        let kept = shape.iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, &dim)| dim).collect();
        let reduced = self.emit(Op::Reduce { reduction, axes }, vec![x])?;
        if self.int("keepdims", 1) != 0 { Ok(reduced) } else { self.reshaped(reduced, kept) }
    }

    pub(super) fn matmul(&mut self) -> Result<Value> {
        let (a, b) = (self.input(0)?, self.input(1)?);
        let (mut a_shape, mut b_shape) = (self.shape(&a), self.shape(&b));
        // A vector is a row on the left and a column on the right.
        let (row, column) = (a_shape.len() == 1, b_shape.len() == 1);
        if row {
            a_shape.insert(0, 1);
        }
        if column {
            b_shape.push(1);
        }
        let rank = a_shape.len().max(b_shape.len());
        let (a, b) = (self.reshaped(a, widen(&a_shape, rank))?, self.reshaped(b, widen(&b_shape, rank))?);
        let product = self.emit(Op::MatMul, vec![a, b])?;
        let mut shape = self.shape(&product);
        if column {
            shape.pop();
        }
        if row {
            shape.remove(shape.len() - if column { 1 } else { 2 });
        }
        self.reshaped(product, shape)
    }

    /// `alpha * a * b + beta * c`, `a` and `b` transposed where it says so.
    pub(super) fn gemm(&mut self) -> Result<Value> {
        let [a, b] = [(0, "transA"), (1, "transB")].map(|(index, name)| {
            let x = self.input(index)?;
            if self.int(name, 0) == 0 {
                return Ok(x);
            }
            self.emit(Op::Transpose { order: vec![1, 0] }, vec![x])
        });
        let product = self.emit(Op::MatMul, vec![a?, b?])?;
        let scale = |number: f32| {
            Program::new(|p, x| {
                let number = p.constant(number);
                p.push(Step::Mul(x, number))
            })
        };
        let product = self.pointwise(scale(self.float("alpha", 1.0)), product)?;
        match self.optional(2) {
            None => Ok(product),
            Some(c) => {
                let c = self.pointwise(scale(self.float("beta", 1.0)), c)?;
                self.combine(Binary::Add, product, c)
            }
        }
    }

    pub(super) fn softmax(&mut self) -> Result<Value> {
        let x = self.input(0)?;
        let shape = self.shape(&x);
        if self.opset >= 13 {
            let axis = super::call::axis(self.int("axis", -1), shape.len())?;
            return self.emit(Op::Softmax { axis }, vec![x]);
        }
        // Older versions normalize all dimensions from the axis on together.
        let axis = super::call::axis(self.int("axis", 1), shape.len())?;
        let (outer, inner) = shape.split_at(axis);
        let flat = self.reshaped(x, vec![outer.iter().product(), inner.iter().product()])?;
        let normalized = self.emit(Op::Softmax { axis: 1 }, vec![flat])?;
        self.reshaped(normalized, shape)
    }
}
