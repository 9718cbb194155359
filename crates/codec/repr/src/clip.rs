//! The clip that a representation stands for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{RepresentationError, invalid};
use crate::limits;
use crate::table::FRAMES_PER_SAMPLE;

/// Most frames of a clip: 14 hours at 20 frames a second.
const MAX_FRAMES: usize = 1_000_000;

/// A plain file name of 1 to 200 bytes, without folder and extension; names the `.raw` that `inflate` writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClipName(String);

impl ClipName {
    /// Refuses what is no plain file name: nothing, too much, a folder, control characters.
    pub fn new(name: impl Into<String>) -> Result<Self, RepresentationError> {
        let name = name.into();
        if name.is_empty()
            || name.len() > 200
            || name == "."
            || name == ".."
            || name.chars().any(|c| c == '/' || c == '\\' || c.is_control())
        {
            return invalid(format!("the clip name {name:?} is not a plain file name of 1 to 200 bytes"));
        }
        Ok(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClipName {
    type Err = RepresentationError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

impl TryFrom<String> for ClipName {
    type Error = RepresentationError;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(name)
    }
}

impl From<ClipName> for String {
    fn from(name: ClipName) -> Self {
        name.0
    }
}

impl fmt::Display for ClipName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What is known of a clip but its frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clip {
    name: ClipName,
    frames: usize,
    height: usize,
    width: usize,
}

impl Clip {
    /// A clip of 1 to a million frames, each side 1 to [`limits::SIDE`].
    pub fn new(name: ClipName, frames: usize, height: usize, width: usize) -> Result<Self, RepresentationError> {
        if frames == 0 || frames > MAX_FRAMES {
            return invalid(format!("the clip has {frames} frames, must be 1 to {MAX_FRAMES}"));
        }
        let side = 1..=limits::SIDE;
        if !side.contains(&height) || !side.contains(&width) {
            return invalid(format!("the clip is {width}x{height}, each side must be 1 to {}", limits::SIDE));
        }
        Ok(Self { name, frames, height, width })
    }

    /// Its name.
    pub fn name(&self) -> &ClipName {
        &self.name
    }

    /// Number of frames; an odd last one repeats the frame before it.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Rows of a frame.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns of a frame.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of samples: consecutive pairs, an odd last frame dropped. A single frame still needs one.
    pub fn samples(&self) -> usize {
        (self.frames / FRAMES_PER_SAMPLE).max(1)
    }

    /// Checks that its latents, `dim` values each, are not too many; to be asked before they are allocated.
    pub fn check_latents(&self, dim: usize) -> Result<(), RepresentationError> {
        let values = dim.saturating_mul(self.samples());
        if values <= limits::LATENTS {
            return Ok(());
        }
        invalid(format!("{} samples of {dim} latent values, the limit is {} in all", self.samples(), limits::LATENTS))
    }
}
