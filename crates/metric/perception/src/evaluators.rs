//! SegNet and PoseNet: their inputs, their ONNX files, their outputs.

use std::fmt;
use std::path::{Path, PathBuf};

use frames::{Planes, RgbFrame, yuv6};
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{Outlet, TensorElementType, TensorRef, ValueType};

use crate::{PerceptionError, one_line, runtime};

/// Rows of the evaluators' input.
pub const INPUT_HEIGHT: usize = 384;
/// Columns of the evaluators' input.
pub const INPUT_WIDTH: usize = 512;
/// Pixels that SegNet classifies.
pub const PIXELS: usize = INPUT_HEIGHT * INPUT_WIDTH;
/// Pose values that count; PoseNet may give more.
pub const POSE_LEN: usize = 6;
/// Most classes of a SegNet, so that one fits a byte.
const MAX_CLASSES: usize = 256;
/// Largest evaluator file, the limit of the format itself.
const MAX_MODEL_BYTES: u64 = 1 << 31;

/// What the evaluators say about one sample (a frame pair).
#[derive(Clone, Debug, PartialEq)]
pub struct SampleOutputs {
    /// Class of each pixel of the second frame, `[384, 512]`.
    pub classes: Vec<u8>,
    /// The first six pose values.
    pub pose: [f32; POSE_LEN],
}

/// A frame as the evaluators see it: `[3, 384, 512]`, 0 to 255.
pub fn evaluator_input(frame: &RgbFrame) -> Planes {
    frame.resize_bilinear(INPUT_HEIGHT, INPUT_WIDTH)
}

/// Both evaluators, ready to run.
#[derive(Debug)]
pub struct Evaluators {
    segnet: Model,
    posenet: Model,
}

impl Evaluators {
    /// Loads both from ONNX files and checks what they take and give; `threads` is how many each run uses.
    pub fn load(segnet: &Path, posenet: &Path, threads: usize) -> Result<Self, PerceptionError> {
        let segnet = Model::load(Role::SegNet, segnet, threads)?;
        Ok(Self { segnet, posenet: Model::load(Role::PoseNet, posenet, threads)? })
    }

    /// Runs both on the two frames of a sample, of any size.
    pub fn evaluate(&mut self, pair: [&RgbFrame; 2]) -> Result<SampleOutputs, PerceptionError> {
        let [first, second] = pair.map(evaluator_input);
        self.evaluate_planes([&first, &second])
    }

    /// Runs both on a sample at the evaluators' size, two times `[3, 384, 512]` in 0 to 255.
    pub fn evaluate_planes(&mut self, pair: [&Planes; 2]) -> Result<SampleOutputs, PerceptionError> {
        Ok(SampleOutputs { classes: self.classes(pair[1])?, pose: self.pose(pair)? })
    }

    /// SegNet's class of each pixel of one frame, `[384, 512]`; the lowest one where several are equal.
    pub fn classes(&mut self, frame: &Planes) -> Result<Vec<u8>, PerceptionError> {
        check_input(frame)?;
        self.segnet.run(frame.data(), |logits| argmax(logits, PIXELS))
    }

    /// PoseNet's first six outputs for two frames.
    pub fn pose(&mut self, pair: [&Planes; 2]) -> Result<[f32; POSE_LEN], PerceptionError> {
        let mut input = Vec::with_capacity(3 * PIXELS);
        for frame in pair {
            check_input(frame)?;
            input.extend_from_slice(yuv6(frame).data());
        }
        self.posenet.run(&input, |values| {
            let pose = values.first_chunk::<POSE_LEN>().filter(|pose| pose.iter().all(|v| v.is_finite()));
            pose.copied().ok_or("a pose that is not finite")
        })
    }

    /// Hash of SegNet's file.
    pub fn segnet_hash(&self) -> blake3::Hash {
        self.segnet.hash
    }

    /// Hash of PoseNet's file.
    pub fn posenet_hash(&self) -> blake3::Hash {
        self.posenet.hash
    }
}

fn check_input(planes: &Planes) -> Result<(), PerceptionError> {
    let found = [planes.channels(), planes.height(), planes.width()];
    if found == [3, INPUT_HEIGHT, INPUT_WIDTH] { Ok(()) } else { Err(PerceptionError::Input { found }) }
}

