//! The layer table as a chain of rows.
//!
//! Every layer pushes rows into its own window and pulls those it needs from the layers before it, so a frame runs through
//! the whole network row by row: each value is used while it is in the cache, and memory does not grow with the image.
//! Samples are independent, so threads take whole samples and share nothing but the packed weights.

use std::sync::{Mutex, PoisonError};

use frames::{Planes, RgbFrame};
use kernels::{
    Bicubic, Carrier, CarrierImage, Classes, Conv, Level, Linear, Rows, Skip, Upsample, copy_row, end_row,
    residual_sin_row, rgb_row, sum_row,
};
use repr::{Convolution, Correction, FRAMES_PER_SAMPLE, Graph, Operation, Tensors};

use crate::correction::{Amounts, Cosines};
use crate::error::DecoderError;
use crate::node::{RowNode, RowOperation};

/// Working memory that all threads together may take, in bytes; one thread is always allowed.
const WORKSPACES: usize = 1 << 29;

/// An architecture with its parameters, packed for the kernels.
pub struct Network {
    level: Level,
    latent_dim: usize,
    /// Frames that a latent stands for.
    frames: usize,
    /// Makes the first activation of a latent that is not one itself.
    stem: Stem,
    /// Makes the first frame, where it is no head.
    carrier: Option<Carrier>,
    /// In order of evaluation: the first activation, the layers, the RGB heads, their resampled columns.
    nodes: Vec<RowNode>,
    cosines: Cosines,
    bicubic: Bicubic,
    /// Not in use at the moment.
    workspaces: Mutex<Vec<Workspace>>,
}

/// The two frames of a sample, before and after resampling.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// As the architecture makes them, `[3, height, width]`.
    pub native: [Planes; FRAMES_PER_SAMPLE],
    /// At the clip's size.
    pub frames: [RgbFrame; FRAMES_PER_SAMPLE],
}

/// How the first activation comes about.
enum Stem {
    /// It is the latent.
    Latent,
    /// `sin(linear(latent))`.
    Linear(Linear),
    /// A linear layer at each pixel of a class map of so many pixels, and of so many of the latent's values.
    Classes { layer: Classes, pixels: usize, numbers: usize },
}

/// What a sample is decoded from.
#[derive(Clone, Copy, Debug, Default)]
pub struct SampleInput<'a> {
    /// Its latents, one behind the other.
    pub latents: &'a [f32],
    /// Its class map, `[rows, columns]`; nothing where the architecture is fed with none.
    pub map: &'a [u8],
    /// Those of its frames, of one valid sample.
    pub corrections: &'a [Correction],
}

impl<'a> SampleInput<'a> {
    /// Latents alone.
    pub fn of(latents: &'a [f32]) -> Self {
        Self { latents, ..Self::default() }
    }
}

/// Sliding windows and working room for one latent.
struct Workspace {
    /// The first activation, or what the pixels of one of its channels share.
    stem: Vec<f32>,
    map: Vec<u8>,
    carrier: Option<CarrierImage>,
    rows: Vec<Rows>,
    conv: Vec<f32>,
    blend: Vec<f32>,
    amounts: Amounts,
}

/// Builds the nodes of an architecture.
struct Builder<'a> {
    parameters: &'a Tensors,
    nodes: Vec<RowNode>,
}

