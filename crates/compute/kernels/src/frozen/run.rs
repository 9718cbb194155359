//! A [`Plan`] at work.
//!
//! A thread takes a band of rows of the common grid, copies what it reads into a window, phase by phase and between zeros, so that
//! every tap is a load at a fixed distance, and computes it in chunks of rows. A tile of up to 6 outputs by 4 vectors of cells
//! (2 on AVX2) stays in registers while the sum runs over the reads of its phase.

use std::ops::Range;

use rayon::prelude::*;

use super::Pointwise;
use super::plan::{Block, Group, Part, Plan, TILE, Tap, Tensor};
use super::pointwise::Room;
use crate::Level;
use crate::level::Kernel;
use crate::rows::Aligned;
use crate::simd::{MAX_LANES, Simd};
use crate::training::bands::{Band, Job, Target, jobs};

/// Values that a window is meant to hold: a part of the second-level cache.
const WINDOW: usize = 64 << 10;

/// Vectors that one output of a chunk is meant to have in all its phases: a tile's outputs then fit the first-level cache.
const CHUNK: usize = 64;

/// Jobs that an image is at least cut into, where it is large enough.
const JOBS: usize = 4;

/// The size of a tensor's images.
#[derive(Clone, Copy)]
pub(super) struct Size {
    height: usize,
    width: usize,
    /// `height * width`, less where the last row is not full.
    len: usize,
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
    fn rows(&self, rows: Range<usize>) -> Range<usize> {
        (rows.start * self.width).min(self.len)..(rows.end * self.width).min(self.len)
    }
}

/// A tensor that is read: `values`, or their product with `slope`.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    pub values: &'a [f32],
    pub slope: Option<&'a [f32]>,
    pub size: Size,
}

/// What becomes of the sums.
#[derive(Clone, Copy)]
pub(super) struct Activation<'a> {
    pub function: &'a Pointwise,
    /// Whether the slope is wanted as well.
    pub keep: bool,
}

/// The tensors that `plan` writes, of sizes `to`; behind them the slope of the activation, if it is kept.
pub(super) fn run(
    level: Level,
    plan: &Plan,
    n: usize,
    from: &[Input],
    to: &[Size],
    bias: &[f32],
    activation: Option<Activation>,
) -> Vec<Vec<f32>> {
    for (tensor, input) in plan.from.iter().zip(from) {
        let len = n * tensor.channels * input.size.len;
        assert!(input.values.len() == len && input.slope.is_none_or(|slope| slope.len() == len), "{len} values");
    }
    let grid = Grid::new(level, plan, to);
    let mut targets: Vec<(Target, usize)> = vec![];
    let kept = activation.is_some_and(|activation| activation.keep);
    for (tensor, size) in plan.to.iter().zip(to).chain(plan.to.iter().zip(to).filter(|_| kept)) {
        let band = grid.band * tensor.factor[0] * size.width;
        targets.push((Target::new([n, tensor.channels, size.len, 1]), band));
    }
    let mut all: Vec<(Job, Vec<Band>)> = jobs(n, grid.height, grid.band).into_iter().map(|job| (job, vec![])).collect();
    for (target, band) in &mut targets {
        for ((_, bands), band) in all.iter_mut().zip(target.bands((*band).max(1))) {
            bands.push(band);
        }
    }
    let offsets: Vec<Vec<Offsets>> = plan.groups.iter().map(|group| grid.offsets(plan, group)).collect();
    let convolve = |memory: &mut Memory, (job, bands): (Job, Vec<Band>)| {
        let offsets = &offsets;
        level.run(Convolve { plan, grid: &grid, from, to, bias, activation, offsets, memory, job, bands });
    };
    let memory = || Memory::new(plan, &grid, activation);
    if all.len() == 1 {
        // Waking a thread takes longer than the smallest convolutions.
        let mut memory = memory();
        all.into_iter().for_each(|job| convolve(&mut memory, job));
    } else {
        all.into_par_iter().for_each_init(memory, convolve);
    }
    targets.into_iter().map(|(target, _)| target.finish()).collect()
}

/// How a call is cut, and how its windows are laid out: `[row][part][channel][row phase][column phase][column]` for the parts of a
/// group.
struct Grid {
    /// Rows of cells.
    height: usize,
    /// Vectors that a row of cells takes.
    vectors: usize,
    lanes: usize,
    /// Rows of cells of a job, and of a chunk.
    band: usize,
    chunk: usize,
    /// Most phases that a result has.
    phases: usize,
    /// Columns of one phase of one channel, among them `left` ones before the first.
    pitch: usize,
    left: usize,
    /// Values in a row of cells.
    stride: usize,
}

