//! What a run goes on from, and whether that is its own.

use recipe::{Recipe, read_text};
use report::RunFolder;
use repr::Clip;

use crate::checkpoint::{Checkpoint, CheckpointError, Position};
use crate::error::RunError;
use crate::identity::{RunIdentity, without_places};
use crate::observer::Observer;

/// Whether a run begins in the folder. Refused are a folder that holds a run which is not to be resumed, and a run of another
/// recipe than `config`.
pub fn check_folder(folder: &RunFolder, config: &str, resume: bool) -> Result<bool, RunError> {
    let path = folder.config();
    let checkpoint = [folder.last(), folder.best()].into_iter().find(|path| path.exists());
    if !path.exists() && checkpoint.is_none() {
        return Ok(true);
    }
    if !resume {
        return Err(RunError::Exists(folder.path().into()));
    }
    if let (false, Some(checkpoint)) = (path.exists(), checkpoint) {
        return Err(RunError::Lost { path, of: checkpoint });
    }
    match difference(&read_text(&path)?, config) {
        Some(difference) => Err(RunError::OtherRecipe { folder: folder.path().into(), difference }),
        None => Ok(false),
    }
}

/// The first line in which two recipes differ.
fn difference(before: &str, now: &str) -> Option<String> {
    let (before, now): (Vec<&str>, Vec<&str>) = (without_places(before).collect(), without_places(now).collect());
    let line = (0..before.len().max(now.len())).find(|&i| before.get(i) != now.get(i))?;
    // A blank line parts tables: where one stands, the table before has no such key.
    let text = |list: &[&str]| list.get(line).filter(|line| !line.is_empty()).unwrap_or(&"nothing").to_string();
    Some(format!("there {}, here {}", text(&before), text(&now)))
}

/// The checkpoint that a run of the recipe goes on from; none where it was stopped before it wrote one.
pub fn resumed(folder: &RunFolder, recipe: &Recipe, config: &str) -> Result<Option<Checkpoint>, RunError> {
    let (last, best) = (folder.last(), folder.best());
    if !last.exists() {
        return if best.exists() { Err(RunError::Lost { path: last, of: best }) } else { Ok(None) };
    }
    let checkpoint = Checkpoint::read(&last)?;
    let invalid = |path, message: &str| Err(CheckpointError::Invalid { path, message: message.into() }.into());
    if !checkpoint.is_resumable() {
        return invalid(
            last,
            "holds the moving average alone, as best.safetensors does, and nothing to go on from; put \
            the run's own last.safetensors back, or start anew with another --out",
        );
    }
    let own = |checkpoint: &Checkpoint| {
        let metadata = &checkpoint.metadata;
        let recorded =
            metadata.identity.as_ref().is_none_or(|identity| identity.recipe == RunIdentity::hash_of(config));
        recorded && metadata.architecture == *recipe.decoder() && metadata.bits == recipe.training().bits
    };
    let other =
        "is of another recipe than the folder's config.toml; put the run's own back, or start anew with another --out";
    let position = &checkpoint.metadata.position;
    if !own(&checkpoint) || !is_within(position, recipe, checkpoint.metadata.clip.samples()) {
        return invalid(last, other);
    }
    // The archive is made of it at the end, which may be hours away.
    if position.best.is_some() {
        if !best.exists() {
            return Err(RunError::Lost { path: best, of: last });
        }
        let found = Checkpoint::read(&best)?;
        if !own(&found) || found.metadata.clip != checkpoint.metadata.clip {
            return invalid(best, other);
        }
    }
    Ok(Some(checkpoint))
}

/// Whether a run of the recipe over so many samples can stand there.
fn is_within(position: &Position, recipe: &Recipe, samples: usize) -> bool {
    let pairs = |list: &[[Option<f64>; 2]]| list.is_empty() || list.len() == samples;
    let stage = recipe.stages().get(position.stage);
    let steps = stage.map_or(0, |stage| samples.div_ceil(stage.batch.get()));
    position.stage <= recipe.stages().len()
        && position.epoch <= stage.map_or(0, |stage| stage.epochs.get())
        && position.step <= steps
        && position.epochs_done <= recipe.epochs()
        && pairs(&position.distortions)
        && pairs(&position.newest_distortions)
}

/// Clip and evaluators are, by content, those that the run began with; a checkpoint of an older program does not tell, which is
/// said.
pub fn check_identity(
    checkpoint: &Checkpoint,
    folder: &RunFolder,
    clip: &Clip,
    identity: &RunIdentity,
    observer: &mut dyn Observer,
) -> Result<(), RunError> {
    let before = &checkpoint.metadata.clip;
    let folder = || folder.path().into();
    if before != clip {
        let name =
            |clip: &Clip| format!("{} ({} frames of {}x{})", clip.name(), clip.frames(), clip.width(), clip.height());
        let (expected, found) = (name(before), name(clip));
        return Err(RunError::OtherClip { folder: folder(), expected, found });
    }
    match &checkpoint.metadata.identity {
        None => observer.note(
            "an older program wrote this run's checkpoint, without telling clip and evaluators from others: see to it that \
             they are the same",
        ),
        Some(before) if before.clip != identity.clip => {
            return Err(RunError::OtherFrames { folder: folder(), name: clip.name().to_string() });
        }
        Some(_) => {}
    }
    Ok(())
}
