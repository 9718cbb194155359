//! How a run starts, or goes on: what fits together, the folder, the state to begin with. What needs no clip comes first, as a
//! clip may take minutes to be made ready.

use std::collections::BTreeSet;
use std::sync::Arc;

use burn_core::tensor::backend::AutodiffBackend;
use dataset::{Dataset, DatasetError};
use engine::{Engine, FrozenEvaluators, Setup};
use metric::PerceptionStack;
use onnx_burn::Network;
use ops::Ops;
use recipe::{Recipe, TrainingStage};
use report::{Metrics, RunFolder, RunLock};
use repr::{ClassMaps, Clip, FRAMES_PER_SAMPLE};

use crate::checkpoint::{Checkpoint, Position};
use crate::error::RunError;
use crate::identity::RunIdentity;
use crate::observer::Observer;
use crate::resume::{check_folder, check_identity, resumed};

/// Makes the clip ready for the recipe's decoder, with what the evaluators say of it.
pub type Load<'a> = dyn FnMut(Option<&mut dyn PerceptionStack>) -> Result<Dataset, DatasetError> + 'a;

/// What is to be run, and where.
pub struct Job<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// Makes the clip ready; asked once all is in order that needs no clip.
    pub load: &'a mut Load<'a>,
    /// Those that the recipe names, if it names any.
    pub evaluators: Option<&'a mut dyn PerceptionStack>,
    /// Where everything is kept.
    pub folder: &'a RunFolder,
    /// Whether to go on with the run in the folder.
    pub resume: bool,
}

/// What is run: a job whose clip is ready.
#[derive(Clone, Copy)]
pub(crate) struct Task<'a> {
    pub recipe: &'a Recipe,
    pub dataset: &'a Dataset,
    pub folder: &'a RunFolder,
}

/// A run between two of its steps, as it stands at its start.
pub(crate) struct Opened<B: AutodiffBackend + Ops> {
    pub dataset: Dataset,
    pub clip: Clip,
    pub identity: RunIdentity,
    pub engine: Engine<B>,
    /// The class maps that the decoder is fed with, if it is.
    pub maps: Option<Arc<ClassMaps>>,
    pub metrics: Metrics,
    pub position: Position,
    /// Keeps other processes out of the folder for as long as it lives.
    pub lock: RunLock,
}

/// Checks that the parts of a job fit together, claims its folder, loads what a run goes on from, and the clip.
pub(crate) fn open<B: AutodiffBackend + Ops>(
    job: &mut Job<'_>,
    device: &B::Device,
    observer: &mut dyn Observer,
) -> Result<Opened<B>, RunError> {
    let (recipe, folder) = (job.recipe, job.folder);
    keep_apart(recipe, folder)?;
    let mut lock = RunLock::claim(folder)?;
    let config = recipe.to_toml()?;
    let new = check_folder(folder, &config, job.resume)?;
    let before = if new { None } else { resumed(folder, recipe, &config)? };
    if let (Some(checkpoint), Some(stack)) = (&before, &job.evaluators) {
        check_networks(checkpoint, folder, &**stack)?;
    }
    let networks = networks::<B>(recipe, device)?;

    let dataset = (job.load)(job.evaluators.as_mut().map(|stack| &mut **stack as _))?;
    let clip = clip(recipe, &dataset)?;
    check_evaluators(job, &dataset)?;
    let identity =
        RunIdentity::new(&config, dataset.content_hash(), job.evaluators.as_ref().map(|it| it.identity().networks));
    if let Some(checkpoint) = &before {
        check_identity(checkpoint, folder, &clip, &identity, observer)?;
    }
    let maps = class_maps(recipe, &dataset)?;
    if new {
        output::write_whole(folder.config(), config.as_bytes())?;
    }
    lock.keep();
    let setup = Setup {
        maps: maps.clone(),
        architecture: recipe.decoder().clone(),
        clip: clip.clone(),
        clip_bytes: dataset.info().clip_bytes,
        training: recipe.training().clone(),
    };
    let (position, state) = match before {
        Some(checkpoint) => (checkpoint.metadata.position.clone(), checkpoint.state()),
        None => (Position::default(), None),
    };
    let metrics = Metrics::open(folder, position.epochs_done)?;
    let batches = asked_batches(recipe.stages(), clip.samples());
    let camera = (clip.height(), clip.width());
    let evaluators = networks.map(|[segnet, posenet]| FrozenEvaluators::new(segnet, posenet, camera, &batches));
    let evaluators = evaluators.transpose()?;
    let engine = Engine::new(setup, evaluators, state.as_ref(), device.clone());
    Ok(Opened { dataset, clip, identity, engine, maps, metrics, position, lock })
}

