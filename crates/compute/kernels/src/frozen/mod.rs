//! Convolutions whose weights never change, on whole batches: forward, and the gradient of the input alone. Networks that
//! judge a trained one ([`crate::training`]) consist of these.
//!
//! Tensors are `[n, channels, height, width]` without gaps. A convolution takes its input as a concatenation of sources, any of
//! them upsampled, and applies its activation, an arbitrary [`Pointwise`] function, to each row while that is in the cache.
//! Every kernel size, stride, dilation, padding and group count runs through one path: `plan` says how.
//!
//! Images are cut into bands of rows, the unit of work of the threads (rayon's current pool). Nothing is summed over bands, and
//! no order of summation depends on the instructions: results have the same bits for any number of threads and any
//! [`Level`]. Sums over all pixels of a channel ([`mean_channels`], [`scale_channels_backward`]) are the exception: at another
//! level they differ by rounding.

mod channels;
mod plan;
mod pointwise;
mod run;
#[cfg(test)]
mod tests;

pub use channels::{mean_channels, scale_channels, scale_channels_backward};
pub use pointwise::{Pointwise, Step};

use crate::Level;
use plan::Plan;
use run::{Activation, Input, Size};

/// One of the tensors that a convolution's input is concatenated from, along the channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Number of channels.
    pub channels: usize,
    /// Every value is repeated this many times in both directions (nearest-neighbour upsampling); 1 for none.
    pub upsample: usize,
}

/// What a convolution looks like. Zero padding; sizes in the order rows, columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// What the input is concatenated from.
    pub sources: Vec<Source>,
    /// Channels of the result.
    pub outputs: usize,
    /// Size of the kernel.
    pub kernel: [usize; 2],
    /// Distance between the places where the kernel is applied.
    pub stride: [usize; 2],
    /// Rows of zeros above, columns left, rows below, columns right.
    pub padding: [usize; 4],
    /// Distance between the kernel's elements.
    pub dilation: [usize; 2],
    /// Groups of channels that do not mix; divides the channels of input and result.
    pub groups: usize,
}

impl Shape {
    /// A square kernel in the middle of its padding, with one stride both ways and no dilation: `stride` 1 keeps the size.
    pub fn centred(sources: Vec<Source>, outputs: usize, kernel: usize, stride: usize, groups: usize) -> Self {
        Self {
            sources,
            outputs,
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [kernel / 2; 4],
            dilation: [1; 2],
            groups,
        }
    }

    /// Channels of the concatenated input.
    fn inputs(&self) -> usize {
        self.sources.iter().map(|source| source.channels).sum()
    }

    /// True where a pixel of the result depends on that pixel of the sources alone.
    fn is_pointwise(&self) -> bool {
        let upsampled = self.sources.iter().any(|source| source.upsample != 1);
        self.kernel == [1; 2] && self.stride == [1; 2] && self.padding == [0; 4] && !upsampled
    }
}

/// A convolution with frozen weights and its activation.
///
/// Every method panics if a slice does not have the length that its shape says.
pub struct FrozenConv {
    shape: Shape,
    bias: Vec<f32>,
    activation: Option<Pointwise>,
    forward: Plan,
    backward: Plan,
}

impl FrozenConv {
    /// Packs `weight` `[outputs, inputs / groups, kernel rows, kernel columns]` and `bias` `[outputs]`. `activation` is applied
    /// to the sums.
    ///
    /// # Panics
    /// If there is no source, a size is 0, `groups` does not divide both channel counts, or a length does not fit.
    pub fn new(shape: Shape, weight: &[f32], bias: &[f32], activation: Option<Pointwise>) -> Self {
        let inputs = shape.inputs();
        let sources = shape.sources.iter().flat_map(|source| [source.channels, source.upsample]);
        let sizes = sources.chain([inputs, shape.outputs, shape.groups]);
        let mut sizes = sizes.chain([shape.kernel, shape.stride, shape.dilation].concat());
        assert!(sizes.all(|size| size > 0), "{shape:?}: a size of 0");
        assert!(
            inputs.is_multiple_of(shape.groups) && shape.outputs.is_multiple_of(shape.groups),
            "{shape:?}: uneven groups"
        );
        let kernel: usize = shape.kernel.iter().product();
        assert_eq!(weight.len(), shape.outputs * inputs / shape.groups * kernel, "weights of {shape:?}");
        assert_eq!(bias.len(), shape.outputs, "biases of {shape:?}");
        let (forward, backward) = (Plan::forward(&shape, weight), Plan::backward(&shape, weight));
        Self { shape, bias: bias.to_vec(), activation, forward, backward }
    }

