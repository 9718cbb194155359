//! A convolution, made ready to run.

use kernels::Level;

use super::grid::Size;
use super::plan::Plan;
use super::pointwise::Pointwise;
use super::run::{self, Activation, Input};
use super::shape::{ConvShape, ConvSource};

/// A convolution with frozen weights and its activation.
///
/// Every method panics if a slice does not have the length that its shape says.
pub struct FrozenConv {
    shape: ConvShape,
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
    pub fn new(shape: ConvShape, weight: &[f32], bias: &[f32], activation: Option<Pointwise>) -> Self {
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
    pub fn shape(&self) -> &ConvShape {
        &self.shape
    }

    /// The result `[n, outputs, height', width']` of [`ConvShape::output_size`] (nothing where there is none) and, with `keep`, what
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

    pub(super) fn forward_at(
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

    pub(super) fn backward_at(
        &self,
        level: Level,
        n: usize,
        size: [usize; 2],
        gradient: &[f32],
        slope: &[f32],
    ) -> Vec<Vec<f32>> {
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
        let source = |source: &ConvSource| {
            let factor = source.upsample;
            assert!(
                height.is_multiple_of(factor) && width.is_multiple_of(factor),
                "{height}x{width} is no multiple of {factor}"
            );
            Size::image(height / factor, width / factor)
        };
        let [result_height, result_width] = self.shape.output_size([height, width]).unwrap_or_default();
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
