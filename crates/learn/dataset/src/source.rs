//! Which clip is meant.

use std::path::Path;

use repr::ClipName;

/// Which clip a dataset is made of, and what it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClipSource<'a> {
    /// A video, or a target cache.
    pub path: &'a Path,
    /// Which of a video's tracks, counted from 0 (attached pictures left out); a target cache holds one.
    pub track: usize,
    /// Its name; without one a video is called by its file name, and a target cache knows.
    pub name: Option<&'a ClipName>,
}
