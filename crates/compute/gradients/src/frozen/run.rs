//! A [`Plan`] at work.
//!
//! A thread takes a band of rows of the common grid, copies what it reads into a window, phase by phase and between zeros, so that
//! every tap is a load at a fixed distance, and computes it in chunks of rows. A tile of up to 6 outputs by 4 vectors of cells
//! (2 on AVX2) stays in registers while the sum runs over the reads of its phase.

use std::ops::Range;

use rayon::prelude::*;

use super::grid::{Grid, Offsets, Size};
use super::phases::{PhaseRow, join, split};
use super::plan::{Block, Group, Part, Plan, TILE};
use super::pointwise::{Pointwise, Room};
use crate::bands::{Band, BandedTensor, Job, jobs};
use kernels::Aligned;
use kernels::simd::{Kernel, Level, MAX_LANES, Simd};

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
    let mut targets: Vec<(BandedTensor, usize)> = vec![];
    let kept = activation.is_some_and(|activation| activation.keep);
    for (tensor, size) in plan.to.iter().zip(to).chain(plan.to.iter().zip(to).filter(|_| kept)) {
        let band = grid.band * tensor.factor[0] * size.width;
        targets.push((BandedTensor::new([n, tensor.channels, size.len, 1]), band));
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
    type Output = ();

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
                            let row = PhaseRow { values: &values[row.clone()], slope: slope.map(|slope| &slope[row]) };
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
