//! Which value is multiplied by which weight and added where.
//!
//! Strides and upsampled sources put the tensors of a convolution on grids of different pitch. All of them are looked at on
//! their coarsest common grid: a tensor that is `factor` times finer has `factor` rows and columns, its phases, in every
//! cell. Between one phase of the result and one phase of a source, the convolution has stride 1. That makes one case of
//! strides, upsampling (whose repeated values share a product with the sum of their weights: four in place of nine for 3x3 at
//! a factor of 2), and, with the direction of every tap reversed, the gradients of all of these.

use std::collections::BTreeMap;
use std::ops::Range;

use super::shape::ConvShape;
use kernels::Aligned;

/// Most outputs of a tile.
pub(super) const TILE: usize = 6;

/// One of the tensors that are read or written.
#[derive(Clone, Copy)]
pub(super) struct Tensor {
    pub channels: usize,
    /// Rows and columns in a cell of the common grid.
    pub factor: [usize; 2],
}

impl Tensor {
    pub(super) fn phases(&self) -> usize {
        self.factor[0] * self.factor[1]
    }
}

/// What one phase of a tensor gets from one phase of another.
#[derive(Clone)]
pub(super) struct Tap {
    to: [usize; 2],
    pub from: [usize; 2],
    /// Cell that is read, relative to the one that is written.
    pub shift: [isize; 2],
    /// Places in the kernel; their weights are summed.
    places: Vec<usize>,
}

/// Adjacent channels of a tensor.
#[derive(Clone)]
pub(super) struct Part {
    pub tensor: usize,
    pub channels: Range<usize>,
    /// Channels of the tensors before this one.
    pub offset: usize,
}

/// Adjacent channels of a tensor that are computed at once, in all phases.
pub(super) struct Block {
    pub part: Part,
    /// Row by row: the number of a list of reads in the group, and where its weights begin.
    pub phases: Vec<(usize, usize)>,
}

/// Channels that do not mix with others.
pub(super) struct Group {
    pub from: Vec<Part>,
    pub blocks: Vec<Block>,
    /// What a phase reads: for every part of `from` the taps, which all its channels have.
    pub reads: Vec<Vec<Vec<Tap>>>,
}

/// A convolution, or its gradient, made ready to run.
pub(super) struct Plan {
    pub from: Vec<Tensor>,
    pub to: Vec<Tensor>,
    pub groups: Vec<Group>,
    /// For every phase of every block `[part][channel][tap][output]`.
    pub weights: Aligned,
    /// The first and the last shift of any tap, of rows and of columns; never without 0.
    pub shifts: [[isize; 2]; 2],
}

impl Plan {
    /// From the sources to the result.
    pub(super) fn forward(shape: &ConvShape, weight: &[f32]) -> Self {
        let (sources, result) = tensors(shape);
        let taps = |_, source| taps(shape, source);
        Self::new(sources, vec![result], shape, taps, |to, from, place| element(shape, weight, (to, from), place))
    }

    /// From the gradient of the result to those of the sources.
    pub(super) fn backward(shape: &ConvShape, weight: &[f32]) -> Self {
        let (sources, result) = tensors(shape);
        let reversed = |tap: Tap| Tap { to: tap.from, from: tap.to, shift: tap.shift.map(|s| -s), places: tap.places };
        let taps = |source, _| taps(shape, source).into_iter().map(reversed).collect();
        Self::new(vec![result], sources, shape, taps, |to, from, place| element(shape, weight, (from, to), place))
    }

