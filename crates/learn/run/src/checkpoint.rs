//! Checkpoints: safetensors files that hold a run's whole state and what it is a state of.
//!
//! Tensors are named `ema/<parameter>` (what `hnerv encode` takes), and in a resumable checkpoint also
//! `weights/<parameter>`, `moment_1/<parameter>`, `moment_2/<parameter>`, `rated/<parameter>`. Parameters are `[out, fan_in]`, biases
//! `[out, 1]`, `latents` `[latents, latent_dim]`. `maps` are class maps
//! as an archive holds them, where there are any. The header's metadata has one key, `hnerv`, with the rest as JSON.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::{HostState, Key, Parameters, Shapes, UnquantizableError};
use repr::{Architecture, Clip, ClipName, Representation, Tensors, TensorsError};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::identity::{IdentityHeader, RunIdentity};

/// Largest checkpoint that is read: five copies of the largest decoder and its latents fit.
const MAX_BYTES: u64 = 2 << 30;
const METADATA_KEY: &str = "hnerv";
const MAPS_KEY: &str = "maps";
const VERSION: u32 = 2;
const GROUPS: [&str; 5] = ["ema", "weights", "moment_1", "moment_2", "rated"];

/// What a checkpoint is a state of.
#[derive(Clone, Debug, PartialEq)]
pub struct Metadata {
    /// The decoder.
    pub architecture: Architecture,
    /// The clip that it stands for.
    pub clip: Clip,
    /// Bits of the archive's weights, [`repr::MIN_BITS`] to [`repr::MAX_BITS`].
    pub bits: u8,
    /// Where the run stood.
    pub position: Position,
    /// What the run began with; checkpoints of older programs do not tell.
    pub identity: Option<RunIdentity>,
}

/// The metadata as JSON has it.
#[derive(Serialize, Deserialize)]
struct Header {
    /// Of the checkpoint's layout.
    version: u32,
    architecture: Architecture,
    clip_name: String,
    clip_frames: usize,
    /// Rows and columns.
    clip_size: (usize, usize),
    bits: u8,
    position: Position,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    identity: Option<IdentityHeader>,
}

impl Metadata {
    fn to_json(&self) -> Result<String, serde_json::Error> {
        let Self { architecture, clip, bits, position, identity } = self;
        serde_json::to_string(&Header {
            version: VERSION,
            architecture: architecture.clone(),
            clip_name: clip.name().to_string(),
            clip_frames: clip.frames(),
            clip_size: (clip.height(), clip.width()),
            bits: *bits,
            position: position.clone(),
            identity: identity.as_ref().map(IdentityHeader::from),
        })
    }

