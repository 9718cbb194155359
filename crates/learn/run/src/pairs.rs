//! A target cache seen as the trainer sees it: pairs of frames.

use perception::targets::Targets;
use repr::{Clip, ClipName, RepresentationError};

/// What a representation stands for when it is trained on `targets`.
pub fn clip(targets: &Targets) -> Result<Clip, RepresentationError> {
    let info = &targets.info;
    Clip::new(ClipName::new(&*info.name)?, targets.frame_count(), info.clip_height, info.clip_width)
}

/// Rows and columns of the frames at decoder resolution.
pub fn size(targets: &Targets) -> (usize, usize) {
    (targets.info.height, targets.info.width)
}

/// Both frames of a sample, `[3, height, width]` each; a clip of one frame repeats it.
pub fn pair(targets: &Targets, sample: usize) -> [&[u8]; 2] {
    let first = targets.frame(2 * sample).unwrap_or_default();
    [first, targets.frame(2 * sample + 1).unwrap_or(first)]
}

/// Bytes of the clip's file.
pub fn clip_bytes(targets: &Targets) -> std::num::NonZeroU64 {
    std::num::NonZeroU64::new(targets.info.clip_bytes).unwrap_or(std::num::NonZeroU64::MIN)
}