impl Builder<'_> {
    fn conv(&self, convolution: Convolution) -> Conv {
        self.convs(&[convolution], 1.0)
    }

    /// Convolutions of the same input as one, times `gain`.
    fn convs(&self, convolutions: &[Convolution], gain: f32) -> Conv {
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        for convolution in convolutions {
            weight.extend(self.parameters[convolution.weight].iter().map(|value| gain * value));
            bias.extend(self.parameters[convolution.bias].iter().map(|value| gain * value));
        }
        let [inputs, kernel, dilation] =
            convolutions.first().map_or([1; 3], |first| [first.inputs, first.kernel, first.dilation]);
        Conv::new(&weight, &bias, inputs, kernel, dilation)
    }

    /// Adds a node of `channels` and returns its index; `size` is the one of the node before it unless given.
    fn push(&mut self, operation: RowOperation, input: usize, channels: usize, size: Option<(usize, usize)>) -> usize {
        let last = self.nodes.last().map(|node| (node.height, node.width));
        let (height, width) = size.or(last).unwrap_or_default();
        self.nodes.push(RowNode { operation, input, channels, height, width, window: 0 });
        self.nodes.len() - 1
    }

    /// Adds what the nodes of a graph compute; returns the index of the last one, the heads.
    fn layers(&mut self, graph: &Graph) -> usize {
        let first = match &graph.nodes()[0] {
            node if matches!(node.operation, Operation::Stem { .. } | Operation::Classes { .. }) => node.output,
            node => node.input,
        };
        let mut last = self.push(RowOperation::Stem, 0, first.channels, Some((first.height, first.width)));
        for node in graph.nodes() {
            let (channels, size) = (node.output.channels, Some((node.output.height, node.output.width)));
            last = match &node.operation {
                Operation::Stem { .. } | Operation::Classes { .. } => last,
                Operation::Stage { conv, skip, upscale, nonlinearity } => {
                    let conv = self.conv(*conv);
                    let skip = match skip {
                        Skip::None => None,
                        Skip::Input => Some(last),
                        // A 1x1 convolution and bilinear upsampling commute; this order costs less.
                        Skip::Convolution(skip) => {
                            Some(self.push(RowOperation::Conv(self.conv(*skip)), last, channels, None))
                        }
                    };
                    let upsample = Upsample::new(*upscale, Some(*nonlinearity));
                    self.push(RowOperation::Stage { conv, upsample, skip }, last, channels, size)
                }
                Operation::Refine { first, second, gain } => {
                    let hidden = self.push(RowOperation::Conv(self.conv(*first)), last, first.outputs, None);
                    let operation = RowOperation::Residual { conv: self.conv(*second), gain: *gain, x: last };
                    self.push(operation, hidden, channels, None)
                }
                Operation::Residual { first, second, nonlinearity } => {
                    let operation = RowOperation::End(self.conv(*first), *nonlinearity);
                    let hidden = self.push(operation, last, first.outputs, None);
                    self.push(RowOperation::Sum { conv: self.conv(*second), x: last }, hidden, channels, None)
                }
                Operation::Heads { heads, gain } => {
                    // A carrier's frame lies before those of the heads.
                    let channels = if graph.carrier().is_some() { channels + 3 } else { channels };
                    self.push(RowOperation::Rgb(self.convs(heads, *gain)), last, channels, None)
                }
            };
        }
        last
    }

    /// Makes every window as large as its readers need. A step of the writer may go past the last row asked for, and two
    /// readers of the same rows (convolution and skip, or convolution and residual) are at most one row apart, which the
    /// reach of at least one row covers.
    fn set_windows(&mut self) {
        for reader in 0..self.nodes.len() {
            for (source, reach) in self.nodes[reader].sources().into_iter().flatten() {
                let node = &mut self.nodes[source];
                node.window = node.window.max(2 * reach.max(1) + node.step());
            }
        }
    }
}

impl Network {
    /// Packs the parameters of an architecture; frames come out with `size` = (rows, columns).
    pub fn new(parameters: &Tensors, size: (usize, usize), level: Level) -> Result<Self, DecoderError> {
        if size.0 == 0 || size.1 == 0 {
            return Err(frames::FrameError::Size { width: size.1, height: size.0 }.into());
        }
        Ok(Self::of_size(parameters, size, level))
    }

    /// As [`new`](Self::new), for a size of at least 1 each.
    pub(crate) fn of_size(parameters: &Tensors, size: (usize, usize), level: Level) -> Self {
        let architecture = parameters.architecture();
        let (graph, latent_dim, frames) = (architecture.graph(), architecture.latent_dim(), architecture.frames());
        let stem = match graph.nodes()[0].operation {
            Operation::Stem { linear } => {
                Stem::Linear(Linear::new(&parameters[linear.weight], &parameters[linear.bias], latent_dim))
            }
            Operation::Classes { linear, classes } => {
                let node = &graph.nodes()[0];
                let size = (node.output.height, node.output.width);
                let layer = Classes::new(&parameters[linear.weight], &parameters[linear.bias], classes, size);
                Stem::Classes { layer, pixels: size.0 * size.1, numbers: node.input.channels }
            }
            _ => Stem::Latent,
        };
        let carrier = graph.carrier().map(|node| {
            let (weight, bias) = (&parameters[node.linear.weight], &parameters[node.linear.bias]);
            let coarse = (node.height, node.width);
            Carrier::new(weight, bias, node.linear.inputs, coarse, architecture.output_size())
        });
        let mut builder = Builder { parameters, nodes: Vec::new() };
        let rgb = builder.layers(graph);
        builder.push(RowOperation::Columns, rgb, 3 * frames, Some((architecture.output_size().0, size.1)));
        builder.set_windows();
        let mut nodes = builder.nodes;
        if let Some(columns) = nodes.last_mut() {
            columns.window = 4;
        }
        Self {
            level,
            latent_dim,
            frames,
            stem,
            carrier,
            nodes,
            cosines: Cosines::new(level, architecture.output_size()),
            bicubic: Bicubic::new(level, architecture.output_size(), size),
            workspaces: Mutex::default(),
        }
    }