impl Grid {
    fn new(level: Level, plan: &Plan, to: &[Size]) -> Self {
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
    fn offsets(&self, plan: &Plan, group: &Group) -> Vec<Offsets> {
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
    fn sums(&self) -> usize {
        (self.chunk * self.vectors).next_multiple_of(4) * self.lanes
    }
}

/// Where the reads of a phase lie, from the window's place of the cell that is written.
struct Offsets {
    list: Vec<u32>,
    /// The largest.
    reach: usize,
}

/// Working memory of a thread.
struct Memory {
    window: Aligned,
    /// Sums of a chunk: `[output][phase][row][column]`.
    sums: Aligned,
    /// Rows of the result without gaps, and what the activation makes of them.
    rows: Aligned,
    activated: [Aligned; 2],
    room: Option<Room>,
}

impl Memory {
    fn new(plan: &Plan, grid: &Grid, activation: Option<Activation>) -> Self {
        let reach = (plan.shifts[0][1] - plan.shifts[0][0]) as usize;
        // The last row is written in whole vectors.
        let rows = grid.phases * grid.sums() + 2 * MAX_LANES;
        Self {
            window: Aligned::zeros((grid.band + reach) * grid.stride),
            sums: Aligned::zeros(TILE * grid.phases * grid.sums()),
            rows: Aligned::zeros(rows),
            activated: [(); 2].map(|()| Aligned::zeros(if activation.is_some() { rows } else { 0 })),
            room: activation.map(|activation| activation.function.room()),
        }
    }
}

/// Computes a band.
struct Convolve<'a, 'b> {
    plan: &'a Plan,
    grid: &'a Grid,
    from: &'a [Input<'a>],
    to: &'a [Size],
    bias: &'a [f32],
    activation: Option<Activation<'a>>,
    offsets: &'a [Vec<Offsets>],
    memory: &'a mut Memory,
    job: Job,
    bands: Vec<Band<'b>>,
}

impl Kernel for Convolve<'_, '_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let rows = self.job.rows.clone();
        for (group, offsets) in self.plan.groups.iter().zip(self.offsets) {
            self.fill(s, group);
            for start in rows.clone().step_by(self.grid.chunk) {
                let chunk = start..(start + self.grid.chunk).min(rows.end);
                for block in &group.blocks {
                    match block.part.channels.len() {
                        1 => self.block::<S, 1>(s, block, offsets, &chunk),
                        2 => self.block::<S, 2>(s, block, offsets, &chunk),
                        3 => self.block::<S, 3>(s, block, offsets, &chunk),
                        4 => self.block::<S, 4>(s, block, offsets, &chunk),
                        5 => self.block::<S, 5>(s, block, offsets, &chunk),
                        _ => self.block::<S, 6>(s, block, offsets, &chunk),
                    }
                    self.finish(s, block, &chunk);
                }
            }
        }
    }
}

impl Convolve<'_, '_> {
    /// Copies what the band reads of a group into the window. What lies beside the columns of the image was and stays 0.
    #[inline(always)]
    fn fill<S: Simd>(&mut self, s: S, group: &Group) {
        let Grid { pitch, left, stride, .. } = *self.grid;
        let first = self.job.rows.start as isize + self.plan.shifts[0][0];
        let last = self.job.rows.end as isize + self.plan.shifts[0][1];
        let window = self.memory.window.as_mut_slice();
        let mut planes = 0;
        for part in &group.from {
            let (tensor, Input { values, slope, size }) = (self.plan.from[part.tensor], self.from[part.tensor]);
            let [rows, columns] = tensor.factor;
            // Columns that the window has no room for are not read.
            let width = size.width.min(columns * (pitch - left));
            for c in part.channels.clone() {
                let image = (self.job.sample * tensor.channels + c) * size.len;
                let lines = (first..last).flat_map(|cell| (0..rows).map(move |phase| (cell, phase)));
                for (cell, phase) in lines {
                    let to = (cell - first) as usize * stride + (planes + phase * columns) * pitch;
                    let to = &mut window[to..][..columns * pitch];
                    match usize::try_from(cell * rows as isize + phase as isize) {
                        Ok(y) if y < size.height => {
                            let Range { start, end } = size.rows(y..y + 1);
                            let row = image + start..image + end.min(start + width);
                            let row = Row { values: &values[row.clone()], slope: slope.map(|slope| &slope[row]) };
                            split(s, row, columns, left, pitch, size.len, to);
                        }
                        _ => to.fill(0.0),
                    }
                }
                planes += tensor.phases();
            }
        }
    }