    /// What the convolution looks like.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Height and width of the result, for those of the concatenated (upsampled) input. 0 where the kernel does not fit.
    pub fn output_size(&self, height: usize, width: usize) -> (usize, usize) {
        let Shape { kernel, stride, padding: [top, left, bottom, right], dilation, .. } = self.shape;
        let size = |size: usize, axis: usize| {
            let reach = (kernel[axis] - 1) * dilation[axis];
            if size > reach { (size - 1 - reach) / stride[axis] + 1 } else { 0 }
        };
        (size(height + top + bottom, 0), size(width + left + right, 1))
    }

    /// The result `[n, outputs, height', width']` of [`output_size`](Self::output_size) and, with `keep`, what
    /// [`backward`](Self::backward) needs: the slope of the activation (nothing where there is none).
    ///
    /// `height` and `width` are those of the concatenated input, `sources[i]` is
    /// `[n, channels, height / upsample, width / upsample]`.
    ///
    /// # Panics
    /// If a source's factor does not divide `height` and `width`.
    pub fn forward(
        &self,
        n: usize,
        height: usize,
        width: usize,
        sources: &[&[f32]],
        keep: bool,
    ) -> (Vec<f32>, Vec<f32>) {
        self.forward_at(Level::detect(), n, [height, width], sources, keep)
    }

    /// Gradients of the sources, for the gradient of the result and the `slope` that [`forward`](Self::forward) kept.
    ///
    /// # Panics
    /// If a source's factor does not divide `height` and `width`, or the slope was not kept.
    pub fn backward(&self, n: usize, height: usize, width: usize, gradient: &[f32], slope: &[f32]) -> Vec<Vec<f32>> {
        self.backward_at(Level::detect(), n, [height, width], gradient, slope)
    }

    fn forward_at(
        &self,
        level: Level,
        n: usize,
        size: [usize; 2],
        sources: &[&[f32]],
        keep: bool,
    ) -> (Vec<f32>, Vec<f32>) {
        let Sizes { sources: sizes, result } = self.sizes(size);
        assert_eq!(sources.len(), sizes.len());
        let inputs = sources.iter().zip(sizes).map(|(values, size)| Input { values, slope: None, size });
        let activation = self.activation.as_ref().map(|function| Activation { function, keep });
        let to = run::run(level, &self.forward, n, &inputs.collect::<Vec<_>>(), &[result], &self.bias, activation);
        let mut to = to.into_iter();
        (to.next().unwrap_or_default(), to.next().unwrap_or_default())
    }

    fn backward_at(&self, level: Level, n: usize, size: [usize; 2], gradient: &[f32], slope: &[f32]) -> Vec<Vec<f32>> {
        let Sizes { sources, result } = self.sizes(size);
        let slope = self.activation.as_ref().map(|_| slope);
        let input = Input { values: gradient, slope, size: result };
        let bias = vec![0.0; self.shape.inputs()];
        run::run(level, &self.backward, n, &[input], &sources, &bias, None)
    }

    fn sizes(&self, [height, width]: [usize; 2]) -> Sizes {
        if self.shape.is_pointwise() {
            // Pixels in a row have nothing to do with each other: the image is taken as a strip that is cut as it suits.
            let channels = self.shape.inputs().max(self.shape.outputs);
            let strip = Size::strip(height * width, channels);
            return Sizes { sources: vec![strip; self.shape.sources.len()], result: strip };
        }
        let source = |source: &Source| {
            let factor = source.upsample;
            assert!(
                height.is_multiple_of(factor) && width.is_multiple_of(factor),
                "{height}x{width} is no multiple of {factor}"
            );
            Size::image(height / factor, width / factor)
        };
        let (result_height, result_width) = self.output_size(height, width);
        Sizes {
            sources: self.shape.sources.iter().map(source).collect(),
            result: Size::image(result_height, result_width),
        }
    }
}

/// Sizes of all tensors of a call.
struct Sizes {
    sources: Vec<Size>,
    result: Size,
}
