//! Checkpoints: safetensors files that hold a run's whole state and what it is a state of.
//!
//! Tensors are named `ema/<parameter>` (what `hnerv encode` takes), and in a resumable checkpoint also
//! `weights/<parameter>`, `moment_1/<parameter>`, `moment_2/<parameter>`, `rated/<parameter>`. Parameters are `[out, fan_in]`, biases
//! `[out, 1]`, `latents` `[samples, latent_dim]`. The header's metadata has one key, `hnerv`, with the rest as JSON.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use burn_core::tensor::backend::Backend;
use burn_core::tensor::{Tensor, TensorData};
use repr::{Architecture, Clip, Tensors};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::fake_quantize::{is_step, levels, step_name};
use crate::model::{LATENTS, Parameters};
use crate::optimizer::State;

/// Largest checkpoint that is read: five copies of the largest decoder and its latents fit.
const MAX_BYTES: u64 = 2 << 30;
const METADATA_KEY: &str = "hnerv";
const VERSION: u32 = 2;
const GROUPS: [&str; 5] = ["ema", "weights", "moment_1", "moment_2", "rated"];

/// What a checkpoint is a state of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// Version of the checkpoint's layout.
    pub version: u32,
    /// The decoder.
    pub architecture: Architecture,
    /// Name of the clip, for the archive.
    pub clip_name: String,
    /// Frames of the clip.
    pub clip_frames: usize,
    /// Rows and columns of the clip's frames.
    pub clip_size: (usize, usize),
    /// Bits of the archive's weights.
    pub bits: u8,
    /// Where the run stood.
    pub position: Position,
}

impl Metadata {
    /// Metadata of this layout's version.
    pub fn new(architecture: Architecture, clip: &Clip, bits: u8, position: Position) -> Self {
        let clip_size = (clip.height, clip.width);
        Self {
            version: VERSION,
            architecture,
            clip_name: clip.name.clone(),
            clip_frames: clip.frames,
            clip_size,
            bits,
            position,
        }
    }

    /// The clip.
    pub fn clip(&self) -> Clip {
        let (height, width) = self.clip_size;
        Clip { name: self.clip_name.clone(), frames: self.clip_frames, height, width }
    }
}

/// Where a run stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Index of the stage.
    pub stage: usize,
    /// Finished epochs of that stage.
    pub epoch: usize,
    /// Finished steps of the epoch after that.
    pub step: usize,
    /// Finished epochs of all stages.
    pub epochs_done: usize,
    /// Sum of the losses of the finished steps of the running epoch.
    pub loss_sum: f64,
    /// Sum of the mean squared errors likewise, on RGB in 0..1; 0 where the loss has no pixel terms.
    pub mse_sum: f64,
    /// Sum of SegNet's and PoseNet's distortions likewise; 0 where they are not asked.
    pub distortion_sums: [f64; 2],
    /// SegNet's and PoseNet's distortion of each pair as of the end of the last epoch, when it was last trained on; empty
    /// before they were asked.
    #[serde(default)]
    pub distortions: Vec<[f64; 2]>,
    /// The same, with those of the running epoch.
    #[serde(default)]
    pub newest_distortions: Vec<[f64; 2]>,
    /// Best evaluation so far, higher is better: minus the score, or the PSNR in dB where there are no evaluators.
    pub best: Option<f64>,
    /// Evaluations of this stage since then.
    pub stale: usize,
    /// Seconds trained.
    pub seconds: f64,
    /// Steps of the optimizer in this stage.
    pub optimizer_steps: usize,
}

/// Why a checkpoint cannot be read or written.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// The file cannot be read.
    #[error("checkpoint {path}: {source}; check the path")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no checkpoint, damaged, or does not fit.
    #[error("checkpoint {path}: {message}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The file cannot be written.
    #[error(transparent)]
    Output(#[from] output::OutputError),
}