/// What SegNet sees in the original, where the decoder is fed with it.
fn class_maps(recipe: &Recipe, dataset: &Dataset) -> Result<Option<Arc<ClassMaps>>, RunError> {
    let originals = dataset.originals().unwrap_or_default();
    let Some(shape) = recipe.decoder().map_shape(originals.len())? else { return Ok(None) };
    let values: Vec<u8> = originals.iter().flat_map(|original| original.classes.iter().copied()).collect();
    let (found, expected) = (values.iter().max().map_or(0, |&class| usize::from(class) + 1), shape.classes());
    if found == 1 {
        return Err(RunError::OneClass(dataset.info().name.to_string()));
    }
    if found > expected {
        return Err(RunError::OtherClasses { found, expected });
    }
    Ok(Some(Arc::new(ClassMaps::new(shape, values)?)))
}

/// No file of the run is a link to what it is made from.
fn keep_apart(recipe: &Recipe, folder: &RunFolder) -> Result<(), RunError> {
    let evaluators = recipe.evaluators().map(|paths| [&paths.segnet, &paths.posenet]);
    let inputs = || [&recipe.clip().path].into_iter().chain(evaluators.into_iter().flatten());
    let mut files = folder.records().into_iter().chain([folder.archive(), folder.report_html()]);
    Ok(files.try_for_each(|file| output::keep_apart(&file, inputs()))?)
}

/// What the dataset is of, if the recipe's decoder can stand for it.
fn clip(recipe: &Recipe, dataset: &Dataset) -> Result<Clip, RunError> {
    let size = |(height, width): (usize, usize)| format!("{height}x{width}");
    let expected = recipe.decoder().output_size();
    if dataset.size() != expected {
        return Err(RunError::OtherSize { found: size(dataset.size()), expected: size(expected) });
    }
    if dataset.frame_count() == 0 {
        return Err(RunError::NoFrames(dataset.info().name.to_string()));
    }
    Ok(dataset.clip()?)
}

/// The evaluators are there if the recipe names some, and the dataset's outputs are theirs.
fn check_evaluators(job: &Job<'_>, dataset: &Dataset) -> Result<(), RunError> {
    if job.recipe.evaluators().is_none() {
        return Ok(());
    }
    if dataset.frame_count() < FRAMES_PER_SAMPLE {
        return Err(RunError::NoPair(dataset.info().name.to_string()));
    }
    let found = match (dataset.networks(), &job.evaluators) {
        (None, _) => "holds no outputs",
        (Some(_), None) => "was not read together with the networks",
        (Some(networks), Some(evaluators)) if networks == evaluators.identity().networks => return Ok(()),
        _ => "holds the outputs of others, not",
    };
    Err(RunError::OtherEvaluators { found })
}

/// The evaluators are those that the run began with, as far as its checkpoint tells.
fn check_networks(checkpoint: &Checkpoint, folder: &RunFolder, stack: &dyn PerceptionStack) -> Result<(), RunError> {
    let Some(before) = checkpoint.metadata.identity.as_ref().and_then(|identity| identity.networks) else {
        return Ok(());
    };
    let now = stack.identity().networks;
    let other = |role| Err(RunError::OtherNetwork { folder: folder.path().into(), role });
    match (before.segnet == now.segnet, before.posenet == now.posenet) {
        (true, true) => Ok(()),
        (false, _) => other("SegNet"),
        (true, false) => other("PoseNet"),
    }
}

/// The evaluators that the recipe names, SegNet and PoseNet, as networks that can be trained through; none where no stage asks.
fn networks<B: AutodiffBackend + Ops>(
    recipe: &Recipe,
    device: &B::Device,
) -> Result<Option<[Network<B>; 2]>, RunError> {
    let batch = asking(recipe.stages()).map(|stage| stage.batch.get()).min();
    let (Some(paths), Some(batch)) = (recipe.evaluators(), batch) else { return Ok(None) };
    let segnet = Network::read(&paths.segnet, FrozenEvaluators::<B>::segnet_input(batch), device)?;
    let posenet = Network::read(&paths.posenet, FrozenEvaluators::<B>::posenet_input(batch), device)?;
    Ok(Some([segnet, posenet]))
}

/// The stages that ask evaluators.
fn asking(stages: &[TrainingStage]) -> impl Iterator<Item = &TrainingStage> {
    stages.iter().filter(|stage| stage.loss.perception.is_some())
}

/// How many pairs the evaluators see at once: those of a step, and those that are left for an epoch's last one.
fn asked_batches(stages: &[TrainingStage], samples: usize) -> BTreeSet<usize> {
    let sizes = asking(stages).flat_map(|stage| [stage.batch.get().min(samples), samples % stage.batch]);
    sizes.filter(|&size| size > 0).collect()
}
