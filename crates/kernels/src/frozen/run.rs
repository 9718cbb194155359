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

    /// `len` pixels cut into rows, of which one with all its channels fits the first-level cache.
    pub(super) fn strip(len: usize, channels: usize) -> Self {
        let width = (16384 / channels).clamp(64, 512).min(len).next_multiple_of(64);
        Self { height: len.div_ceil(width), width, len }
    }

    /// Words of bits in a row.
    fn words(&self) -> usize {
        self.width.div_ceil(WORD)
    }

    /// Where rows lie in a channel.
    fn rows(&self, rows: Range<usize>) -> Range<usize> {
        (rows.start * self.width).min(self.len)..(rows.end * self.width).min(self.len)
    }
}

/// A tensor that is read: `values`, or their product with `slopes`.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    pub values: &'a [f32],
    pub slopes: Option<&'a Slopes>,
    pub size: Size,
}

/// Slopes of an activation.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Slopes {
    /// There is no activation, or its slopes are not wanted.
    None,
    /// Like the result.
    Values(Vec<f32>),
    /// A bit for slope 1 or 0, in words of [`WORD`] columns.
    Bits(Vec<u16>),
}

/// Columns in a word of bits.
const WORD: usize = u16::BITS as usize;

/// The tensors that `plan` writes, of sizes `to`, and the slopes of the activation, if they are to `keep`.
#[expect(clippy::too_many_arguments, reason = "one function for both directions")]
pub(super) fn run(
    level: Level,
    plan: &Plan,
    n: usize,
    from: &[Input],
    to: &[Size],
    bias: &[f32],
    activation: Option<&Pointwise>,
    keep: bool,
) -> (Vec<Vec<f32>>, Slopes) {
    for (tensor, Input { values, slopes, size }) in plan.from.iter().zip(from) {
        let channels = n * tensor.channels;
        assert_eq!(values.len(), channels * size.len, "values of {channels} channels");
        assert!(match slopes {
            None | Some(Slopes::None) => true,
            Some(Slopes::Values(slopes)) => slopes.len() == values.len(),
            Some(Slopes::Bits(words)) => words.len() == channels * size.height * size.words(),
        });
    }
    let grid = Grid::new(level, plan, to);
    let range = activation.and_then(Pointwise::range);
    let (size, channels) = (to[0], plan.to[0].channels);
    let kept = keep && activation.is_some();
    let mut slopes = (kept && range.is_none()).then(|| Target::new([n, channels, size.len, 1]));
    let mut bits = (kept && range.is_some()).then(|| Target::new([n, channels, size.height, size.words()]));
    let mut targets: Vec<_> =
        plan.to.iter().zip(to).map(|(tensor, size)| Target::new([n, tensor.channels, size.len, 1])).collect();

    let mut all: Vec<_> = jobs(n, grid.height, grid.band).into_iter().map(|job| (job, Output::default())).collect();
    let rows = |tensor: usize| grid.band * plan.to[tensor].factor[0];
    for (tensor, target) in targets.iter_mut().enumerate() {
        let bands = target.bands((rows(tensor) * to[tensor].width).max(1));
        all.iter_mut().zip(bands).for_each(|((_, output), band)| output.bands.push(band));
    }
    if let Some(slopes) = &mut slopes {
        let bands = slopes.bands((rows(0) * size.width).max(1));
        all.iter_mut().zip(bands).for_each(|((_, output), band)| output.slopes = Some(band));
    }
    if let Some(bits) = &mut bits {
        let bands = bits.bands(rows(0));
        all.iter_mut().zip(bands).for_each(|((_, output), band)| output.bits = Some(band));
    }
    let offsets: Vec<Vec<Offsets>> = plan.groups.iter().map(|group| grid.offsets(plan, group)).collect();
    let convolve = |memory: &mut Memory, (job, output): (Job, Output)| {
        let offsets = &offsets;
        level.run(Convolve { plan, grid: &grid, from, to, bias, activation, range, offsets, memory, job, output });
    };
    let memory = || Memory::new(plan, &grid, to, activation);
    if all.len() == 1 {
        let mut memory = memory();
        all.into_iter().for_each(|job| convolve(&mut memory, job));
    } else {
        all.into_par_iter().for_each_init(memory, convolve);
    }
    let slopes = match (slopes, bits) {
        (Some(slopes), _) => Slopes::Values(slopes.finish()),
        (_, Some(bits)) => Slopes::Bits(bits.finish()),
        _ => Slopes::None,
    };
    (targets.into_iter().map(Target::finish).collect(), slopes)
}

