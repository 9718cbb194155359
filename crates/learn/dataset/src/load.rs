//! The dataset that a path means: a target cache, or a clip decoded here and now.

use metric::PerceptionStack;

use crate::dataset::Dataset;
use crate::error::DatasetError;
use crate::source::ClipSource;

impl Dataset {
    /// What `source` means, a clip or a target cache, as frames of `size` (rows, columns) with what `stack` says of them. Its
    /// outputs on a clip are kept in the user's cache for the next time; a target cache has them, or it has not. `interrupted`
    /// is asked before each frame.
    pub fn load(
        source: ClipSource<'_>,
        size: (usize, usize),
        stack: Option<&mut dyn PerceptionStack>,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<Self, DatasetError> {
        let ClipSource { path, track, name } = source;
        if !Self::is_cache(path) {
            return decode(source, size, stack, interrupted);
        }
        if track != 0 {
            return Err(DatasetError::Track { path: path.into(), track });
        }
        let mut dataset = Self::read(path)?;
        if let Some(name) = name {
            dataset = dataset.named(name.clone());
        }
        if dataset.size() == size {
            return Ok(dataset);
        }
        let text = |(height, width): (usize, usize)| format!("{width}x{height}");
        Err(DatasetError::Size { path: path.into(), found: text(dataset.size()), needed: text(size) })
    }
}

#[cfg(feature = "ffmpeg")]
use crate::clip::decode;

#[cfg(not(feature = "ffmpeg"))]
fn decode(
    ClipSource { path, .. }: ClipSource<'_>,
    _: (usize, usize),
    _: Option<&mut dyn PerceptionStack>,
    _: &dyn Fn() -> bool,
) -> Result<Dataset, DatasetError> {
    // A wrong path is the likelier fault, and the one that can be mended here.
    std::fs::metadata(path).map_err(|cause| DatasetError::Read { path: path.into(), cause })?;
    Err(DatasetError::NoDecoder { path: path.into() })
}
