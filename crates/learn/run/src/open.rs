//! How a run starts, or goes on: what fits together, the folder, the state to begin with.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::PathBuf;

use burn_core::tensor::backend::AutodiffBackend;
use dataset::Dataset;
use engine::{Engine, FrozenEvaluators, HostState, Setup};
use metric::PerceptionStack;
use onnx_burn::Network;
use ops::Ops;
use recipe::{Recipe, TrainingStage};
use report::{Metrics, RunFolder};
use repr::{Clip, FRAMES_PER_SAMPLE};

use crate::checkpoint::{Checkpoint, Position};
use crate::error::RunError;

/// What is to be run, and where.
pub struct Job<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// The clip, made ready for the recipe's decoder.
    pub dataset: &'a Dataset,
    /// Those that the recipe names, if it names any.
    pub evaluators: Option<&'a mut dyn PerceptionStack>,
    /// Where everything is kept.
    pub folder: &'a RunFolder,
    /// Whether to go on with the run in the folder.
    pub resume: bool,
}

/// A run between two of its steps, as it stands at its start.
pub(crate) struct Opened<B: AutodiffBackend + Ops> {
    pub clip: Clip,
    pub engine: Engine<B>,
    pub metrics: Metrics,
    pub position: Position,
    /// Keeps other processes out of the folder for as long as it lives.
    pub lock: File,
}

/// Checks that the parts of a job fit together, opens its folder and loads what a run goes on from.
pub(crate) fn open<B: AutodiffBackend + Ops>(job: &Job<'_>, device: &B::Device) -> Result<Opened<B>, RunError> {
    let Job { recipe, dataset, folder, .. } = job;
    let size = |(height, width): (usize, usize)| format!("{height}x{width}");
    let expected = recipe.decoder().output_size();
    if dataset.size() != expected {
        return Err(RunError::OtherSize { found: size(dataset.size()), expected: size(expected) });
    }
    if dataset.frame_count() == 0 {
        return Err(RunError::NoFrames(dataset.info().name.to_string()));
    }
    let clip = dataset.clip()?;
    check_evaluators(job)?;
    let networks = networks(recipe, &clip, device)?;
    let lock = lock(job.folder)?;
    open_folder(job)?;
    let (position, state) = resumed(job, &clip)?;
    let setup = Setup {
        architecture: recipe.decoder().clone(),
        clip: clip.clone(),
        clip_bytes: dataset.info().clip_bytes,
        training: recipe.training().clone(),
    };
    let metrics = Metrics::open(folder, position.epochs_done)?;
    Ok(Opened { engine: Engine::new(setup, networks, state.as_ref(), device.clone()), clip, metrics, position, lock })
}

/// The evaluators are there if the recipe names some, and the dataset's outputs are theirs.
fn check_evaluators(job: &Job<'_>) -> Result<(), RunError> {
    if job.recipe.evaluators().is_none() {
        return Ok(());
    }
    if job.dataset.frame_count() < FRAMES_PER_SAMPLE {
        return Err(RunError::NoPair(job.dataset.info().name.to_string()));
    }
    let found = match (job.dataset.networks(), &job.evaluators) {
        (None, _) => "holds no outputs",
        (Some(_), None) => "was not read together with the networks",
        (Some(networks), Some(evaluators)) if networks == evaluators.identity().networks => return Ok(()),
        _ => "holds the outputs of others, not",
    };
    Err(RunError::OtherEvaluators { found })
}

/// The evaluators that the recipe names, as networks that can be trained through on every step's pairs; none where no stage asks.
fn networks<B: AutodiffBackend + Ops>(
    recipe: &Recipe,
    clip: &Clip,
    device: &B::Device,
) -> Result<Option<FrozenEvaluators<B>>, RunError> {
    let batches = asked_batches(recipe.stages(), clip.samples());
    let (Some(paths), Some(&batch)) = (recipe.evaluators(), batches.first()) else { return Ok(None) };
    let segnet = Network::read(&paths.segnet, FrozenEvaluators::<B>::segnet_input(batch), device)?;
    let posenet = Network::read(&paths.posenet, FrozenEvaluators::<B>::posenet_input(batch), device)?;
    Ok(Some(FrozenEvaluators::new(segnet, posenet, (clip.height(), clip.width()), &batches)?))
}

/// How many pairs the evaluators see at once: those of a step, and those that are left for an epoch's last one.
fn asked_batches(stages: &[TrainingStage], samples: usize) -> BTreeSet<usize> {
    let asking = stages.iter().filter(|stage| stage.loss.perception.is_some());
    let sizes = asking.flat_map(|stage| [stage.batch.get().min(samples), samples % stage.batch]);
    sizes.filter(|&size| size > 0).collect()
}

/// Claims the folder, until the process ends or the file is dropped; whoever dies lets go of it too.
fn lock(folder: &RunFolder) -> Result<File, RunError> {
    let path = folder.lock();
    let io = |source| RunError::Io { path: path.clone(), source };
    std::fs::create_dir_all(folder.path()).map_err(io)?;
    let file = File::create(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RunError::Busy(folder.path().into())),
        // A file system without locks: nothing to hold on to.
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(error)) => Err(io(error)),
    }
}

/// Refuses a folder that holds a run, or to resume one that holds another recipe; writes the recipe.
fn open_folder(job: &Job<'_>) -> Result<(), RunError> {
    let Job { recipe, folder, resume, .. } = job;
    let (path, text) = (folder.config(), recipe.to_toml()?);
    if !path.exists() && !folder.last().exists() {
        return Ok(output::write_whole(&path, text.as_bytes())?);
    }
    if !resume {
        return Err(RunError::Exists(folder.path().into()));
    }
    let io = |path: PathBuf| move |source| RunError::Io { path, source };
    let before = std::fs::read_to_string(&path).map_err(io(path))?;
    match difference(&before, &text) {
        Some(difference) => Err(RunError::OtherRecipe { folder: folder.path().into(), difference }),
        None => Ok(()),
    }
}

/// The first line in which two recipes differ. Where clip and evaluators lie may change between starts; what they are is checked
/// elsewhere.
fn difference(before: &str, now: &str) -> Option<String> {
    let recipe = |text: &str| -> Vec<String> {
        let places = ["path =", "source =", "segnet =", "posenet ="];
        let place = |line: &&str| places.iter().any(|key| line.starts_with(key));
        text.lines().filter(|line| !place(line)).map(String::from).collect()
    };
    let (before, now) = (recipe(before), recipe(now));
    let line = (0..before.len().max(now.len())).find(|&i| before.get(i) != now.get(i))?;
    let text = |list: &[String]| list.get(line).cloned().unwrap_or("nothing".into());
    Some(format!("there {}, here {}", text(&before), text(&now)))
}

/// Where a run stands that is to be resumed, and its state; the beginning where there is nothing to go on from.
fn resumed(job: &Job<'_>, clip: &Clip) -> Result<(Position, Option<HostState>), RunError> {
    let folder = job.folder;
    if !job.resume || !folder.last().exists() {
        return Ok((Position::default(), None));
    }
    let checkpoint = Checkpoint::read(&folder.last())?;
    let before = &checkpoint.metadata.clip;
    if before != clip {
        let name =
            |clip: &Clip| format!("{} ({} frames of {}x{})", clip.name(), clip.frames(), clip.width(), clip.height());
        let (expected, found) = (name(before), name(clip));
        return Err(RunError::OtherClip { folder: folder.path().into(), expected, found });
    }
    let state = checkpoint.state();
    Ok((checkpoint.metadata.position, state))
}
