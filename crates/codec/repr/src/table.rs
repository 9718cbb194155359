//! The layer table: latent, or latent and class map, -> stem -> layers -> one RGB head per frame of the latent, or a carrier for the
//! first. Its rows are what recipes, checkpoints and archives hold; what they mean together, and whether they can be, is for
//! [`Architecture`](crate::Architecture) to say.

use kernels::Nonlinearity;
use serde::{Deserialize, Serialize};

#[cfg(doc)]
use crate::limits;

/// Frames of a sample of the metric: a pair of consecutive ones.
pub const FRAMES_PER_SAMPLE: usize = 2;

/// A decoder's layer table, any numbers in it.
///
/// ```text
/// latent [latent_dim] -- linear -- sin -> [stem.channels, stem.height, stem.width]
///   -- layers in order -> [c, height, width]
///   -- one 3x3 convolution per frame -- 255 * sigmoid -> frames x [3, height, width], RGB in [0, 255]
/// ```
///
/// With [`classes`](Stem::classes) the linear layer is one at each pixel of a class map, without the sine; with a carrier the first
/// frame has no convolution.
///
/// Keys that have their default are not written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerTable {
    /// Values of a latent.
    pub latent_dim: usize,
    /// Frames that a latent stands for: 2, a pair, or 1; a pair then has two latents.
    #[serde(default = "two", skip_serializing_if = "is_two")]
    pub frames: usize,
    /// The tensor that the linear layer makes of a latent, or that the latent is.
    pub stem: Stem,
    /// What follows, in order.
    pub layers: Vec<Layer>,
    /// What the heads end with.
    #[serde(default, skip_serializing_if = "is_default")]
    pub head: Head,
    /// What makes the first frame of a pair in place of a head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<Carrier>,
}

/// The first frame of a pair as a coarse image: a base plus a sum of as many basis images as a latent has `coefficients`, its last
/// values; enlarged bicubically to the frame's size. It carries what the metric asks of the motion between the frames, and nothing
/// else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carrier {
    /// Basis images.
    pub coefficients: usize,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// 3 for images in colour, 1 for grey ones.
    #[serde(default = "three")]
    pub channels: usize,
    /// Bits of a coefficient, 8 to [`limits::COEFFICIENT_BITS`].
    #[serde(default = "ten")]
    pub bits: u8,
}

/// What takes a head's convolution to RGB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// `255 * sigmoid(x)`.
    #[default]
    Sigmoid,
    /// `255 * (tanh(x) + 1) / 2`, which is `255 * sigmoid(2 * x)`.
    Tanh,
}

/// Shape of the first activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stem {
    /// Channels.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Whether a linear layer and a sine make it of the latent. Otherwise the latent is this tensor, a small image, and has as
    /// many values.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub linear: bool,
    /// Number of classes of the map that the decoder is fed with, `[height, width]` for each sample; 0 for none. The tensor is then
    /// a linear layer at each pixel: of its class, of its place (x, y, x^2, y^2, each axis from -1 to 1) and of the latent's values, a
    /// carrier's aside.
    #[serde(default, skip_serializing_if = "is_default")]
    pub classes: usize,
}

impl Stem {
    /// Behind a linear layer.
    pub fn new(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height, width, linear: true, classes: 0 }
    }
}

/// One row of the layer table.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Layer {
    /// Upsampling residual stage, see [`Stage`].
    Stage(Stage),
    /// Residual refinement at constant size, see [`Refine`].
    Refine(Refine),
    /// Residual block at constant size, see [`Residual`].
    Residual(Residual),
}

/// `x + second(f(first(x)))`: a convolution to `hidden` channels with the given kernel and dilation, then a 1x1 convolution back;
/// zero padding keeps the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Residual {
    /// Channels between the two convolutions.
    pub hidden: usize,
    /// Side of the first convolution's kernel: 1, 3 or 5.
    #[serde(default = "three")]
    pub kernel: usize,
    /// Dilation of the first convolution, 1 to [`limits::DILATION`].
    #[serde(default = "one")]
    pub dilation: usize,
    /// The function between the convolutions.
    #[serde(default)]
    pub activation: Nonlinearity,
}

/// `f(pixel_shuffle(conv(x)) + skip(x))`: the convolution goes to `channels * upscale^2` channels, the skip is bilinear
/// upsampling by the same factor, behind a 1x1 convolution where the channel count changes. Without the skip and with the
/// Gaussian error linear unit it is the block of NeRV and HNeRV (Chen et al. 2021, 2023).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Channels that leave the stage.
    pub channels: usize,
    /// Factor by which rows and columns grow, 1 to [`limits::UPSCALE`].
    #[serde(default = "two")]
    pub upscale: usize,
    /// Side of the convolution's kernel: 1, 3 or 5.
    #[serde(default = "three")]
    pub kernel: usize,
    /// Whether there is a skip.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub skip: bool,
    /// The function at the end.
    #[serde(default, skip_serializing_if = "is_default")]
    pub activation: Nonlinearity,
}

impl Stage {
    /// With a skip and a sine.
    pub fn new(channels: usize, upscale: usize, kernel: usize) -> Self {
        Self { channels, upscale, kernel, skip: true, activation: Nonlinearity::Sin }
    }
}

/// `x + gain * sin(conv(dilated_conv(x)))`: a 3x3 convolution to `hidden` channels with the given dilation, then a 3x3
/// convolution back; zero padding keeps the size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refine {
    /// Channels between the two convolutions.
    pub hidden: usize,
    /// Dilation of the first convolution, 1 to [`limits::DILATION`].
    #[serde(default = "two")]
    pub dilation: usize,
    /// Weight of the branch.
    #[serde(default = "tenth")]
    pub gain: f32,
}

fn one() -> usize {
    1
}

fn two() -> usize {
    2
}

fn three() -> usize {
    3
}

fn ten() -> u8 {
    10
}

fn tenth() -> f32 {
    0.1
}

fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
}

fn is_two(value: &usize) -> bool {
    *value == 2
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl LayerTable {
    /// A pair of frames for each latent, sigmoids at the end.
    pub fn new(latent_dim: usize, stem: Stem, layers: Vec<Layer>) -> Self {
        Self { latent_dim, frames: FRAMES_PER_SAMPLE, stem, layers, head: Head::Sigmoid, carrier: None }
    }

    /// The reference architecture of the challenge's leaders: 228,958 parameters at `base = 36` and `latent_dim = 28`.
    ///
    /// Channels are `C, C, C, 3C/4, 0.58C, C/2, C/2` (rounded down), frames 384x512.
    pub fn reference(base: usize, latent_dim: usize) -> Self {
        let widths = [base, base, base * 3 / 4, base * 58 / 100, base / 2, base / 2];
        let mut layers: Vec<Layer> = widths.iter().map(|&channels| Layer::Stage(Stage::new(channels, 2, 3))).collect();
        layers.push(Layer::Refine(Refine { hidden: (base / 4).max(1), dilation: 2, gain: 0.1 }));
        Self::new(latent_dim, Stem::new(base, 6, 8), layers)
    }
}
