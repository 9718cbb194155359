//! What goes into an evaluator and what comes out.

use std::fmt;

use metric::{INPUT_HEIGHT, INPUT_WIDTH, MAX_CLASSES, POSE_LEN};
use ort::value::{Outlet, TensorElementType, ValueType};

/// One of the two evaluators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Classifies the pixels of the second frame.
    SegNet,
    /// Estimates the motion between the two frames.
    PoseNet,
}

impl Role {
    /// Dimensions of the input without the batch.
    pub(crate) fn input(self) -> [i64; 3] {
        match self {
            Self::SegNet => [3, INPUT_HEIGHT as i64, INPUT_WIDTH as i64],
            Self::PoseNet => [12, INPUT_HEIGHT as i64 / 2, INPUT_WIDTH as i64 / 2],
        }
    }

    /// Whether the output may have these dimensions, the batch included; negative ones are unknown.
    pub(crate) fn takes_output(self, shape: &[i64]) -> bool {
        let [batch, rest @ ..] = shape else { return false };
        let is = |dim: &i64, value: usize| *dim < 0 || *dim == value as i64;
        let fits = match (self, rest) {
            (Self::SegNet, [classes, height, width]) => {
                *classes <= MAX_CLASSES as i64 && *classes != 0 && is(height, INPUT_HEIGHT) && is(width, INPUT_WIDTH)
            }
            (Self::PoseNet, [values]) => *values < 0 || *values >= POSE_LEN as i64,
            _ => false,
        };
        is(batch, 1) && fits
    }

    /// The signature in words.
    pub(crate) fn needed(self) -> String {
        let [channels, height, width] = self.input();
        let output = match self {
            Self::SegNet => format!("[n,classes,{height},{width}] with at most {MAX_CLASSES} classes"),
            Self::PoseNet => format!("[n,k] with k of at least {POSE_LEN}"),
        };
        format!("float32 [n,{channels},{height},{width}] -> float32 {output}")
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::SegNet => Self::PoseNet,
            Self::PoseNet => Self::SegNet,
        }
    }

    /// Whether one input and one output of these types, the batch unknown or 1, fit.
    pub(crate) fn fits(self, inputs: &[TensorType], outputs: &[TensorType]) -> bool {
        let ([input], [output]) = (inputs, outputs) else { return false };
        let [channels, height, width] = self.input();
        let expected = [1, channels, height, width];
        // No dimensions at all: the file does not say.
        let input_fits = input.shape.is_empty()
            || input.shape.len() == expected.len()
                && input.shape.iter().zip(expected).all(|(&found, needed)| found < 0 || found == needed);
        let output_fits = output.shape.is_empty() || self.takes_output(&output.shape);
        input.is_f32 && output.is_f32 && input_fits && output_fits
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SegNet => "SegNet",
            Self::PoseNet => "PoseNet",
        })
    }
}

/// Type and dimensions of an input or output; unknown dimensions are negative, none at all means that the file says nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorType {
    is_f32: bool,
    name: String,
    shape: Vec<i64>,
}

impl TensorType {
    pub fn of(outlet: &Outlet) -> Self {
        match outlet.dtype() {
            ValueType::Tensor { ty, shape, .. } => {
                Self { is_f32: *ty == TensorElementType::Float32, name: ty.to_string(), shape: shape.to_vec() }
            }
            _ => Self { is_f32: false, name: "no tensor".into(), shape: Vec::new() },
        }
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.is_f32 { "float32" } else { &self.name };
        let dims = self.shape.iter().map(|&dim| if dim < 0 { "?".into() } else { dim.to_string() });
        write!(f, "{name} [{}]", dims.collect::<Vec<String>>().join(","))
    }
}

/// Several of them in words.
pub fn listed(types: &[TensorType]) -> String {
    let texts: Vec<String> = types.iter().take(4).map(TensorType::to_string).collect();
    let more = if types.len() > texts.len() { ", ..." } else { "" };
    if texts.is_empty() { "nothing".into() } else { format!("{}{more}", texts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f32_of(shape: &[i64]) -> TensorType {
        TensorType { is_f32: true, name: "f32".into(), shape: shape.into() }
    }

    #[test]
    fn signatures_with_unknown_dimensions_fit_and_others_do_not() {
        let image = f32_of(&[-1, 3, 384, 512]);
        let logits = f32_of(&[-1, 5, -1, -1]);
        let yuv = f32_of(&[1, 12, 192, 256]);
        let pose = f32_of(&[-1, 12]);
        let one = std::slice::from_ref::<TensorType>;
        assert!(Role::SegNet.fits(one(&image), one(&logits)));
        assert!(Role::SegNet.fits(one(&f32_of(&[-1, -1, -1, -1])), one(&f32_of(&[]))));
        assert!(Role::PoseNet.fits(one(&yuv), one(&pose)));
        assert!(!Role::SegNet.fits(one(&yuv), one(&pose)) && !Role::PoseNet.fits(one(&image), one(&logits)));
        for shape in [&[2, 3, 384, 512][..], &[1, 3, 384, 511], &[3, 384, 512], &[1, 3, 384, 512, 1]] {
            assert!(!Role::SegNet.fits(one(&f32_of(shape)), one(&logits)), "{shape:?}");
        }
        for shape in [&[1, 257, 384, 512][..], &[1, 0, 384, 512], &[1, 5, 192, 256], &[4, 5, 384, 512], &[1, 5]] {
            assert!(!Role::SegNet.fits(one(&image), one(&f32_of(shape))), "{shape:?}");
        }
        assert!(!Role::PoseNet.fits(one(&yuv), one(&f32_of(&[1, 5]))));
        assert!(!Role::PoseNet.fits(one(&yuv), &[pose.clone(), pose.clone()]));
        assert!(!Role::PoseNet.fits(&[], one(&pose)));
        let double = TensorType { is_f32: false, name: "f64".into(), shape: yuv.shape.clone() };
        assert!(!Role::PoseNet.fits(one(&double), one(&pose)));
        assert_eq!(listed(&[double, image]), "f64 [1,12,192,256], float32 [?,3,384,512]");
    }
}