    /// Sums of all phases of `M` outputs over a chunk.
    #[inline(always)]
    fn block<S: Simd, const M: usize>(&mut self, s: S, block: &Block, offsets: &[Offsets], chunk: &Range<usize>) {
        match S::TILE {
            4 => self.tiles::<S, M, 4>(s, block, offsets, chunk),
            _ => self.tiles::<S, M, 2>(s, block, offsets, chunk),
        }
    }

    #[inline(always)]
    fn tiles<S: Simd, const M: usize, const N: usize>(
        &mut self,
        s: S,
        block: &Block,
        offsets: &[Offsets],
        chunk: &Range<usize>,
    ) {
        let Grid { vectors, stride, .. } = *self.grid;
        let window = self.memory.window.as_slice();
        let room = self.grid.sums();
        let bias = &self.bias[block.part.offset + block.part.channels.start..][..M];
        let top = chunk.start - self.job.rows.start;
        let count = chunk.len() * vectors;
        let sums = &mut self.memory.sums.as_mut_slice()[..M * block.phases.len() * room];
        for (phase, &(list, weights)) in block.phases.iter().enumerate() {
            let offsets = &offsets[list];
            let weights = &self.plan.weights.as_slice()[weights..][..M * offsets.list.len()];
            let last = (top + chunk.len() - 1) * stride + (vectors - 1) * S::LANES;
            assert!(last + offsets.reach + S::LANES <= window.len());
            for start in (0..count).step_by(N) {
                let mut places = [0; N];
                for (n, place) in places.iter_mut().enumerate() {
                    // Vectors beyond the last repeat it.
                    let vector = (start + n).min(count - 1);
                    *place = (top + vector / vectors) * stride + vector % vectors * S::LANES;
                }
                // SAFETY: `Offsets::reach` is the largest offset, and what lies so far behind the last place is in the window;
                // there are `M` weights for every offset.
                let tile = unsafe { tile::<S, M, N>(s, window.as_ptr(), places, &offsets.list, weights, bias) };
                for (m, tile) in tile.iter().enumerate() {
                    let to = (m * block.phases.len() + phase) * room + start * S::LANES;
                    for (to, &sum) in sums[to..][..N * S::LANES].chunks_exact_mut(S::LANES).zip(tile) {
                        s.store(sum, to);
                    }
                }
            }
        }
    }

    /// Puts the phases of a chunk together, applies the activation and writes the rows.
    #[inline(always)]
    fn finish<S: Simd>(&mut self, s: S, block: &Block, chunk: &Range<usize>) {
        let Part { tensor, ref channels, .. } = block.part;
        let [rows, columns] = self.plan.to[tensor].factor;
        let size = self.to[tensor];
        let lines = chunk.start * rows..(chunk.end * rows).min(size.height);
        let len = size.rows(lines.clone()).len();
        // Whole vectors.
        let padded = len.next_multiple_of(S::LANES);
        let room = self.grid.sums();
        let width = self.grid.vectors * S::LANES;
        let Memory { sums, rows: joined, activated: [y, slope], room: steps, .. } = &mut *self.memory;
        let (sums, joined) = (sums.as_slice(), joined.as_mut_slice());
        for (m, channel) in channels.clone().enumerate() {
            let sums = &sums[m * rows * columns * room..][..rows * columns * room];
            let values = if rows * columns == 1 && width == size.width {
                sums
            } else {
                for (index, line) in lines.clone().enumerate() {
                    let from = line % rows * columns * room + index / rows * width;
                    join(s, &sums[from..], columns, room, size.width, &mut joined[index * size.width..]);
                }
                &*joined
            };
            let values = &values[..padded];
            match (self.activation, &mut *steps) {
                (Some(Activation { function, keep }), Some(steps)) => {
                    let (y, slope) = (y.as_mut_slice(), slope.as_mut_slice());
                    let kept = if keep { padded } else { 0 };
                    function.run(s, values, &mut y[..padded], &mut slope[..kept], steps);
                    self.bands[0].extend(channel, &y[..len]);
                    if keep {
                        self.bands[1].extend(channel, &slope[..len]);
                    }
                }
                _ => self.bands[tensor].extend(channel, &values[..len]),
            }
        }
    }
}