    /// Threads whose working memory together stays within bounds; the reference architecture allows hundreds.
    pub fn threads(&self) -> usize {
        let values = |node: &RowNode| (node.window + 1) * node.channels * kernels::row_stride(node.width + 32);
        let conv = |node: &RowNode| node.conv().map_or(0, |conv| conv.row_len(node.width));
        let nodes: usize = self.nodes.iter().map(|node| values(node) + conv(node)).sum();
        let carrier = self.carrier.as_ref().map_or(0, Carrier::room_len);
        let workspace = 4 * (nodes + self.stem_len() + carrier) + self.map_len();
        (WORKSPACES / workspace.max(1)).max(1)
    }

    /// The two frames `[3, height, width]` of a sample as the architecture makes them from its latents, RGB in [0, 255], moved by
    /// the frame part of `corrections` (those of one valid sample), which may lead out of that range, as a carrier may.
    pub fn native(&self, input: SampleInput<'_>) -> Result<[Planes; FRAMES_PER_SAMPLE], DecoderError> {
        let mut native = self.native_room();
        self.run(input, |work, first| {
            for y in 0..self.native_height() {
                self.native_row(work, y, &mut native[first..][..self.frames]);
            }
        })?;
        self.planes(native)
    }

    /// The two frames of a sample, moved as in [`native`](Self::native), at the size given to [`new`](Self::new). Frames in
    /// `used` give their memory.
    pub fn frames(
        &self,
        input: SampleInput<'_>,
        used: Option<[RgbFrame; FRAMES_PER_SAMPLE]>,
    ) -> Result<[RgbFrame; FRAMES_PER_SAMPLE], DecoderError> {
        let mut enlarged = self.enlarged_room(used);
        self.run(input, |work, first| {
            for y in 0..self.bicubic.height() {
                self.enlarged_row(work, y, &mut enlarged[first..][..self.frames]);
            }
        })?;
        self.rgb_frames(enlarged)
    }

    /// What [`native`](Self::native) and [`frames`](Self::frames) give, of one evaluation.
    pub fn both(&self, input: SampleInput<'_>) -> Result<Decoded, DecoderError> {
        let (mut native, mut enlarged) = (self.native_room(), self.enlarged_room(None));
        self.run(input, |work, first| {
            let mut next = 0;
            for y in 0..self.native_height() {
                self.native_row(work, y, &mut native[first..][..self.frames]);
                // The heads' window holds but a few rows, so those at the clip's size that end with this one come next.
                self.advance(work, self.nodes.len() - 1, y + 1);
                while next < self.bicubic.height() && self.bicubic.last_row(next) <= y {
                    self.enlarged_row(work, next, &mut enlarged[first..][..self.frames]);
                    next += 1;
                }
            }
        })?;
        Ok(Decoded { native: self.planes(native)?, frames: self.rgb_frames(enlarged)? })
    }

    /// The first frame of a sample as [`frames`](Self::frames) gives it, where a carrier makes it: without the second one's work.
    pub fn carried(&self, input: SampleInput<'_>) -> Result<Option<RgbFrame>, DecoderError> {
        let Some(carrier) = &self.carrier else { return Ok(None) };
        let Stem::Classes { numbers, .. } = &self.stem else { return Ok(None) };
        self.check(input)?;
        let RowNode { height, width, .. } = self.nodes[self.nodes.len() - 2];
        let mut image = carrier.room();
        carrier.begin(self.level, &input.latents[*numbers..], &mut image);
        let amounts = Amounts::new(input.corrections, 0..1);
        let mut row = Rows::new(3, height, width, 1);
        let mut columns = Rows::new(3, height, self.bicubic.width(), height);
        for y in 0..height {
            let mut out = row.push();
            carrier.row(self.level, &image, y, out.reborrow());
            self.cosines.add(&amounts, y, &mut out);
            self.bicubic.columns(&row, y, columns.push());
        }
        let mut data = vec![0; 3 * self.bicubic.width() * self.bicubic.height()];
        for (y, row) in data.chunks_exact_mut(3 * self.bicubic.width()).enumerate() {
            self.bicubic.rgb(&columns, y, 0, row);
        }
        Ok(Some(RgbFrame::new(self.bicubic.width(), self.bicubic.height(), data)?))
    }

