//! What a command works on: a clip, decoded here and now or from a target cache, and the evaluators that judge it.

use std::path::Path;

use dataset::{ClipSource, Dataset};
use metric::PerceptionStack;
use perception::Evaluators;

/// SegNet and PoseNet from their ONNX files, if they were given; each runs on `threads`, all cores by default.
pub fn evaluators(paths: Option<(&Path, &Path)>, threads: Option<u16>) -> anyhow::Result<Option<Evaluators>> {
    let Some((segnet, posenet)) = paths else { return Ok(None) };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Some(Evaluators::load(segnet, posenet, threads.map_or(cores, usize::from))?))
}

/// Evaluators as whoever judges.
pub fn stack(evaluators: &mut Option<Evaluators>) -> Option<&mut dyn PerceptionStack> {
    evaluators.as_mut().map(|evaluators| evaluators as _)
}

/// The clip that `source` means at decoder resolution `size` (rows, columns), with what `stack` says of it; until Ctrl-C.
pub fn load(
    source: ClipSource<'_>,
    size: (usize, usize),
    stack: Option<&mut dyn PerceptionStack>,
) -> anyhow::Result<Dataset> {
    Ok(Dataset::load(source, size, stack, &cli::interrupted)?)
}