    fn from_json(json: &str) -> Result<Self, String> {
        let header: Header = serde_json::from_str(json).map_err(|e| format!("its metadata: {e}"))?;
        let Header { version, architecture, clip_name, clip_frames, clip_size, bits, position, identity } = header;
        let (height, width) = clip_size;
        if version != VERSION {
            return Err(format!("version {version}, this program reads {VERSION}; use the program that wrote it"));
        }
        if !(repr::MIN_BITS..=repr::MAX_BITS).contains(&bits) {
            return Err(format!("its metadata: {bits} bits"));
        }
        let clip = ClipName::new(clip_name).and_then(|name| Clip::new(name, clip_frames, height, width));
        let identity = identity.map(RunIdentity::try_from).transpose().map_err(|e| format!("its metadata: {e}"))?;
        Ok(Self { architecture, clip: clip.map_err(|e| e.to_string())?, bits, position, identity })
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
    /// SegNet's and PoseNet's distortion of each pair as of the end of the last epoch, when it was last trained on; none of a
    /// network that was not asked then, and empty where neither was.
    #[serde(default)]
    pub distortions: Vec<[Option<f64>; 2]>,
    /// The same, with those of the running epoch.
    #[serde(default)]
    pub newest_distortions: Vec<[Option<f64>; 2]>,
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

/// Shape and values by name: one of [`GROUPS`] as the file has it.
type Group = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// A checkpoint in memory, on no device.
pub struct Checkpoint {
    /// What it is a state of.
    pub metadata: Metadata,
    /// The moving average of all that is learned.
    pub average: Parameters<Vec<f32>>,
    /// The class maps that the decoder is fed with, as an archive holds them; empty where there are none.
    pub maps: Arc<[u8]>,
    /// What else a resumable checkpoint holds.
    rest: Option<Rest>,
}

struct Rest {
    weights: Parameters<Vec<f32>>,
    moments: [Parameters<Option<Vec<f32>>>; 2],
    rated: Option<Parameters<Vec<f32>>>,
}

impl Checkpoint {
    /// A resumable checkpoint of `state`, with class maps as an archive holds them.
    pub fn of_state(metadata: Metadata, state: HostState, maps: Arc<[u8]>) -> Self {
        let HostState { average, weights, moments, rated, steps: _ } = state;
        Self { metadata, average, maps, rest: Some(Rest { weights, moments, rated }) }
    }

    /// A checkpoint of the moving average alone.
    pub fn of_average(metadata: Metadata, average: Parameters<Vec<f32>>, maps: Arc<[u8]>) -> Self {
        Self { metadata, average, maps, rest: None }
    }

    /// Whether a run can go on from it: not from the moving average alone.
    pub fn is_resumable(&self) -> bool {
        self.rest.is_some()
    }

    /// The state to resume from, or nothing for a checkpoint of the moving average alone.
    pub fn state(&self) -> Option<HostState> {
        let Rest { weights, moments, rated } = self.rest.as_ref()?;
        Some(HostState {
            average: self.average.clone(),
            weights: weights.clone(),
            moments: moments.clone(),
            rated: rated.clone(),
            steps: self.metadata.position.optimizer_steps,
        })
    }

    /// The moving average of the decoder's parameters. Where a grid's step is learned, values beyond the grid's ends are those
    /// ends, as training took them.
    pub fn tensors(&self) -> Result<Tensors, TensorsError> {
        self.average.tensors(&self.metadata.architecture, self.metadata.bits)
    }

    /// Whether the weights were trained on grids with learned steps.
    pub fn has_steps(&self) -> bool {
        self.average.log_steps.is_some()
    }

    /// The moving average, quantized: parameters as they were trained to be, with the checkpoint's own bits and learned steps, or
    /// plainly to `bits` where some are given; latents to those of the architecture. Class maps are decoded, which takes its time.
    pub fn quantize(&self, bits: Option<u8>) -> Result<Representation, UnquantizableError> {
        let Metadata { architecture, clip, bits: trained, .. } = &self.metadata;
        let shape = architecture.map_shape(clip.samples())?;
        let maps = shape.map(|shape| maps::decode(&self.maps, &shape)).transpose();
        let maps = maps.map_err(|_| UnquantizableError::Maps)?.map(Arc::new);
        self.average.quantize(architecture, clip, maps, *trained, bits)
    }

    /// The groups of the file, in the order of [`GROUPS`].
    fn groups(&self) -> [Group; GROUPS.len()] {
        let layout = Layout::of(&self.metadata);
        let mut groups: [Group; GROUPS.len()] = Default::default();
        groups[0] = layout.group(&self.average.map(|values| Some(values.clone())));
        if let Some(Rest { weights, moments: [first, second], rated }) = &self.rest {
            groups[1] = layout.group(&weights.map(|values| Some(values.clone())));
            groups[2] = layout.group(first);
            groups[3] = layout.group(second);
            if let Some(rated) = rated {
                groups[4] = layout.group(&rated.map(|values| Some(values.clone())));
            }
        }
        groups
    }

    /// Writes the file, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), CheckpointError> {
        let invalid = |message: String| CheckpointError::Invalid { path: path.into(), message };
        let json = self.metadata.to_json().map_err(|e| invalid(e.to_string()))?;
        let mut views = Vec::new();
        let groups = self.groups();
        for (group, prefix) in groups.iter().zip(GROUPS) {
            for (name, (shape, values)) in group {
                let view = TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values))
                    .map_err(|e| invalid(e.to_string()))?;
                views.push((format!("{prefix}/{name}"), view));
            }
        }
        if self.metadata.architecture.table().stem.classes > 0 {
            let view = TensorView::new(Dtype::U8, vec![self.maps.len()], &self.maps);
            views.push((MAPS_KEY.to_string(), view.map_err(|e| invalid(e.to_string()))?));
        }
        let metadata = HashMap::from([(METADATA_KEY.to_string(), json)]);
        let bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| invalid(e.to_string()))?;
        Ok(output::write_whole(path, &bytes)?)
    }

    /// Reads and checks a checkpoint.
    pub fn read(path: &Path) -> Result<Self, CheckpointError> {
        let unreadable = |source| CheckpointError::Unreadable { path: path.into(), source };
        let size = std::fs::metadata(path).map_err(unreadable)?.len();
        if size > MAX_BYTES {
            let message = format!("{size} bytes, more than any checkpoint has; is it the right file?");
            return Err(CheckpointError::Invalid { path: path.into(), message });
        }
        Self::parse(&std::fs::read(path).map_err(unreadable)?, path)
    }

    /// The checkpoint in a file's bytes; `path` names them in an error.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self, CheckpointError> {
        let invalid = |message: String| CheckpointError::Invalid { path: path.into(), message };
        let damaged = |e: safetensors::SafeTensorError| invalid(format!("not a whole safetensors file ({e})"));
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let json = header.metadata().as_ref().and_then(|map| map.get(METADATA_KEY));
        let json = json.ok_or_else(|| invalid("a safetensors file, but not written by hnerv train".into()))?;
        let metadata = Metadata::from_json(json).map_err(invalid)?;

        let mut groups: [Group; GROUPS.len()] = Default::default();
        let mut maps: Option<Arc<[u8]>> = None;
        for (name, view) in SafeTensors::deserialize(bytes).map_err(damaged)?.tensors() {
            if name == MAPS_KEY {
                if view.dtype() != Dtype::U8 {
                    return Err(invalid(format!("{name} are not bytes")));
                }
                maps = Some(view.data().into());
            }
            let Some((prefix, name)) = name.split_once('/') else { continue };
            let Some(group) = GROUPS.iter().position(|known| *known == prefix) else { continue };
            if view.dtype() != Dtype::F32 {
                return Err(invalid(format!("{prefix}/{name} is not f32")));
            }
            let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            groups[group].insert(name.to_string(), (view.shape().to_vec(), values));
        }
        if groups[0].is_empty() {
            return Err(invalid("it holds no tensors under ema/".into()));
        }
        let mapped = metadata.architecture.map_shape(metadata.clip.samples());
        match (mapped.map_err(|error| invalid(error.to_string()))?, &maps) {
            (Some(_), None) => return Err(invalid("it holds no class maps, which its decoder is fed with".into())),
            (None, Some(_)) => return Err(invalid("it holds class maps, and its decoder is fed with none".into())),
            _ => {}
        }
        let layout = Layout::of(&metadata);
        let [average, weights, first, second, rated] = groups;
        let whole = |group: Group| layout.whole(group).map_err(invalid);
        let average = whole(average)?;
        let rest = if weights.is_empty() {
            None
        } else {
            let weights = whole(weights)?;
            let part = |group| layout.part(group, weights.log_steps.is_some()).map_err(invalid);
            let moments = [part(first)?, part(second)?];
            let rated = if rated.is_empty() { None } else { Some(whole(rated)?) };
            Some(Rest { weights, moments, rated })
        };
        Ok(Self { metadata, average, maps: maps.unwrap_or_default(), rest })
    }
}

