//! Clips to datasets: every frame decoded once, reduced, and shown to the perception stack.

use std::num::NonZeroU64;
use std::path::Path;

use frames::RgbFrame;
use metric::{PerceptionStack, evaluator_input};
use repr::ClipName;

use crate::dataset::Dataset;
use crate::error::DatasetError;
use crate::info::DatasetInfo;
use crate::output_cache::OutputCache;
use crate::outputs::OriginalOutputs;
use crate::source::ClipSource;
use crate::writer::DatasetWriter;

/// The clip that `source` means as a dataset in memory, see [`Dataset::load`].
pub fn decode(
    source: ClipSource<'_>,
    size: (usize, usize),
    stack: Option<&mut dyn PerceptionStack>,
    interrupted: &dyn Fn() -> bool,
) -> Result<Dataset, DatasetError> {
    let clip = video::Clip::open(source.path, source.track)?;
    let mut dataset = Dataset::new(describe(source, &clip, size)?)?;
    match pour(source, clip, stack, interrupted, &mut |frame| dataset.push(frame))? {
        Some(outputs) => dataset.with_outputs(outputs),
        None => Ok(dataset),
    }
}

/// Writes the clip that `source` means as a target cache at `output`, with frames of `size` (rows, columns) and, if there is a `stack`,
/// its outputs; in bounded memory. The stack's outputs are kept in the user's cache for the next time, `interrupted` is asked
/// before each frame. Returns what was written, and how many frames.
pub fn convert(
    source: ClipSource<'_>,
    output: &Path,
    size: (usize, usize),
    stack: Option<&mut dyn PerceptionStack>,
    interrupted: &dyn Fn() -> bool,
) -> Result<(DatasetInfo, usize), DatasetError> {
    let clip = video::Clip::open(source.path, source.track)?;
    let info = describe(source, &clip, size)?;
    let mut writer = DatasetWriter::create(output, &info)?;
    let mut count = 0;
    let outputs = pour(source, clip, stack, interrupted, &mut |frame| {
        count += 1;
        writer.push(frame)
    })?;
    writer.finish(outputs.as_ref())?;
    Ok((info, count))
}

/// Hands every frame to `sink`, and every whole pair whose outputs are not known yet to the stack.
fn pour(
    source: ClipSource<'_>,
    clip: video::Clip,
    stack: Option<&mut dyn PerceptionStack>,
    interrupted: &dyn Fn() -> bool,
    sink: &mut dyn FnMut(&RgbFrame) -> Result<(), DatasetError>,
) -> Result<Option<OriginalOutputs>, DatasetError> {
    let mut frames = clip.map(|frame| if interrupted() { Err(DatasetError::Interrupted) } else { Ok(frame?) });
    let Some(stack) = stack else {
        frames.try_for_each(|frame| sink(&frame?))?;
        return Ok(None);
    };
    let mut outputs = OutputCache::of_user().clip(source.path, source.track, stack)?;
    let (known, mut samples, mut first) = (outputs.cached(), Vec::new(), None);
    for (index, frame) in frames.enumerate() {
        let frame = frame?;
        sink(&frame)?;
        let input = (index / 2 >= known).then(|| evaluator_input(&frame));
        if index % 2 == 0 {
            first = input;
        } else {
            let pair = first.as_ref().zip(input.as_ref()).map(|(first, second)| [first, second]);
            samples.push(outputs.next(stack, pair)?);
        }
    }
    outputs.keep();
    Ok(Some(OriginalOutputs { networks: stack.identity().networks, samples }))
}

/// What a dataset says about its clip.
fn describe(
    ClipSource { path, name, .. }: ClipSource<'_>,
    clip: &video::Clip,
    (height, width): (usize, usize),
) -> Result<DatasetInfo, DatasetError> {
    let stem = || ClipName::new(path.file_stem().unwrap_or_default().to_string_lossy());
    let name = name.cloned().map_or_else(stem, Ok);
    let name = name.map_err(|cause| DatasetError::Name { path: path.into(), cause })?;
    let metadata = std::fs::metadata(path).map_err(|cause| DatasetError::Read { path: path.into(), cause })?;
    // No file without bytes holds the clip that was just opened.
    let clip_bytes = NonZeroU64::new(metadata.len()).unwrap_or(NonZeroU64::MIN);
    Ok(DatasetInfo { name, clip_bytes, clip_height: clip.height(), clip_width: clip.width(), height, width })
}
