//! The decoder's arithmetic on the processor: what `inflate` runs. Fixed arithmetic, no I/O, nothing about architectures or
//! files, no allocation while running.
//!
//! - layers: [`Linear`], [`Classes`] (of a class map), [`Conv`], [`Upsample`], [`residual_sin_row`], [`sum_row`], [`end_row`],
//!   [`rgb_row`], [`copy_row`]; [`Carrier`], a frame from a few coefficients; [`sin`], [`gelu`] and [`sigmoid255`] of single values;
//!   [`Nonlinearity`] and [`Skip`], the choices that layers have;
//! - the way to the clip's size and to bytes: [`Bicubic`], whose weights are [`taps`];
//! - rows, of which everything consists: [`Rows`], [`RowMut`], [`Aligned`], [`row_stride`], [`MARGIN`];
//! - instructions: [`Level`], and [`simd`] with [`math`] for kernels that are written elsewhere.
//!
//! Everything works on one image row at a time: a layer reads a few rows of its input from a sliding window ([`Rows`]) and
//! pushes one row into its own. A network that pulls rows through its layers touches every value while it is still in the
//! second-level cache, whatever the image size.
//!
//! # The same bits everywhere
//!
//! [`Level`] picks the instructions at run time (scalar, AVX2 + FMA, AVX-512); all three are compiled from one source and
//! give the same bits. That rests on four rules: f32 with a fixed order of summation; every product that is added is a
//! fused multiply-add; sin, exp and erf are our own, defined for every f32 ([`sin`], [`gelu`], [`sigmoid255`]); zero padding is
//! multiplied like any value. The floating-point mode is never changed, so denormals count. Only the payload of a NaN may
//! differ, and the last step ([`Bicubic::rgb`]) maps every NaN to 0.
//!
//! ```
//! use kernels::{Level, Linear};
//!
//! // Two values in, three out: the sine of a linear layer.
//! let layer = Linear::new(&[1.0, 0.5, -1.0, 0.25, 0.0, 2.0], &[0.0, 0.1, 0.2], 2);
//! let sines = |level: Level| {
//!     let mut out = [0.0; 3];
//!     layer.sin(level, &[0.3, -0.7], &mut out);
//!     out
//! };
//! let expected = sines(Level::SCALAR);
//! assert!((expected[0] - f32::sin(-0.05)).abs() < 1e-6);
//! assert!(Level::available().into_iter().all(|level| sines(level) == expected));
//! ```

mod bicubic;
mod carrier;
mod classes;
mod conv;
mod elementwise;
mod layer;
mod linear;
pub mod math;
mod rows;
pub mod simd;
mod stage;

pub use bicubic::{Bicubic, Tap, taps};
pub use carrier::{Carrier, CarrierImage};
pub use classes::{Classes, PLACES, place};
pub use conv::{Conv, MAX_KERNEL, row_stride};
pub use elementwise::{gelu, sigmoid255, sin};
pub use layer::{Nonlinearity, Skip};
pub use linear::Linear;
pub use rows::{Aligned, MARGIN, RowMut, Rows};
pub use simd::Level;
pub use stage::{MAX_UPSCALE, Upsample, copy_row, end_row, residual_sin_row, rgb_row, sum_row};
