//! Which clip a dataset was made from, and the size of its frames.

use std::num::NonZeroU64;

use frames::RgbFrame;
use repr::ClipName;

/// Most rows or columns of a frame.
pub const MAX_SIDE: usize = 1 << 14;

/// Which clip a dataset was made from, and the size of its frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetInfo {
    /// What the clip is called: its file name without folder and extension, if not otherwise.
    pub name: ClipName,
    /// Size of the clip's file.
    pub clip_bytes: NonZeroU64,
    /// Rows of the clip's frames.
    pub clip_height: usize,
    /// Columns of the clip's frames.
    pub clip_width: usize,
    /// Rows at decoder resolution.
    pub height: usize,
    /// Columns at decoder resolution.
    pub width: usize,
}

impl DatasetInfo {
    /// Bytes of a frame at decoder resolution, `[3, height, width]`.
    pub fn frame_len(&self) -> usize {
        3 * self.height * self.width
    }

    /// Whether a dataset can be that: sides of 1 to 16384.
    pub(crate) fn is_possible(&self) -> bool {
        let sides = [self.clip_height, self.clip_width, self.height, self.width];
        sides.iter().all(|side| (1..=MAX_SIDE).contains(side))
    }

    /// Whether `frame` is of the clip's size; if not, its width and height and the clip's.
    pub(crate) fn fits(&self, frame: &RgbFrame) -> Result<(), [(usize, usize); 2]> {
        let (found, expected) = ((frame.width(), frame.height()), (self.clip_width, self.clip_height));
        if found == expected { Ok(()) } else { Err([found, expected]) }
    }

    /// A frame of the clip at decoder resolution: `[3, height, width]`, bilinearly resized, rounded half to even.
    pub(crate) fn reduce(&self, frame: &RgbFrame) -> Vec<u8> {
        // `to_rgb` rounds as every frame is rounded; the planes are then sorted back out of the pixels.
        let rgb = frame.resize_bilinear(self.height, self.width).to_rgb();
        (0..3).flat_map(|c| rgb.data().iter().skip(c).step_by(3).copied()).collect()
    }
}