    /// `taps(to, from)` are those between two tensors, `weight(to, from, place)` an element of the kernel between two
    /// channels, counted through all tensors of a side.
    fn new(
        from: Vec<Tensor>,
        to: Vec<Tensor>,
        shape: &ConvShape,
        taps: impl Fn(usize, usize) -> Vec<Tap>,
        weight: impl Fn(usize, usize, usize) -> f32,
    ) -> Self {
        let taps: Vec<Vec<_>> = (0..to.len()).map(|to| (0..from.len()).map(|from| taps(to, from)).collect()).collect();
        let mut shifts = [[0; 2]; 2];
        for tap in taps.iter().flatten().flatten() {
            for (shifts, &shift) in shifts.iter_mut().zip(&tap.shift) {
                *shifts = [shifts[0].min(shift), shifts[1].max(shift)];
            }
        }
        let mut packed = vec![];
        let group = |(from, parts): (Vec<Part>, Vec<Part>)| {
            let mut group = Group { from, blocks: vec![], reads: vec![] };
            for part in parts {
                let [rows, columns] = to[part.tensor].factor;
                let first = group.reads.len();
                for phase in 0..rows * columns {
                    let phase = [phase / columns, phase % columns];
                    let of_phase = |taps: &Vec<Tap>| taps.iter().filter(|tap| tap.to == phase).cloned().collect();
                    group.reads.push(group.from.iter().map(|from| of_phase(&taps[part.tensor][from.tensor])).collect());
                }
                for channels in blocks(&part.channels) {
                    let pack = |list: usize| {
                        let start = packed.len();
                        for (from, taps) in group.from.iter().zip(&group.reads[list]) {
                            for input in from.channels.clone().map(|c| from.offset + c) {
                                for tap in taps {
                                    packed.extend(channels.clone().map(|c| part.offset + c).map(|output| {
                                        tap.places.iter().map(|&place| weight(output, input, place)).sum::<f32>()
                                    }));
                                }
                            }
                        }
                        (list, start)
                    };
                    let phases = (first..first + rows * columns).map(pack).collect();
                    group.blocks.push(Block { part: Part { channels, ..part }, phases });
                }
            }
            group
        };
        let from_parts = parts(&from, shape.groups);
        let groups = from_parts.into_iter().zip(parts(&to, shape.groups)).map(group).collect();
        let mut weights = Aligned::zeros(packed.len());
        weights.as_mut_slice()[..packed.len()].copy_from_slice(&packed);
        Self { from, to, groups, weights, shifts }
    }
}

/// The channels of every group.
fn parts(tensors: &[Tensor], groups: usize) -> Vec<Vec<Part>> {
    let per_group = tensors.iter().map(|tensor| tensor.channels).sum::<usize>() / groups;
    let mut parts = vec![vec![]; groups];
    let mut offset = 0;
    for (tensor, &Tensor { channels, .. }) in tensors.iter().enumerate() {
        let mut start = 0;
        while start < channels {
            let group = (offset + start) / per_group;
            let end = channels.min((group + 1) * per_group - offset);
            parts[group].push(Part { tensor, channels: start..end, offset });
            start = end;
        }
        offset += channels;
    }
    parts
}

/// Ranges of at most [`TILE`] channels, as equal as can be.
fn blocks(channels: &Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let (start, len) = (channels.start, channels.len());
    let count = len.div_ceil(TILE);
    (0..count).map(move |block| start + block * len / count..start + (block + 1) * len / count)
}

/// Element of `weight` `[outputs, inputs / groups, kernel, kernel]`.
fn element(shape: &ConvShape, weight: &[f32], (output, input): (usize, usize), place: usize) -> f32 {
    let inputs = shape.inputs() / shape.groups;
    weight[(output * inputs + input % inputs) * shape.kernel[0] * shape.kernel[1] + place]
}

/// Rows and columns of the concatenated input in a cell of the common grid.
pub(super) fn cell(shape: &ConvShape) -> [usize; 2] {
    shape.stride.map(|stride| shape.sources.iter().fold(stride, |cell, source| lcm(cell, source.upsample)))
}

fn tensors(shape: &ConvShape) -> (Vec<Tensor>, Tensor) {
    let [rows, columns] = cell(shape);
    let sources = shape.sources.iter();
    let sources = sources.map(|s| Tensor { channels: s.channels, factor: [rows / s.upsample, columns / s.upsample] });
    let result = Tensor { channels: shape.outputs, factor: [rows / shape.stride[0], columns / shape.stride[1]] };
    (sources.collect(), result)
}

/// All taps from a source to the result.
fn taps(shape: &ConvShape, source: usize) -> Vec<Tap> {
    let upsample = shape.sources[source].upsample;
    let axes = [0, 1].map(|axis| {
        let cell = cell(shape)[axis];
        let (stride, dilation, padding) = (shape.stride[axis], shape.dilation[axis], shape.padding[axis]);
        let reads = (0..cell / stride).flat_map(move |phase| {
            (0..shape.kernel[axis]).map(move |place| {
                let fine = (phase * stride + place * dilation) as isize - padding as isize;
                let row = fine.div_euclid(upsample as isize);
                let factor = (cell / upsample) as isize;
                (phase, row.div_euclid(factor), row.rem_euclid(factor) as usize, place)
            })
        });
        reads.collect::<Vec<_>>()
    });
    let mut taps: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for &(py, dy, qy, ky) in &axes[0] {
        for &(px, dx, qx, kx) in &axes[1] {
            taps.entry(([py, px], dy, qy, dx, qx)).or_default().push(ky * shape.kernel[1] + kx);
        }
    }
    let tap = |((to, dy, qy, dx, qx), places)| Tap { to, from: [qy, qx], shift: [dy, dx], places };
    taps.into_iter().map(tap).collect()
}

fn lcm(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y > 0 {
        (x, y) = (y, x % y);
    }
    a / x * b
}