/// Index of the largest of the values `[classes, pixels]` of each pixel, the first where several are equal.
fn argmax(logits: &[f32], pixels: usize) -> Result<Vec<u8>, &'static str> {
    let mut planes = logits.chunks_exact(pixels);
    let mut best = planes.next().unwrap_or_default().to_vec();
    let mut classes = vec![0; best.len()];
    let mut nan = best.iter().any(|v| v.is_nan());
    for (class, plane) in (1u8..).zip(planes) {
        for ((best, found), &value) in best.iter_mut().zip(&mut classes).zip(plane) {
            nan |= value.is_nan();
            if value > *best {
                *best = value;
                *found = class;
            }
        }
    }
    if nan { Err("logits that are not a number") } else { Ok(classes) }
}

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
    fn input(self) -> [i64; 3] {
        match self {
            Self::SegNet => [3, INPUT_HEIGHT as i64, INPUT_WIDTH as i64],
            Self::PoseNet => [12, INPUT_HEIGHT as i64 / 2, INPUT_WIDTH as i64 / 2],
        }
    }

    /// Whether the output may have these dimensions, the batch included; negative ones are unknown.
    fn takes_output(self, shape: &[i64]) -> bool {
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
    fn needed(self) -> String {
        let [channels, height, width] = self.input();
        let output = match self {
            Self::SegNet => format!("[n,classes,{height},{width}] with at most {MAX_CLASSES} classes"),
            Self::PoseNet => format!("[n,k] with k of at least {POSE_LEN}"),
        };
        format!("float32 [n,{channels},{height},{width}] -> float32 {output}")
    }

    fn other(self) -> Self {
        match self {
            Self::SegNet => Self::PoseNet,
            Self::PoseNet => Self::SegNet,
        }
    }

    /// Whether one input and one output of these types, the batch unknown or 1, fit.
    fn fits(self, inputs: &[TensorType], outputs: &[TensorType]) -> bool {
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
struct TensorType {
    is_f32: bool,
    name: String,
    shape: Vec<i64>,
}

impl TensorType {
    fn of(outlet: &Outlet) -> Self {
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

fn listed(types: &[TensorType]) -> String {
    let texts: Vec<String> = types.iter().take(4).map(TensorType::to_string).collect();
    let more = if types.len() > texts.len() { ", ..." } else { "" };
    if texts.is_empty() { "nothing".into() } else { format!("{}{more}", texts.join(", ")) }
}

/// One evaluator.
#[derive(Debug)]
struct Model {
    role: Role,
    path: PathBuf,
    hash: blake3::Hash,
    session: Session,
}

impl Model {
    fn load(role: Role, path: &Path, threads: usize) -> Result<Self, PerceptionError> {
        let bytes = crate::read_limited(path, MAX_MODEL_BYTES)?;
        let environment = runtime::environment()?;
        let session = session(&environment, &bytes, threads).map_err(|error| {
            let mut detail = one_line(&error);
            if detail.contains("xternal data") {
                detail += "; save the model with its weights inside the file";
            }
            PerceptionError::Model { path: path.into(), role, detail }
        })?;
        let inputs: Vec<TensorType> = session.inputs().iter().map(TensorType::of).collect();
        let outputs: Vec<TensorType> = session.outputs().iter().map(TensorType::of).collect();
        if !role.fits(&inputs, &outputs) {
            return Err(PerceptionError::Signature {
                path: path.into(),
                role,
                found: format!("{} -> {}", listed(&inputs), listed(&outputs)),
                needed: role.needed(),
                swapped: role.other().fits(&inputs, &outputs),
            });
        }
        Ok(Self { role, path: path.into(), hash: blake3::hash(&bytes), session })
    }

    /// Runs on one input (the batch is 1) and reads the output's values with `read`.
    fn run<T>(
        &mut self,
        input: &[f32],
        read: impl FnOnce(&[f32]) -> Result<T, &'static str>,
    ) -> Result<T, PerceptionError> {
        let (role, path) = (self.role, &self.path);
        let failed = |detail: String| PerceptionError::Run { path: path.clone(), role, detail };
        let [channels, height, width] = role.input();
        let run = || -> Result<Result<T, String>, ort::Error> {
            let tensor = TensorRef::from_array_view(([1, channels, height, width], input))?;
            let outputs = self.session.run(ort::inputs![tensor])?;
            let Some(output) = outputs.values().next() else { return Ok(Err("no output".into())) };
            let (shape, values) = output.try_extract_tensor::<f32>()?;
            if !role.takes_output(shape) {
                return Ok(Err(format!("an output of {:?}, needed is {}", &shape[..], role.needed())));
            }
            Ok(read(values).map_err(str::to_string))
        };
        run().map_err(|error| failed(one_line(&error)))?.map_err(failed)
    }
}

fn session(environment: &ort::environment::Environment, bytes: &[u8], threads: usize) -> ort::Result<Session> {
    // Denormals slow some models down many times over; flushed, they change nothing that counts.
    Session::builder(environment)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(threads.max(1))?
        .with_intra_op_spinning(false)?
        .with_flush_to_zero()?
        // Weights beside the file would be in no hash; a folder that cannot be makes them an error.
        .with_config_entry("session.model_external_initializers_file_folder_path", "/dev/null")?
        .with_log_level(ort::logging::LogLevel::Fatal)?
        .commit_from_memory(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f32_of(shape: &[i64]) -> TensorType {
        TensorType { is_f32: true, name: "f32".into(), shape: shape.into() }
    }

    #[test]
    fn the_first_of_equal_logits_wins_and_nan_is_refused() {
        // Three classes, four pixels.
        let logits = [1.0, 2.0, 0.0, -1.0, 3.0, 2.0, 0.0, -2.0, 2.0, 4.0, f32::NEG_INFINITY, -3.0];
        assert_eq!(argmax(&logits, 4).unwrap(), [1, 2, 0, 0]);
        for position in 0..logits.len() {
            let mut broken = logits;
            broken[position] = f32::NAN;
            assert!(argmax(&broken, 4).is_err(), "{position}");
        }
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
