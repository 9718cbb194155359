//! The layer table: latent -> stem -> layers -> one RGB head per frame of the pair.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Frames that one latent stands for: a sample of the metric is a pair of consecutive frames.
pub const FRAMES_PER_SAMPLE: usize = 2;

/// Bounds that keep any accepted architecture within a few hundred megabytes of working memory.
pub mod limits {
    /// Largest latent dimension.
    pub const LATENT_DIM: usize = 1024;
    /// Most channels between layers.
    pub const CHANNELS: usize = 512;
    /// Most rows or columns of a decoded frame.
    pub const SIDE: usize = 4096;
    /// Most layers.
    pub const LAYERS: usize = 32;
    /// Largest factor of one pixel shuffle.
    pub const UPSCALE: usize = 4;
    /// Most parameters in sum.
    pub const PARAMETERS: usize = 1 << 24;
    /// Most latent values of a clip.
    pub const LATENTS: usize = 1 << 24;
    /// Most corrections of a sidecar.
    pub const CORRECTIONS: usize = 1 << 20;
    /// Most values in one activation.
    pub const ACTIVATION: usize = 1 << 26;
    /// Largest dilation.
    pub const DILATION: usize = 4;
}

/// A decoder's layer table.
///
/// ```text
/// latent [latent_dim] -- linear -- sin -> [stem.channels, stem.height, stem.width]
///   -- layers in order -> [c, height, width]
///   -- one 3x3 convolution per frame -- 255 * sigmoid -> 2 x [3, height, width], RGB in [0, 255]
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
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

/// What a parameter does; the trainer groups by it, the coder models by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParameterRole {
    /// Matrix of the linear layer, `[out, latent_dim]`.
    StemWeight,
    /// Convolution inside a layer, `[out, in, kernel, kernel]`.
    HiddenWeight,
    /// 1x1 convolution of a skip, `[out, in, 1, 1]`.
    SkipWeight,
    /// Convolution to RGB, `[3, in, 3, 3]`.
    HeadWeight,
    /// Bias of any of them, `[out]`.
    Bias,
}

/// Name, shape and role of one parameter tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Name, the one that public archives of this family use (`blocks.0.weight`, `skips.2.bias`, `rgb_1.weight`).
    pub name: String,
    /// Shape in PyTorch's order: `[out, in, kernel, kernel]`, `[out, in]` or `[out]`.
    pub shape: Vec<usize>,
    /// What it does.
    pub role: ParameterRole,
}

impl Parameter {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// True for a tensor without values; no valid architecture has one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Values that feed one output: the product of all dimensions but the first (1 for a bias).
    pub fn fan_in(&self) -> usize {
        self.shape[1..].iter().product()
    }
}

/// Why a layer table cannot be used.
#[derive(Debug, Error, PartialEq)]
pub enum ArchitectureError {
    /// A number lies outside its range.
    #[error("{what} is {value}, must be {range}")]
    OutOfRange {
        /// The entry, with its layer where it has one.
        what: String,
        /// What was given.
        value: String,
        /// What is allowed.
        range: String,
    },
    /// The whole is larger than the limits allow.
    #[error("the layer table needs {value} {what}, the limit is {limit}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much.
        value: usize,
        /// The limit.
        limit: usize,
    },
}

fn in_range(what: impl Into<String>, value: usize, low: usize, high: usize) -> Result<(), ArchitectureError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(ArchitectureError::OutOfRange {
        what: what.into(),
        value: value.to_string(),
        range: format!("{low} to {high}"),
    })
}

fn at_most(what: &'static str, value: usize, limit: usize) -> Result<(), ArchitectureError> {
    if value <= limit { Ok(()) } else { Err(ArchitectureError::TooLarge { what, value, limit }) }
}

impl Architecture {
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