    fn native_height(&self) -> usize {
        self.nodes[self.nodes.len() - 2].height
    }

    fn native_room(&self) -> [Vec<f32>; FRAMES_PER_SAMPLE] {
        let RowNode { height, width, .. } = self.nodes[self.nodes.len() - 2];
        [(); FRAMES_PER_SAMPLE].map(|()| vec![0f32; 3 * height * width])
    }

    /// Row `y` of the heads, into the frames of the latent.
    fn native_row(&self, work: &mut Workspace, y: usize, native: &mut [Vec<f32>]) {
        let rgb = self.nodes.len() - 2;
        let RowNode { height, width, .. } = self.nodes[rgb];
        self.advance(work, rgb, y + 1);
        for (frame, data) in native.iter_mut().enumerate() {
            for c in 0..3 {
                let row = &mut data[(c * height + y) * width..][..width];
                row.copy_from_slice(work.rows[rgb].channel(y, 3 * frame + c));
            }
        }
    }

    fn planes(&self, native: [Vec<f32>; FRAMES_PER_SAMPLE]) -> Result<[Planes; FRAMES_PER_SAMPLE], DecoderError> {
        let RowNode { height, width, .. } = self.nodes[self.nodes.len() - 2];
        let [first, second] = native.map(|data| Planes::new(3, height, width, data));
        Ok([first?, second?])
    }

    fn enlarged_room(&self, used: Option<[RgbFrame; FRAMES_PER_SAMPLE]>) -> [Vec<u8>; FRAMES_PER_SAMPLE] {
        let mut enlarged = used.map(|frames| frames.map(RgbFrame::into_data)).unwrap_or_default();
        enlarged.iter_mut().for_each(|data| data.resize(3 * self.bicubic.width() * self.bicubic.height(), 0));
        enlarged
    }

    /// Row `y` of the latent's frames at the clip's size.
    fn enlarged_row(&self, work: &mut Workspace, y: usize, enlarged: &mut [Vec<u8>]) {
        let (columns, len) = (self.nodes.len() - 1, 3 * self.bicubic.width());
        self.advance(work, columns, self.bicubic.last_row(y) + 1);
        for (frame, data) in enlarged.iter_mut().enumerate() {
            self.bicubic.rgb(&work.rows[columns], y, 3 * frame, &mut data[len * y..][..len]);
        }
    }

    fn rgb_frames(
        &self,
        enlarged: [Vec<u8>; FRAMES_PER_SAMPLE],
    ) -> Result<[RgbFrame; FRAMES_PER_SAMPLE], DecoderError> {
        let [first, second] = enlarged.map(|data| RgbFrame::new(self.bicubic.width(), self.bicubic.height(), data));
        Ok([first?, second?])
    }

    /// Evaluates the stem of each of a sample's latents in a free workspace and hands it to `body`, with the first frame that it
    /// stands for.
    fn run(&self, input: SampleInput<'_>, mut body: impl FnMut(&mut Workspace, usize)) -> Result<(), DecoderError> {
        self.check(input)?;
        let SampleInput { latents, map, corrections } = input;
        // A workspace in the pool is idle, so a panic elsewhere leaves it usable.
        let pool = || self.workspaces.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = pool().pop();
        let mut work = idle.unwrap_or_else(|| self.workspace());
        work.map.clear();
        work.map.extend_from_slice(map);
        for (latent, first) in latents.chunks(self.latent_dim).zip((0..).step_by(self.frames)) {
            work.rows.iter_mut().for_each(Rows::restart);
            work.amounts = Amounts::new(corrections, first..first + self.frames);
            let numbers = match &self.stem {
                Stem::Linear(stem) => {
                    stem.sin(self.level, latent, &mut work.stem);
                    latent.len()
                }
                Stem::Classes { layer, numbers, .. } => {
                    layer.base(&latent[..*numbers], &mut work.stem);
                    *numbers
                }
                Stem::Latent => {
                    work.stem.copy_from_slice(latent);
                    latent.len()
                }
            };
            if let (Some(carrier), Some(image)) = (&self.carrier, &mut work.carrier) {
                carrier.begin(self.level, &latent[numbers..], image);
            }
            body(&mut work, first);
        }
        pool().push(work);
        Ok(())
    }