type Group = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// A checkpoint in memory, on no device.
pub struct Checkpoint {
    /// What it is a state of.
    pub metadata: Metadata,
    groups: [Group; GROUPS.len()],
}

impl Checkpoint {
    /// A resumable checkpoint of `state`.
    pub fn of_state<B: Backend>(metadata: Metadata, state: &State<B>) -> Self {
        let [first, second] = &state.moments;
        Self { metadata, groups: [&state.ema, &state.weights, first, second, &state.rated].map(to_host) }
    }

    /// A checkpoint of the moving average alone.
    pub fn of_average<B: Backend>(metadata: Metadata, ema: &Parameters<B>) -> Self {
        let mut groups: [Group; GROUPS.len()] = Default::default();
        groups[0] = to_host(ema);
        Self { metadata, groups }
    }

    /// The state to resume from, or nothing for a checkpoint of the moving average alone.
    pub fn state<B: Backend>(&self, device: &B::Device) -> Option<State<B>> {
        let [ema, weights, first, second, rated] = &self.groups;
        if weights.len() != ema.len() {
            return None;
        }
        let load = |group| load::<B>(group, device);
        let moments = [load(first), load(second)];
        let steps = self.metadata.position.optimizer_steps;
        Some(State { weights: load(weights), ema: load(ema), moments, rated: load(rated), steps })
    }

    /// The moving average as a state's weights.
    pub fn average_parameters<B: Backend>(&self, device: &B::Device) -> Parameters<B> {
        load(&self.groups[0], device)
    }

    /// The moving average in the architecture's shapes, and the latents, `[samples, latent_dim]` row-major. Where a grid's step
    /// is learned, values beyond the grid's ends are those ends, as training took them.
    pub fn average(&self) -> (Tensors, Vec<f32>) {
        let group = &self.groups[0];
        let mut tensors = Tensors::default();
        for parameter in self.metadata.architecture.parameters() {
            let Some((_, values)) = group.get(&parameter.name) else { continue };
            let end = self.step(&parameter.name).map(|step| step * levels(self.metadata.bits) as f32);
            let within = |&value: &f32| end.map_or(value, |end| value.max(-end).min(end));
            let tensor = repr::Tensor { shape: parameter.shape, values: values.iter().map(within).collect() };
            tensors.0.insert(parameter.name, tensor);
        }
        (tensors, group.get(LATENTS).map(|(_, values)| values.clone()).unwrap_or_default())
    }

    /// The learned step of a parameter's grid in the moving average, if it has one.
    pub fn step(&self, name: &str) -> Option<f32> {
        let (_, values) = self.groups[0].get(&step_name(name))?;
        values.first().map(|step| step.exp())
    }

    /// Whether the weights were trained on grids with learned steps.
    pub fn has_steps(&self) -> bool {
        self.groups[0].keys().any(|name| is_step(name))
    }

