//! The dataset that a path means: a target cache, or a clip decoded here and now.

use std::path::Path;

use metric::PerceptionStack;

use crate::dataset::Dataset;
use crate::error::DatasetError;

impl Dataset {
    /// What `path` holds, a clip or a target cache, as frames of `size` (rows, columns) with what `stack` says of them. Its
    /// outputs on a clip are kept in the user's cache for the next time; a target cache has them, or it has not. `interrupted`
    /// is asked before each frame.
    pub fn load(
        path: &Path,
        size: (usize, usize),
        stack: Option<&mut dyn PerceptionStack>,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<Self, DatasetError> {
        if !Self::is_cache(path) {
            return decode(path, size, stack, interrupted);
        }
        let dataset = Self::read(path)?;
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
    path: &Path,
    _: (usize, usize),
    _: Option<&mut dyn PerceptionStack>,
    _: &dyn Fn() -> bool,
) -> Result<Dataset, DatasetError> {
    // A wrong path is the likelier fault, and the one that can be mended here.
    std::fs::metadata(path).map_err(|cause| DatasetError::Read { path: path.into(), cause })?;
    Err(DatasetError::NoDecoder { path: path.into() })
}
