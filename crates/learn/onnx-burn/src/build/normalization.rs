//! Normalizations, as sums and products, and what else differs between training and inference.

use super::call::{Call, Value, axis};
use super::fault::Result;
use crate::constant::{Constant, Data};
use ops::frozen::{Binary, Conv, Op, Reduction};
use ops::frozen::{Program, Step};

const TRAINING: &str = "it is in training mode";

impl Call<'_> {
    pub(super) fn float_constant(&mut self, shape: Vec<usize>, values: Vec<f32>) -> Result<Value> {
        self.constant(Constant { shape, data: Data::Float(values) })
    }

    /// Of inference: nothing.
    pub(super) fn dropout(&mut self) -> Result<Value> {
        let training = self.constant_input(2)?.and_then(|value| value.as_ints()?.first().copied());
        if training.is_some_and(|training| training != 0) { Err(TRAINING.into()) } else { self.input(0) }
    }

    /// Of inference: with stored means and variances it scales and shifts channels.
    pub(super) fn batch_normalization(&mut self) -> Result<Value> {
        let x = self.input(0)?;
        let shape = self.shape(&x);
        if self.int("training_mode", 0) != 0 {
            return Err(TRAINING.into());
        }
        let channels = *shape.get(1).ok_or("its input has no channels")?;
        let read = |index| -> Result<Vec<f32>> {
            let values = self.floats(index)?.filter(|values| values.len() == channels);
            values.ok_or_else(|| format!("input {index} is not one number for each channel").into())
        };
        let (gain, bias, mean, variance) = (read(1)?, read(2)?, read(3)?, read(4)?);
        let epsilon = f64::from(self.float("epsilon", 1e-5));
        let exact: Vec<f64> = gain
            .iter()
            .zip(&variance)
            .map(|(&gain, &var)| f64::from(gain) / (f64::from(var) + epsilon).sqrt())
            .collect();
        let shift =
            bias.iter().zip(&mean).zip(&exact).map(|((&bias, &mean), scale)| f64::from(bias) - f64::from(mean) * scale);
        let shift: Vec<f32> = shift.map(|value| value as f32).collect();
        let scale: Vec<f32> = exact.iter().map(|&value| value as f32).collect();
        if let (&[scale], &[shift]) = (scale.as_slice(), shift.as_slice()) {
            let program = Program::new(|p, x| {
                let (scale, shift) = (p.constant(scale), p.constant(shift));
                let scaled = p.push(Step::Mul(x, scale));
                p.push(Step::Add(scaled, shift))
            });
            return self.pointwise(program, x);
        }
        if shape.len() == 4 {
            return self.emit(Op::Conv(Box::new(Conv::channelwise(scale, shift))), vec![x]);
        }
        let mut along = vec![1; shape.len()];
        along[1] = channels;
        self.scaled(x, along, scale, Some(shift))
    }

    /// `scale * x + shift`, both of `shape`.
    fn scaled(&mut self, x: Value, shape: Vec<usize>, scale: Vec<f32>, shift: Option<Vec<f32>>) -> Result<Value> {
        let scale = self.float_constant(shape.clone(), scale)?;
        let scaled = self.combine(Binary::Mul, x, scale)?;
        match shift {
            None => Ok(scaled),
            Some(shift) => {
                let shift = self.float_constant(shape, shift)?;
                self.combine(Binary::Add, scaled, shift)
            }
        }
    }

    /// `x` minus its mean, over its standard deviation, both along `axes`.
    fn standardized(&mut self, x: Value, axes: Vec<usize>, epsilon: f32) -> Result<Value> {
        let mean = |call: &mut Self, x: Value| {
            call.emit(Op::Reduce { reduction: Reduction::Mean, axes: axes.clone() }, vec![x])
        };
        let center = mean(self, x.clone())?;
        let centered = self.combine(Binary::Sub, x, center)?;
        let square = Program::new(|p, x| p.push(Step::Mul(x, x)));
        let squares = self.pointwise(square, centered.clone())?;
        let variance = mean(self, squares)?;
        let root = Program::new(|p, x| {
            let epsilon = p.constant(epsilon);
            let sum = p.push(Step::Add(x, epsilon));
            p.push(Step::Sqrt(sum))
        });
        let deviation = self.pointwise(root, variance)?;
        self.combine(Binary::Div, centered, deviation)
    }

    pub(super) fn instance_normalization(&mut self) -> Result<Value> {
        let x = self.input(0)?;
        let shape = self.shape(&x);
        let channels = *shape.get(1).filter(|_| shape.len() > 2).ok_or("its input has no channels")?;
        let epsilon = self.float("epsilon", 1e-5);
        let normal = self.standardized(x, (2..shape.len()).collect(), epsilon)?;
        let mut along = vec![1; shape.len()];
        along[1] = channels;
        let (scale, shift) = (self.floats(1)?.ok_or("it has no scale")?, self.floats(2)?);
        if scale.len() != channels || shift.as_ref().is_some_and(|shift| shift.len() != channels) {
            return Err("its scale or bias is not one number for each channel".into());
        }
        self.scaled(normal, along, scale, shift)
    }

    pub(super) fn layer_normalization(&mut self) -> Result<Value> {
        let x = self.input(0)?;
        let rank = self.shape(&x).len();
        let axis = axis(self.int("axis", -1), rank)?;
        let epsilon = self.float("epsilon", 1e-5);
        let normal = self.standardized(x, (axis..rank).collect(), epsilon)?;
        let scale = self.input(1)?;
        let scaled = self.combine(Binary::Mul, normal, scale)?;
        match self.optional(2) {
            None => Ok(scaled),
            Some(bias) => self.combine(Binary::Add, scaled, bias),
        }
    }
}