    /// Writes the file, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), CheckpointError> {
        let invalid = |message: String| CheckpointError::Invalid { path: path.into(), message };
        let json = serde_json::to_string(&self.metadata).map_err(|e| invalid(e.to_string()))?;
        let mut views = Vec::new();
        for (group, prefix) in self.groups.iter().zip(GROUPS) {
            for (name, (shape, values)) in group {
                let view = TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values))
                    .map_err(|e| invalid(e.to_string()))?;
                views.push((format!("{prefix}/{name}"), view));
            }
        }
        let metadata = HashMap::from([(METADATA_KEY.to_string(), json)]);
        let bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| invalid(e.to_string()))?;
        Ok(output::write_whole(path, &bytes)?)
    }

    /// Reads and checks a checkpoint.
    pub fn read(path: &Path) -> Result<Self, CheckpointError> {
        let unreadable = |source| CheckpointError::Unreadable { path: path.into(), source };
        let invalid = |message: String| CheckpointError::Invalid { path: path.into(), message };
        let size = std::fs::metadata(path).map_err(unreadable)?.len();
        if size > MAX_BYTES {
            return Err(invalid(format!("{size} bytes, more than any checkpoint has; is it the right file?")));
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        let damaged = |e: safetensors::SafeTensorError| invalid(format!("not a whole safetensors file ({e})"));
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
        let json = header.metadata().as_ref().and_then(|map| map.get(METADATA_KEY));
        let json = json.ok_or_else(|| invalid("a safetensors file, but not written by hnerv train".into()))?;
        let metadata: Metadata = serde_json::from_str(json).map_err(|e| invalid(format!("its metadata: {e}")))?;
        if metadata.version != VERSION {
            let found = metadata.version;
            return Err(invalid(format!(
                "version {found}, this program reads {VERSION}; use the program that wrote it"
            )));
        }
        metadata.architecture.validate().map_err(|e| invalid(e.to_string()))?;
        metadata.clip().validate().map_err(|e| invalid(e.to_string()))?;

        let mut groups: [Group; GROUPS.len()] = Default::default();
        for (name, view) in SafeTensors::deserialize(&bytes).map_err(damaged)?.tensors() {
            let Some((prefix, name)) = name.split_once('/') else { continue };
            let Some(group) = GROUPS.iter().position(|known| *known == prefix) else { continue };
            if view.dtype() != Dtype::F32 {
                return Err(invalid(format!("{prefix}/{name} is not f32")));
            }
            let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            groups[group].insert(name.to_string(), (view.shape().to_vec(), values));
        }
        let checkpoint = Self { metadata, groups };
        for (index, group) in checkpoint.groups.iter().enumerate().filter(|(_, group)| !group.is_empty()) {
            checkpoint.check(group, index < 2).map_err(invalid)?;
        }
        if checkpoint.groups[0].is_empty() {
            return Err(invalid("it holds no tensors under ema/".into()));
        }
        Ok(checkpoint)
    }

    /// Every parameter and the latents have their shapes and, in a `complete` group, are there.
    fn check(&self, group: &Group, complete: bool) -> Result<(), String> {
        let architecture = &self.metadata.architecture;
        let mut shapes: Vec<(String, [usize; 2])> =
            architecture.parameters().into_iter().map(|p| (p.name.clone(), [p.shape[0], p.fan_in()])).collect();
        shapes.push((LATENTS.into(), [self.metadata.clip().samples(), architecture.latent_dim]));
        for (name, expected) in shapes {
            let step = group.get(&step_name(&name)).map(|(shape, _)| shape.as_slice());
            if step.is_some_and(|shape| shape != [1, 1]) {
                return Err(format!("tensor {} is not of shape [1, 1]", step_name(&name)));
            }
            let found = group.get(&name).map(|(shape, _)| shape.as_slice());
            if found != Some(expected.as_slice()) && (complete || found.is_some()) {
                let found = found.map_or("missing".into(), |shape| format!("of shape {shape:?}"));
                return Err(format!("tensor {name} is {found}, must be of shape {expected:?}"));
            }
        }
        Ok(())
    }
}

fn load<B: Backend>(group: &Group, device: &B::Device) -> Parameters<B> {
    let tensor = |(name, (shape, values)): (&String, &(Vec<usize>, Vec<f32>))| {
        (name.clone(), Tensor::from_data(TensorData::new(values.clone(), shape.clone()), device))
    };
    group.iter().map(tensor).collect()
}

fn to_host<B: Backend>(parameters: &Parameters<B>) -> Group {
    let host = |(name, tensor): (&String, &Tensor<B, 2>)| (name.clone(), (tensor.dims().to_vec(), values(tensor)));
    parameters.iter().map(host).collect()
}

/// A tensor's values on the host, row-major.
pub fn values<B: Backend>(tensor: &Tensor<B, 2>) -> Vec<f32> {
    tensor.clone().into_data().iter::<f32>().collect()
}
