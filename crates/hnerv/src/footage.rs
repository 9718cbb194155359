//! The clip that a command works on: a video, decoded here and now, or a target cache.

use std::path::Path;

use anyhow::bail;
#[cfg(feature = "ffmpeg")]
use perception::targets::TargetInfo;
use perception::targets::Targets;

/// The clip at `path` at decoder resolution `size` (rows, columns).
pub fn load(path: &Path, size: (usize, usize)) -> anyhow::Result<Targets> {
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
    decode(path, size)
}

#[cfg(feature = "ffmpeg")]
fn decode(path: &Path, size: (usize, usize)) -> anyhow::Result<Targets> {
    let clip = video::Clip::open(path)?;
    let mut targets = Targets::new(describe(path, &clip, size)?);
    for frame in clip {
        targets.push(&frame?)?;
    }
    Ok(targets)
}

#[cfg(not(feature = "ffmpeg"))]
fn decode(path: &Path, _: (usize, usize)) -> anyhow::Result<Targets> {
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