/// `M` outputs of the `N` vectors whose places in the window are given: the sum of `weights` `[read][output]` times what lies
/// `offsets` behind the places.
///
/// # Safety
/// A vector must be readable at every offset behind every place, and there must be `M` weights for every offset.
#[inline(always)]
unsafe fn tile<S: Simd, const M: usize, const N: usize>(
    s: S,
    window: *const f32,
    places: [usize; N],
    offsets: &[u32],
    weights: &[f32],
    bias: &[f32],
) -> [[S::V; N]; M] {
    let mut sums = [[s.splat(0.0); N]; M];
    for (sums, &bias) in sums.iter_mut().zip(bias) {
        *sums = [s.splat(bias); N];
    }
    let mut weight = weights.as_ptr();
    for &offset in offsets {
        let mut values = [s.splat(0.0); N];
        for (value, place) in values.iter_mut().zip(places) {
            // SAFETY: the caller's promise.
            *value = unsafe { s.load_from(window.add(offset as usize).add(place)) };
        }
        for sums in &mut sums {
            // SAFETY: the caller's promise: this runs `M` times for every offset.
            let w = s.splat(unsafe { *weight });
            // SAFETY: as above; one past the end at last.
            weight = unsafe { weight.add(1) };
            for (sum, &value) in sums.iter_mut().zip(&values) {
                *sum = s.fma(w, value, *sum);
            }
        }
    }
    sums
}

/// A row of an [`Input`].
#[derive(Clone, Copy)]
struct Row<'a> {
    values: &'a [f32],
    slope: Option<&'a [f32]>,
}

impl Row<'_> {
    /// The vector at `x`. Asks for the one that lies `ahead`.
    #[inline(always)]
    fn vector<S: Simd>(self, s: S, x: usize, ahead: usize) -> S::V {
        let values = s.load(&self.values[x..]);
        prefetch(self.values.as_ptr().wrapping_add(x + ahead));
        match self.slope {
            Some(slope) => {
                prefetch(slope.as_ptr().wrapping_add(x + ahead));
                s.mul(values, s.load(&slope[x..]))
            }
            None => values,
        }
    }
}

/// Writes every `columns`-th value of a row, from the first one, the second one, ..., into planes of `pitch` values, from place
/// `left` on. Asks for the row that lies `ahead`: channels are too short and too far apart for the processor to foresee them.
#[inline(always)]
fn split<S: Simd>(s: S, row: Row, columns: usize, left: usize, pitch: usize, ahead: usize, to: &mut [f32]) {
    let len = row.values.len();
    // Values of `columns` vectors.
    let step = columns * S::LANES;
    let whole = match columns {
        1 | 2 => len / step * step,
        _ => 0,
    };
    if columns == 1 {
        let to = to[left..][..whole].chunks_exact_mut(S::LANES);
        for (x, to) in (0..whole).step_by(step).zip(to) {
            s.store(row.vector(s, x, ahead), to);
        }
    } else if columns == 2 {
        let (even, odd) = to.split_at_mut(pitch);
        let even = even[left..][..whole / 2].chunks_exact_mut(S::LANES);
        let odd = odd[left..][..whole / 2].chunks_exact_mut(S::LANES);
        for (x, (even, odd)) in (0..whole).step_by(step).zip(even.zip(odd)) {
            let [a, b] = s.deinterleave(row.vector(s, x, ahead), row.vector(s, x + S::LANES, ahead));
            s.store(a, even);
            s.store(b, odd);
        }
    }
    for x in whole..len {
        to[x % columns * pitch + left + x / columns] = row.values[x] * row.slope.map_or(1.0, |slope| slope[x]);
    }
    // Another group's phases may have had a value more.
    for (phase, plane) in to.chunks_exact_mut(pitch).enumerate() {
        if let Some(next) = plane.get_mut(left + (len + columns - 1 - phase) / columns) {
            *next = 0.0;
        }
    }
}

/// Brings the cache line of any address into the cache.
#[inline(always)]
fn prefetch(from: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has SSE; an address that is not readable is ignored.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(from.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = from;
}

/// The inverse of [`split`], for planes that lie `pitch` apart: `width` values, in whole vectors.
#[inline(always)]
fn join<S: Simd>(s: S, planes: &[f32], columns: usize, pitch: usize, width: usize, to: &mut [f32]) {
    match columns {
        1 => {
            let vectors = planes.chunks_exact(S::LANES).zip(to.chunks_exact_mut(S::LANES));
            for (from, to) in vectors.take(width.div_ceil(S::LANES)) {
                s.store(s.load(from), to);
            }
        }
        2 => {
            let vectors = planes.chunks_exact(S::LANES).zip(planes[pitch..].chunks_exact(S::LANES));
            let vectors = vectors.zip(to.chunks_exact_mut(2 * S::LANES));
            for ((even, odd), to) in vectors.take(width.div_ceil(2 * S::LANES)) {
                let [a, b] = s.interleave(s.load(even), s.load(odd));
                s.store(a, &mut to[..S::LANES]);
                s.store(b, &mut to[S::LANES..]);
            }
        }
        _ => {
            for (x, to) in to[..width].iter_mut().enumerate() {
                *to = planes[x % columns * pitch + x / columns];
            }
        }
    }
}
