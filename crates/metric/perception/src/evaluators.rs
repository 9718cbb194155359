//! SegNet and PoseNet: their ONNX files, loaded and run.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use frames::{Planes, yuv6};
use metric::{INPUT_HEIGHT, INPUT_WIDTH, NetworkHashes, PIXELS, POSE_LEN, PerceptionStack, StackError, StackIdentity};
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::TensorRef;

use crate::error::PerceptionError;
use crate::message::one_line;
use crate::runtime;
use crate::signature::{Role, TensorType, listed};

/// Largest evaluator file, the limit of the format itself.
const MAX_MODEL_BYTES: u64 = 1 << 31;

/// Both evaluators, ready to run.
#[derive(Debug)]
pub struct Evaluators {
    segnet: Model,
    posenet: Model,
}

impl Evaluators {
    /// Loads both from ONNX files and checks what they take and give, by a run too, as a file need not say it; `threads` is how
    /// many each run uses.
    pub fn load(segnet: &Path, posenet: &Path, threads: usize) -> Result<Self, PerceptionError> {
        let segnet = Model::load(Role::SegNet, segnet, threads)?;
        let posenet = Model::load(Role::PoseNet, posenet, threads)?;
        let mut evaluators = Self { segnet, posenet };
        for model in [&mut evaluators.segnet, &mut evaluators.posenet] {
            // Black frames: what a network makes of them does not count, only that it does.
            model.run(&vec![0.0; 3 * PIXELS], |_| Ok(()))?;
        }
        Ok(evaluators)
    }
}

impl PerceptionStack for Evaluators {
    fn identity(&self) -> StackIdentity {
        let networks = NetworkHashes { segnet: self.segnet.hash.into(), posenet: self.posenet.hash.into() };
        StackIdentity { networks, runtime: ort::info().into() }
    }

    fn classes(&mut self, frame: &Planes) -> Result<Vec<u8>, StackError> {
        check_input(frame).map_err(StackError::new)?;
        self.segnet.run(frame.data(), |logits| argmax(logits, PIXELS)).map_err(StackError::new)
    }

    fn pose(&mut self, pair: [&Planes; 2]) -> Result<[f32; POSE_LEN], StackError> {
        let mut input = Vec::with_capacity(3 * PIXELS);
        for frame in pair {
            check_input(frame).map_err(StackError::new)?;
            input.extend_from_slice(yuv6(frame).data());
        }
        let read = |values: &[f32]| {
            let pose = values.first_chunk::<POSE_LEN>().filter(|pose| pose.iter().all(|v| v.is_finite()));
            pose.copied().ok_or("a pose that is not finite")
        };
        self.posenet.run(&input, read).map_err(StackError::new)
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
        let bytes = read_limited(path, MAX_MODEL_BYTES)?;
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

/// Reads a regular file of at most `limit` bytes.
pub(crate) fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, PerceptionError> {
    let read = || -> io::Result<Vec<u8>> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        if metadata.len() > limit {
            return Err(io::Error::other(format!("{} bytes, at most {limit} are possible", metadata.len())));
        }
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|cause| PerceptionError::Read { path: path.into(), cause })
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
}
