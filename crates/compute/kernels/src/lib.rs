//! The decoder's arithmetic on the CPU: [`Linear`], [`Conv`], [`Upsample`], [`residual_sin_row`], [`rgb_row`],
//! [`Bicubic`]; for whole batches and with gradients in [`training`]. What judges it while it is trained are networks of
//! [`frozen`] convolutions. No I/O, nothing about architectures or files, and outside of these two modules no allocation while
//! running.
//!
//! Everything works on one image row at a time: a layer reads a few rows of its input from a sliding window ([`Rows`]) and
//! pushes one row into its own. A network that pulls rows through its layers touches every value while it is still in the
//! second-level cache, whatever the image size.
//!
//! # The same bits everywhere
//!
//! [`Level`] picks the instructions at run time (scalar, AVX2 + FMA, AVX-512); all three are compiled from one source and
//! give the same bits. That rests on four rules: f32 with a fixed order of summation; every product that is added is a
//! fused multiply-add; sin and exp are our own, defined for every f32 ([`sin`], [`sigmoid255`]); zero padding is
//! multiplied like any value. The floating-point mode is never changed, so denormals count. Only the payload of a NaN may
//! differ, and the last step ([`Bicubic::rgb`]) maps every NaN to 0. Gradients of weights are the exception: their order of
//! summation is the level's.

mod bicubic;
mod conv;
pub mod frozen;
mod level;
mod linear;
mod math;
mod rows;
mod simd;
mod stage;
pub mod training;

pub use bicubic::Bicubic;
pub use conv::{Conv, row_stride};
pub use level::Level;
pub use linear::Linear;
pub use math::{SIN_LIMIT, sigmoid255, sin};
pub use rows::{RowMut, Rows};
pub use stage::{MAX_UPSCALE, Upsample, copy_row, residual_sin_row, rgb_row};