    /// A sample has what the network reads.
    fn check(&self, input: SampleInput<'_>) -> Result<(), DecoderError> {
        let (found, expected) = (input.latents.len(), self.latent_dim * FRAMES_PER_SAMPLE / self.frames);
        if found != expected {
            return Err(DecoderError::Latent { found, expected });
        }
        match (input.map.len(), self.map_len()) {
            (found, expected) if found == expected => Ok(()),
            (found, expected) => Err(DecoderError::Map { found, expected }),
        }
    }

    /// Pixels of a sample's class map.
    fn map_len(&self) -> usize {
        if let Stem::Classes { pixels, .. } = self.stem { pixels } else { 0 }
    }

    /// Values of [`Workspace::stem`].
    fn stem_len(&self) -> usize {
        let RowNode { channels, height, width, .. } = self.nodes[0];
        match &self.stem {
            Stem::Classes { layer, .. } => layer.outputs(),
            Stem::Latent | Stem::Linear(_) => channels * height * width,
        }
    }

    fn workspace(&self) -> Workspace {
        let rows = |node: &RowNode| Rows::new(node.channels, node.height, node.width, node.window);
        let input_width = |node: &RowNode| self.nodes[node.input].width;
        let conv = |node: &RowNode| node.conv().map_or(0, |conv| conv.row_len(input_width(node)));
        let longest = |len: &dyn Fn(&RowNode) -> usize| self.nodes.iter().map(len).max().unwrap_or(0);
        Workspace {
            stem: vec![0.0; self.stem_len()],
            map: Vec::new(),
            carrier: self.carrier.as_ref().map(Carrier::room),
            rows: self.nodes.iter().map(rows).collect(),
            conv: vec![0.0; longest(&conv)],
            blend: vec![0.0; longest(&|node| Upsample::blend_len(input_width(node)))],
            amounts: Amounts::default(),
        }
    }

    /// Computes rows of a node until `end` of them are there.
    fn advance(&self, work: &mut Workspace, node: usize, end: usize) {
        let RowNode { operation, input, height, width, .. } = &self.nodes[node];
        while work.rows[node].filled() < end {
            let y = work.rows[node].filled() / self.nodes[node].step();
            for (source, reach) in self.nodes[node].sources().into_iter().flatten() {
                self.advance(work, source, (y + reach + 1).min(self.nodes[source].height));
            }
            let Workspace { stem, map, carrier, rows, conv: values, blend, amounts } = &mut *work;
            let (before, rest) = rows.split_at_mut(node);
            let out = &mut rest[0];
            if let Some(conv) = self.nodes[node].conv() {
                conv.row(self.level, &before[*input], y, values);
            }
            match operation {
                RowOperation::Stem => {
                    let mut row = out.push();
                    if let Stem::Classes { layer, .. } = &self.stem {
                        layer.row(stem, &map[y * width..][..*width], y, row);
                        continue;
                    }
                    for c in 0..row.channels() {
                        row.channel(c).copy_from_slice(&stem[(c * height + y) * width..][..*width]);
                    }
                }
                RowOperation::Conv(_) => copy_row(values, out.push()),
                RowOperation::End(_, nonlinearity) => end_row(self.level, *nonlinearity, values, out.push()),
                RowOperation::Sum { x, .. } => sum_row(self.level, values, &before[*x], y, out.push()),
                RowOperation::Stage { upsample, skip, .. } => {
                    let skip = skip.map(|skip| &before[skip]);
                    for phase in 0..upsample.factor() {
                        upsample.row(self.level, values, skip, y, phase, blend, out.push());
                    }
                }
                RowOperation::Residual { gain, x, .. } => {
                    residual_sin_row(self.level, values, &before[*x], y, *gain, out.push());
                }
                RowOperation::Rgb(_) => {
                    let mut row = out.push();
                    if let (Some(layer), Some(image)) = (&self.carrier, &*carrier) {
                        let [carried, behind] = row.split(3);
                        layer.row(self.level, image, y, carried);
                        rgb_row(self.level, values, behind);
                    } else {
                        rgb_row(self.level, values, row.reborrow());
                    }
                    self.cosines.add(amounts, y, &mut row);
                }
                RowOperation::Columns => self.bicubic.columns(&before[*input], y, out.push()),
            }
        }
    }
}