    /// Checks every entry and the sums against [`limits`]. All other methods assume a valid table.
    pub fn validate(&self) -> Result<(), ArchitectureError> {
        in_range("latent_dim", self.latent_dim, 1, limits::LATENT_DIM)?;
        in_range("stem.channels", self.stem.channels, 1, limits::CHANNELS)?;
        in_range("stem.height", self.stem.height, 1, limits::SIDE)?;
        in_range("stem.width", self.stem.width, 1, limits::SIDE)?;
        in_range("the number of layers", self.layers.len(), 0, limits::LAYERS)?;
        let (mut height, mut width) = (self.stem.height, self.stem.width);
        at_most("values in the stem", self.stem.channels * height * width, limits::ACTIVATION)?;
        for (i, layer) in self.layers.iter().enumerate() {
            match layer {
                Layer::Stage(stage) => {
                    in_range(format!("layers[{i}].channels"), stage.channels, 1, limits::CHANNELS)?;
                    in_range(format!("layers[{i}].upscale"), stage.upscale, 1, limits::UPSCALE)?;
                    if stage.kernel != 1 && stage.kernel != 3 {
                        return Err(ArchitectureError::OutOfRange {
                            what: format!("layers[{i}].kernel"),
                            value: stage.kernel.to_string(),
                            range: "1 or 3".into(),
                        });
                    }
                    height *= stage.upscale;
                    width *= stage.upscale;
                    in_range(format!("the number of rows behind layers[{i}]"), height, 1, limits::SIDE)?;
                    in_range(format!("the number of columns behind layers[{i}]"), width, 1, limits::SIDE)?;
                    at_most("values in an activation", stage.channels * height * width, limits::ACTIVATION)?;
                }
                Layer::Refine(refine) => {
                    in_range(format!("layers[{i}].hidden"), refine.hidden, 1, limits::CHANNELS)?;
                    in_range(format!("layers[{i}].dilation"), refine.dilation, 1, limits::DILATION)?;
                    if !refine.gain.is_finite() || refine.gain.abs() > 1e6 {
                        return Err(ArchitectureError::OutOfRange {
                            what: format!("layers[{i}].gain"),
                            value: refine.gain.to_string(),
                            range: "finite and at most 1e6 in magnitude".into(),
                        });
                    }
                    at_most("values in an activation", refine.hidden * height * width, limits::ACTIVATION)?;
                }
            }
        }
        at_most("parameters", self.parameter_count(), limits::PARAMETERS)
    }

    /// Channels that enter the RGB heads.
    pub fn head_channels(&self) -> usize {
        let stage = |layer: &Layer| match layer {
            Layer::Stage(stage) => Some(stage.channels),
            Layer::Refine(_) => None,
        };
        self.layers.iter().rev().find_map(stage).unwrap_or(self.stem.channels)
    }

    /// Rows and columns of the decoded frames, before resampling to the clip's size.
    pub fn output_size(&self) -> (usize, usize) {
        self.layers.iter().fold((self.stem.height, self.stem.width), |(h, w), layer| match layer {
            Layer::Stage(stage) => (h * stage.upscale, w * stage.upscale),
            Layer::Refine(_) => (h, w),
        })
    }

