//! Convolutions whose weights never change, on whole batches: forward, and the gradient of the input alone. Networks that
//! judge a trained one consist of these.
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
mod conv;
mod grid;
mod phases;
mod plan;
mod pointwise;
mod run;
mod shape;
#[cfg(test)]
mod tests;

pub use channels::{mean_channels, scale_channels, scale_channels_backward};
pub use conv::FrozenConv;
pub use pointwise::{Pointwise, Step};
pub use shape::{ConvShape, ConvSource};

#[cfg(doc)]
use kernels::Level;
