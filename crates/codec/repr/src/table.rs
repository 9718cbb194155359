//! The layer table: latent -> stem -> layers -> one RGB head per frame of the pair. Its rows are what recipes, checkpoints and
//! archives hold; what they mean together, and whether they can be, is for [`Architecture`](crate::Architecture) to say.

use serde::{Deserialize, Serialize};

#[cfg(doc)]
use crate::limits;

/// Frames that one latent stands for: a sample of the metric is a pair of consecutive frames.
pub const FRAMES_PER_SAMPLE: usize = 2;

/// A decoder's layer table, any numbers in it.
///
/// ```text
/// latent [latent_dim] -- linear -- sin -> [stem.channels, stem.height, stem.width]
///   -- layers in order -> [c, height, width]
///   -- one 3x3 convolution per frame -- 255 * sigmoid -> 2 x [3, height, width], RGB in [0, 255]
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerTable {
    /// Values of a pair's latent.
    pub latent_dim: usize,
    /// The tensor that the linear layer makes of a latent.
    pub stem: Stem,
    /// What follows, in order.
    pub layers: Vec<Layer>,
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
}

/// One row of the layer table.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Layer {
    /// Upsampling residual stage, see [`Stage`].
    Stage(Stage),
    /// Residual refinement at constant size, see [`Refine`].
    Refine(Refine),
}

/// `sin(pixel_shuffle(conv(x)) + skip(x))`: the convolution goes to `channels * upscale^2` channels, the skip is bilinear
/// upsampling by the same factor, behind a 1x1 convolution where the channel count changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Channels that leave the stage.
    pub channels: usize,
    /// Factor by which rows and columns grow, 1 to [`limits::UPSCALE`].
    #[serde(default = "two")]
    pub upscale: usize,
    /// Side of the convolution's kernel: 1 or 3.
    #[serde(default = "three")]
    pub kernel: usize,
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

fn two() -> usize {
    2
}

fn three() -> usize {
    3
}

fn tenth() -> f32 {
    0.1
}

impl LayerTable {
    /// The reference architecture of the challenge's leaders: 228,958 parameters at `base = 36` and `latent_dim = 28`.
    ///
    /// Channels are `C, C, C, 3C/4, 0.58C, C/2, C/2` (rounded down), frames 384x512.
    pub fn reference(base: usize, latent_dim: usize) -> Self {
        let widths = [base, base, base * 3 / 4, base * 58 / 100, base / 2, base / 2];
        let mut layers: Vec<Layer> =
            widths.iter().map(|&channels| Layer::Stage(Stage { channels, upscale: 2, kernel: 3 })).collect();
        layers.push(Layer::Refine(Refine { hidden: (base / 4).max(1), dilation: 2, gain: 0.1 }));
        Self { latent_dim, stem: Stem { channels: base, height: 6, width: 8 }, layers }
    }
}