    /// Every parameter in the order in which archives and checkpoints hold them.
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut list = Vec::new();
        let mut push = |name: String, out: usize, fan_in: &[usize], role: ParameterRole| {
            let mut shape = vec![out];
            shape.extend_from_slice(fan_in);
            list.push(Parameter { name: format!("{name}.weight"), shape, role });
            list.push(Parameter { name: format!("{name}.bias"), shape: vec![out], role: ParameterRole::Bias });
        };
        let stem = self.stem.channels * self.stem.height * self.stem.width;
        push("stem".into(), stem, &[self.latent_dim], ParameterRole::StemWeight);
        let mut channels = self.stem.channels;
        let (mut stages, mut refines) = (0, 0);
        for layer in &self.layers {
            match *layer {
                Layer::Stage(Stage { channels: out, upscale, kernel }) => {
                    let name = format!("blocks.{stages}");
                    push(name, out * upscale * upscale, &[channels, kernel, kernel], ParameterRole::HiddenWeight);
                    if out != channels {
                        push(format!("skips.{stages}"), out, &[channels, 1, 1], ParameterRole::SkipWeight);
                    }
                    channels = out;
                    stages += 1;
                }
                Layer::Refine(Refine { hidden, .. }) => {
                    let names = [format!("refine.{refines}"), format!("refine.{}", refines + 1)];
                    let [first, second] = names;
                    push(first, hidden, &[channels, 3, 3], ParameterRole::HiddenWeight);
                    push(second, channels, &[hidden, 3, 3], ParameterRole::HiddenWeight);
                    refines += 2;
                }
            }
        }
        for frame in 0..FRAMES_PER_SAMPLE {
            push(format!("rgb_{frame}"), 3, &[channels, 3, 3], ParameterRole::HeadWeight);
        }
        list
    }

    /// Number of parameters, latents not counted.
    pub fn parameter_count(&self) -> usize {
        self.parameters().iter().map(Parameter::len).sum()
    }

    /// Floating-point operations for one pair: two per multiply-add of the linear layer and the convolutions. A skip's
    /// 1x1 convolution counts at the upsampled size, as published figures do, though running it before the upsampling
    /// gives the same values for a quarter of that.
    pub fn flops(&self) -> u64 {
        let conv =
            |out: usize, cin: usize, kernel: usize, pixels: usize| 2 * (out * cin * kernel * kernel * pixels) as u64;
        let mut pixels = self.stem.height * self.stem.width;
        let mut channels = self.stem.channels;
        let mut sum = conv(channels * pixels, self.latent_dim, 1, 1);
        for layer in &self.layers {
            match *layer {
                Layer::Stage(Stage { channels: out, upscale, kernel }) => {
                    sum += conv(out * upscale * upscale, channels, kernel, pixels);
                    pixels *= upscale * upscale;
                    if out != channels {
                        sum += conv(out, channels, 1, pixels);
                    }
                    channels = out;
                }
                Layer::Refine(Refine { hidden, .. }) => sum += 2 * conv(hidden, channels, 3, pixels),
            }
        }
        sum + FRAMES_PER_SAMPLE as u64 * conv(3, channels, 3, pixels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_table_has_the_published_size_and_cost() {
        let reference = Architecture::reference(36, 28);
        reference.validate().unwrap();
        assert_eq!(reference.parameter_count(), 228_958);
        assert_eq!(reference.output_size(), (384, 512));
        assert_eq!(reference.head_channels(), 18);
        let gflop = reference.flops() as f64 / 1e9;
        assert!((gflop - 3.24).abs() < 0.02, "{gflop}");
    }

    #[test]
    fn a_skip_has_parameters_only_where_channels_change() {
        let names: Vec<String> = Architecture::reference(36, 28).parameters().into_iter().map(|p| p.name).collect();
        let skips: Vec<&str> = names.iter().filter(|n| n.starts_with("skips")).map(String::as_str).collect();
        let expected =
            ["skips.2.weight", "skips.2.bias", "skips.3.weight", "skips.3.bias", "skips.4.weight", "skips.4.bias"];
        assert_eq!(skips, expected);
        assert!(names.iter().any(|n| n == "refine.1.weight"));
    }

    #[test]
    fn impossible_tables_are_refused_with_the_entry_named() {
        let broken = |change: fn(&mut Architecture)| {
            let mut table = Architecture::reference(20, 16);
            change(&mut table);
            table.validate().unwrap_err().to_string()
        };
        assert!(broken(|t| t.latent_dim = 0).contains("latent_dim"));
        assert!(broken(|t| t.stem.channels = 100_000).contains("stem.channels"));
        assert!(
            broken(|t| t.layers[1] = Layer::Stage(Stage { channels: 0, upscale: 2, kernel: 3 })).contains("layers[1]")
        );
        assert!(
            broken(|t| t.layers[0] = Layer::Stage(Stage { channels: 8, upscale: 2, kernel: 2 })).contains("1 or 3")
        );
        assert!(
            broken(|t| t.layers[6] = Layer::Refine(Refine { hidden: 4, dilation: 9, gain: 0.1 })).contains("dilation")
        );
        assert!(
            broken(|t| t.layers[6] = Layer::Refine(Refine { hidden: 4, dilation: 1, gain: f32::NAN })).contains("gain")
        );
        assert!(broken(|t| t.stem.height = 4000).contains("rows"));
        assert!(broken(|t| t.layers = vec![t.layers[0]; 40]).contains("number of layers"));
        let wide = |t: &mut Architecture| {
            for layer in &mut t.layers {
                if let Layer::Stage(stage) = layer {
                    stage.channels = 512;
                }
            }
        };
        assert!(broken(wide).contains("limit"));
    }
}