/// Where a job writes.
#[derive(Default)]
struct Output<'a> {
    bands: Vec<Band<'a>>,
    /// Where they are kept.
    slopes: Option<Band<'a>>,
    bits: Option<Band<'a, u16>>,
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
        // An odd number of cache lines, so that the channels of a column do not fall into a few sets of the cache.
        let pitch = ((vectors * lanes + (last - first) as usize).div_ceil(16) | 1) * 16;
        let planes = |part: &Part| part.channels.len() * plan.from[part.tensor].phases();
        let planes = plan.groups.iter().map(|group| group.from.iter().map(planes).sum::<usize>());
        let stride = planes.max().unwrap_or(0) * pitch;
        let phases = plan.to.iter().map(Tensor::phases).max().unwrap_or(1);
        let fitting = (WINDOW / stride).saturating_sub((bottom - top) as usize);
        let chunk = (CHUNK / (vectors * phases).max(1)).min(fitting).max(1);
        let wanted = height.div_ceil(JOBS).min(fitting);
        let band = (wanted / chunk).max(1) * chunk;
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
    words: Vec<u16>,
    room: Option<Room>,
}

impl Memory {
    fn new(plan: &Plan, grid: &Grid, to: &[Size], activation: Option<&Pointwise>) -> Self {
        let reach = (plan.shifts[0][1] - plan.shifts[0][0]) as usize;
        // The last row is written in whole vectors.
        let rows = grid.phases * grid.sums() + 2 * MAX_LANES;
        Self {
            window: Aligned::zeros((grid.band + reach) * grid.stride),
            sums: Aligned::zeros(TILE * grid.phases * grid.sums()),
            rows: Aligned::zeros(rows),
            activated: [(); 2].map(|()| Aligned::zeros(if activation.is_some() { rows } else { 0 })),
            words: vec![0; grid.chunk * plan.to[0].factor[0] * to[0].words()],
            room: activation.map(Pointwise::room),
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
    activation: Option<&'a Pointwise>,
    /// Where the slope is 1, if that is kept in bits.
    range: Option<[f32; 2]>,
    offsets: &'a [Vec<Offsets>],
    memory: &'a mut Memory,
    job: Job,
    output: Output<'b>,
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
        let mut plane = 0;
        for part in &group.from {
            let (tensor, Input { values, slopes, size }) = (self.plan.from[part.tensor], self.from[part.tensor]);
            let [rows, columns] = tensor.factor;
            // Columns that the window has no room for are not read.
            let width = size.width.min(columns * (pitch - left));
            for c in part.channels.clone() {
                let image = (self.job.sample * tensor.channels + c) * size.len;
                for (slot, cell) in (first..last).enumerate() {
                    for phase in 0..rows {
                        let to = slot * stride + (plane + phase * columns) * pitch;
                        let to = &mut window[to..][..columns * pitch];
                        match usize::try_from(cell * rows as isize + phase as isize) {
                            Ok(y) if y < size.height => {
                                let Range { start, end } = size.rows(y..y + 1);
                                let row = image + start..image + end.min(start + width);
                                let slopes = match slopes {
                                    None | Some(Slopes::None) => RowSlopes::None,
                                    Some(Slopes::Values(slopes)) => RowSlopes::Values(&slopes[row.clone()]),
                                    Some(Slopes::Bits(words)) => {
                                        let channel = self.job.sample * tensor.channels + c;
                                        let first = (channel * size.height + y) * size.words();
                                        RowSlopes::Bits(&words[first..][..size.words()])
                                    }
                                };
                                split(s, &values[row], slopes, columns, left, pitch, to);
                            }
                            _ => to.fill(0.0),
                        }
                    }
                }
                plane += tensor.phases();
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
        let Memory { sums, rows: joined, activated: [y, slope], words, room: steps, .. } = &mut *self.memory;
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
            let Output { bands, slopes, bits } = &mut self.output;
            if let (Some(function), Some(steps)) = (self.activation, &mut *steps) {
                let kept = if slopes.is_some() { padded } else { 0 };
                let (y, slope) = (&mut y.as_mut_slice()[..padded], &mut slope.as_mut_slice()[..kept]);
                function.run(s, &values[..padded], y, slope, steps);
                bands[tensor].extend(channel, &y[..len]);
                if let Some(slopes) = slopes {
                    slopes.extend(channel, &slope[..len]);
                }
                if let (Some(bits), Some(range)) = (bits, self.range) {
                    let mut row = words.chunks_exact_mut(size.words());
                    for start in (0..len).step_by(size.width) {
                        let values = &values[start..];
                        let width = size.width.min(len - start);
                        pack(s, values, width, range, row.next().expect("a row of words for every row"));
                    }
                    bits.extend(channel, &words[..lines.len() * size.words()]);
                }
            } else {
                bands[tensor].extend(channel, &values[..len]);
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

/// Writes a bit for each of `width` values that lies in `range`.
#[inline(always)]
fn pack<S: Simd>(s: S, values: &[f32], width: usize, range: [f32; 2], words: &mut [u16]) {
    let [low, high] = range.map(|limit| s.splat(limit));
    for (index, word) in words.iter_mut().enumerate() {
        let start = index * WORD;
        *word = 0;
        for x in (start..width.min(start + WORD)).step_by(S::LANES) {
            let value = s.load(&values[x..]);
            *word |= s.bits(s.both(s.at_least(value, low), s.at_least(high, value))) << (x - start);
        }
        if width - start < WORD {
            *word &= (1 << (width - start)) - 1;
        }
    }
}

/// [`Slopes`] of a row.
#[derive(Clone, Copy)]
enum RowSlopes<'a> {
    None,
    Values(&'a [f32]),
    Bits(&'a [u16]),
}

/// The vector at `x` of the product; `x` is a multiple of the vector's length.
#[inline(always)]
fn product<S: Simd>(s: S, values: &[f32], slopes: RowSlopes, x: usize) -> S::V {
    let value = s.load(&values[x..]);
    match slopes {
        RowSlopes::None => value,
        RowSlopes::Values(slopes) => s.mul(value, s.load(&slopes[x..])),
        RowSlopes::Bits(words) => s.select(s.mask(words[x / WORD] >> (x % WORD)), value, s.splat(0.0)),
    }
}

/// Writes every `columns`-th value of a row, from the first one, the second one, ..., into planes of `pitch` values, from place
/// `left` on.
#[inline(always)]
fn split<S: Simd>(s: S, values: &[f32], slopes: RowSlopes, columns: usize, left: usize, pitch: usize, to: &mut [f32]) {
    let len = values.len();
    // Values of `columns` vectors.
    let step = columns * S::LANES;
    let whole = match columns {
        1 | 2 => len / step * step,
        _ => 0,
    };
    if columns == 1 {
        let to = &mut to[left..][..whole];
        for (x, to) in (0..whole).step_by(step).zip(to.chunks_exact_mut(S::LANES)) {
            s.store(product(s, values, slopes, x), to);
        }
    } else if columns == 2 {
        let (even, odd) = to.split_at_mut(pitch);
        let even = even[left..][..whole / 2].chunks_exact_mut(S::LANES);
        let odd = odd[left..][..whole / 2].chunks_exact_mut(S::LANES);
        for (x, (even, odd)) in (0..whole).step_by(step).zip(even.zip(odd)) {
            let [a, b] = s.deinterleave(product(s, values, slopes, x), product(s, values, slopes, x + S::LANES));
            s.store(a, even);
            s.store(b, odd);
        }
    }
    for x in whole..len {
        to[x % columns * pitch + left + x / columns] = match slopes {
            RowSlopes::None => values[x],
            RowSlopes::Values(slopes) => values[x] * slopes[x],
            RowSlopes::Bits(words) if words[x / WORD] >> (x % WORD) & 1 == 1 => values[x],
            RowSlopes::Bits(_) => 0.0,
        };
    }
    // Phases may have a value more in another group.
    for (phase, plane) in to.chunks_exact_mut(pitch).enumerate() {
        if let Some(next) = plane.get_mut(left + (len + columns - 1 - phase) / columns) {
            *next = 0.0;
        }
    }
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