/// Which tensors a checkpoint has, under which names and in which shapes.
struct Layout {
    architecture: Architecture,
    shapes: Shapes,
}

impl Layout {
    fn of(metadata: &Metadata) -> Self {
        let architecture = metadata.architecture.clone();
        Self { shapes: Shapes::of(&architecture, metadata.clip.samples()), architecture }
    }

    /// Name and shape of a tensor.
    fn entry(&self, key: Key) -> (String, [usize; 2]) {
        (key.name(&self.architecture), self.shapes.get(key).copied().unwrap_or_default())
    }

    /// Tensors as the file has them, as far as they are there.
    fn group(&self, parameters: &Parameters<Option<Vec<f32>>>) -> Group {
        let tensor = |key: Key| {
            let (name, shape) = self.entry(key);
            Some((name, (shape.to_vec(), parameters.get(key)?.clone()?)))
        };
        Key::all(&self.architecture, true).into_iter().filter_map(tensor).collect()
    }

    /// A group that has every tensor; steps, if it has any, for each of the parameters.
    fn whole(&self, group: Group) -> Result<Parameters<Vec<f32>>, String> {
        let is_step = |key: &Key| matches!(key, Key::LogStep(_));
        let mut steps = Key::all(&self.architecture, true).into_iter().filter(is_step);
        let any_step = steps.any(|key| group.contains_key(&self.entry(key).0));
        let parameters = self.part(group, any_step)?;
        for key in Key::all(&self.architecture, any_step) {
            if parameters.get(key).is_none_or(Option::is_none) {
                let (name, expected) = self.entry(key);
                return Err(format!("tensor {name} is missing, must be of shape {expected:?}"));
            }
        }
        Ok(parameters.map(|values| values.clone().unwrap_or_default()))
    }

