//! Code written once and compiled for several levels of vector instructions, of which one is picked at run time.
//!
//! A computation is a [`Kernel`], generic over the vectors of [`Simd`]; [`Level::run`] runs it with the instructions of a level.
//! Code without explicit vectors gains too: what is inlined into a level's function is compiled for it.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod level;
mod scalar;
mod vector;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use level::{Kernel, Level};
pub use scalar::Scalar;
pub use vector::{MAX_LANES, RGB_SLACK, Simd};
