//! The clip that a command works on: a video, decoded here and now, or a target cache.

use std::path::Path;

use anyhow::bail;
use perception::Evaluators;
#[cfg(feature = "ffmpeg")]
use perception::targets::TargetInfo;
use perception::targets::Targets;

/// The clip at `path` at decoder resolution `size` (rows, columns), with what `evaluators` say of it. Their outputs on a video
/// are kept for the next time; a target cache has them, or it has not.
pub fn load(path: &Path, size: (usize, usize), evaluators: Option<&mut Evaluators>) -> anyhow::Result<Targets> {
    if Targets::is_cache(path) {
        let targets = Targets::read(path)?;
        let found = (targets.info.height, targets.info.width);
        if found != size {
            let text = |(height, width): (usize, usize)| format!("{width}x{height}");
            let (path, found, size) = (path.display(), text(found), text(size));
            bail!(
                "{path} holds frames of {found}, the decoder makes {size}; make it anew with hnerv targets --size {size}"
            );
        }
        return Ok(targets);
    }
    decode(path, size, evaluators)
}

#[cfg(feature = "ffmpeg")]
fn decode(path: &Path, size: (usize, usize), evaluators: Option<&mut Evaluators>) -> anyhow::Result<Targets> {
    use perception::targets::TargetOutputs;
    use perception::{OutputCache, evaluator_input};

    let clip = video::Clip::open(path)?;
    let mut targets = Targets::new(describe(path, &clip, size)?);
    let Some(evaluators) = evaluators else {
        for frame in clip {
            cli::unless_interrupted()?;
            targets.push(&frame?)?;
        }
        return Ok(targets);
    };
    let mut outputs = OutputCache::of_user().clip(path, evaluators)?;
    let (known, mut samples, mut first) = (outputs.cached(), Vec::new(), None);
    for (index, frame) in clip.enumerate() {
        cli::unless_interrupted()?;
        let frame = frame?;
        targets.push(&frame)?;
        let input = (index / 2 >= known).then(|| evaluator_input(&frame));
        if index % 2 == 0 {
            first = input;
        } else {
            let pair = first.as_ref().zip(input.as_ref()).map(|(first, second)| [first, second]);
            samples.push(outputs.next(evaluators, pair)?);
        }
    }
    outputs.keep();
    let [segnet, posenet] = [evaluators.segnet_hash(), evaluators.posenet_hash()].map(|hash| *hash.as_bytes());
    targets.outputs = Some(TargetOutputs { segnet, posenet, samples });
    Ok(targets)
}

#[cfg(not(feature = "ffmpeg"))]
fn decode(path: &Path, _: (usize, usize), _: Option<&mut Evaluators>) -> anyhow::Result<Targets> {
    let path = path.display();
    bail!("{path} is no target cache, and this program was built without FFmpeg; make one elsewhere with hnerv targets")
}

/// What a target cache says about its clip.
#[cfg(feature = "ffmpeg")]
pub fn describe(path: &Path, clip: &video::Clip, size: (usize, usize)) -> anyhow::Result<TargetInfo> {
    use anyhow::Context;

    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let clip_bytes = std::fs::metadata(path).with_context(|| path.display().to_string())?.len();
    let (height, width) = size;
    Ok(TargetInfo { name, clip_bytes, clip_height: clip.height(), clip_width: clip.width(), height, width })
}
