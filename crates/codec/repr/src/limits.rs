//! Bounds that keep any accepted architecture within a few hundred megabytes of working memory.

/// Largest latent dimension.
pub const LATENT_DIM: usize = 1024;
/// Most channels between layers.
pub const CHANNELS: usize = 512;
/// Most rows or columns of a decoded frame.
pub const SIDE: usize = 4096;
/// Most layers.
pub const LAYERS: usize = 32;
/// Largest factor of one pixel shuffle.
pub const UPSCALE: usize = kernels::MAX_UPSCALE;
/// Most parameters in sum.
pub const PARAMETERS: usize = 1 << 24;
/// Most latent values of a clip.
pub const LATENTS: usize = 1 << 24;
/// Most corrections of a sidecar.
pub const CORRECTIONS: usize = 1 << 20;
/// Most values in one activation.
pub const ACTIVATION: usize = 1 << 26;
/// Largest dilation.
pub const DILATION: usize = 8;
/// Most bits of a carrier's coefficient.
pub const COEFFICIENT_BITS: u8 = 12;
/// Most classes of a class map.
pub const CLASSES: usize = 255;
/// Most pixels of all class maps of a clip together: 1,365 maps of 512x384.
pub const MAP_PIXELS: usize = 1 << 28;