    /// The tensors of a group as far as they are there.
    fn part(&self, mut group: Group, steps: bool) -> Result<Parameters<Option<Vec<f32>>>, String> {
        let mut take = |key: Key| {
            let (name, expected) = self.entry(key);
            let Some((shape, values)) = group.remove(&name) else { return Ok(None) };
            if shape != expected {
                return Err(format!("tensor {name} is of shape {shape:?}, must be of shape {expected:?}"));
            }
            Ok(Some(values))
        };
        let ids = || self.architecture.parameters().iter().map(|parameter| parameter.id);
        let weights = ids().map(|id| take(Key::Weight(id))).collect::<Result<_, _>>()?;
        let log_steps =
            if steps { Some(ids().map(|id| take(Key::LogStep(id))).collect::<Result<_, _>>()?) } else { None };
        Ok(Parameters { weights, log_steps, latents: take(Key::Latents)? })
    }
}

#[cfg(test)]
mod tests {
    use repr::{Layer, LayerTable, Stage, Stem};

    use super::*;

    #[test]
    fn beyond_a_learned_grid_there_is_its_end() {
        let layers = vec![Layer::Stage(Stage::new(3, 2, 3))];
        let table = LayerTable::new(2, Stem::new(3, 2, 3), layers);
        let architecture = Architecture::new(table).unwrap();
        let clip = Clip::new(ClipName::new("c").unwrap(), 4, 4, 6).unwrap();
        let list = architecture.parameters().to_vec();
        let at = list.iter().position(|parameter| parameter.name == "rgb_0.bias").unwrap();
        let mut weights: Vec<Vec<f32>> = list.iter().map(|parameter| vec![0.1; parameter.len()]).collect();
        weights[at] = vec![0.5, -0.25, 40.0];
        let log_steps = Some(vec![vec![0.01f32.ln()]; list.len()]);
        let average = Parameters { weights, log_steps, latents: vec![0.1, 0.2, 0.3, 0.4] };
        let id = list[at].id;
        let metadata = Metadata { architecture, clip, bits: 8, position: Position::default(), identity: None };
        let checkpoint = Checkpoint::of_average(metadata, average, Arc::default());
        assert!(checkpoint.has_steps());
        let values = checkpoint.tensors().unwrap()[id].to_vec();
        assert!((values[2] - 1.27).abs() < 1e-5 && values[..2] == [0.5, -0.25], "{values:?}");
        let found = |bits| {
            let representation = checkpoint.quantize(bits).unwrap();
            representation.parameters[at].clone()
        };
        assert_eq!(found(None).values, [50, -25, 127]);
        // Plainly in as many bits: the same end, no learned step.
        let plain = found(Some(4));
        assert_eq!(plain.values, [3, -1, 7]);
        assert!((plain.dequantize()[2] - 1.27).abs() < 1e-5);
    }
}
