//! How a call is cut into bands and chunks, and how its windows are laid out.

use std::ops::Range;

use kernels::Level;

use super::plan::{Group, Part, Plan, Tap, Tensor};

/// Values that a window is meant to hold: a part of the second-level cache.
const WINDOW: usize = 64 << 10;

/// Vectors that one output of a chunk is meant to have in all its phases: a tile's outputs then fit the first-level cache.
const CHUNK: usize = 64;

/// Jobs that an image is at least cut into, where it is large enough.
const JOBS: usize = 4;

/// The size of a tensor's images.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub height: usize,
    pub width: usize,
    /// `height * width`, less where the last row is not full.
    pub len: usize,
}

impl Size {
    pub(super) fn image(height: usize, width: usize) -> Self {
        Self { height, width, len: height * width }
    }

    /// `len` pixels cut into rows, short enough for a row of all channels to stay close by.
    pub(super) fn strip(len: usize, channels: usize) -> Self {
        let width = (16384 / channels).clamp(64, 512).min(len.max(1)).next_multiple_of(64);
        Self { height: len.div_ceil(width), width, len }
    }

    /// Where rows lie in a channel.
    pub(super) fn rows(&self, rows: Range<usize>) -> Range<usize> {
        (rows.start * self.width).min(self.len)..(rows.end * self.width).min(self.len)
    }
}

/// How a call is cut, and how its windows are laid out: `[row][part][channel][row phase][column phase][column]` for the parts of a
/// group.
pub(super) struct Grid {
    /// Rows of cells.
    pub height: usize,
    /// Vectors that a row of cells takes.
    pub vectors: usize,
    pub lanes: usize,
    /// Rows of cells of a job, and of a chunk.
    pub band: usize,
    pub chunk: usize,
    /// Most phases that a result has.
    pub phases: usize,
    /// Columns of one phase of one channel, among them `left` ones before the first.
    pub pitch: usize,
    pub left: usize,
    /// Values in a row of cells.
    pub stride: usize,
}

impl Grid {
    pub(super) fn new(level: Level, plan: &Plan, to: &[Size]) -> Self {
        let cells = |size: fn(&Size) -> usize, axis: usize| {
            let sizes = plan.to.iter().zip(to);
            sizes.map(|(tensor, to)| size(to).div_ceil(tensor.factor[axis])).max().unwrap_or(0)
        };
        let width = cells(|size| size.width, 1);
        let height = if width == 0 { 0 } else { cells(|size| size.height, 0) };
        let lanes = level.lanes();
        let vectors = width.div_ceil(lanes);
        let [[top, bottom], [first, last]] = plan.shifts;
        let mut pitch = (vectors * lanes + (last - first) as usize).next_multiple_of(16);
        if pitch > 128 {
            // An odd number of cache lines, so that the channels of a column do not fall into a few sets of the cache.
            pitch = ((pitch / 16) | 1) * 16;
        }
        let planes = |part: &Part| part.channels.len() * plan.from[part.tensor].phases();
        let planes = plan.groups.iter().map(|group| group.from.iter().map(planes).sum::<usize>());
        let stride = planes.max().unwrap_or(0) * pitch;
        let phases = plan.to.iter().map(Tensor::phases).max().unwrap_or(1);
        let fitting = (WINDOW / stride.max(1)).saturating_sub((bottom - top) as usize);
        // At least a tile.
        let least = 4usize.div_ceil(vectors.max(1)).min(height.max(1));
        let chunk = (CHUNK / (vectors * phases).max(1)).min(fitting).max(least);
        let band = (height.div_ceil(JOBS).min(fitting) / chunk).max(1) * chunk;
        Self { height, vectors, lanes, band, chunk, phases, pitch, left: -first as usize, stride }
    }

    /// Where the reads of every list of a group lie.
    pub(super) fn offsets(&self, plan: &Plan, group: &Group) -> Vec<Offsets> {
        let offsets = |reads: &Vec<Vec<Tap>>| {
            let mut list = vec![];
            let mut plane = 0;
            for (part, taps) in group.from.iter().zip(reads) {
                let tensor = plan.from[part.tensor];
                for _ in part.channels.clone() {
                    list.extend(taps.iter().map(|tap| {
                        let row = (tap.shift[0] - plan.shifts[0][0]) as usize;
                        let plane = plane + tap.from[0] * tensor.factor[1] + tap.from[1];
                        let column = self.left.wrapping_add_signed(tap.shift[1]);
                        (row * self.stride + plane * self.pitch + column) as u32
                    }));
                    plane += tensor.phases();
                }
            }
            Offsets { reach: list.iter().max().map_or(0, |&offset| offset as usize), list }
        };
        group.reads.iter().map(offsets).collect()
    }

    /// Room for one phase of one output of a chunk: whole tiles of 4 vectors.
    pub(super) fn sums(&self) -> usize {
        (self.chunk * self.vectors).next_multiple_of(4) * self.lanes
    }
}

/// Where the reads of a phase lie, from the window's place of the cell that is written.
pub(super) struct Offsets {
    pub list: Vec<u32>,
    /// The largest.
    pub reach: usize,
}
