//! Context mixing: what a lossless coder of bits is put together from.
//!
//! - [`Slot`], [`Estimate`] and [`Chance`] learn the probability of a bit: a slot is two bytes that also count, for the many
//!   contexts met a few times; an estimate is four, for those met often and all but certain; a chance is what a few thousand bits
//!   share.
//! - [`Mixer`] weighs the log-odds of many predictors and learns the weights; [`Refiner`] corrects the outcome by what
//!   really came (secondary estimation).
//! - [`BitCoder`] is the seam between a model and its coding: the same model code writes ([`Encoder`]), reads
//!   ([`Decoder`]) or counts ([`Counter`]), so that a cost can never drift from the bytes.
//!
//! All is integer arithmetic without an operation that depends on the machine: every processor computes the same
//! probabilities. The approach is that of the PAQ family (Mahoney, "Adaptive weighing of context models for lossless data
//! compression", 2005).
//!
//! ```
//! use mixing::{BitCoder, Chance, Corrupt, Counter, Decoder, Encoder, Mixer, stretch};
//!
//! /// A model of bits: two chances, a quick one and a slow one, weighed by a mixer. Writes, reads or counts.
//! fn pass(bits: &mut [bool], coder: &mut impl BitCoder) -> Result<(), Corrupt> {
//!     let (mut quick, mut slow, mut mixer) = (Chance::new(1 << 15), Chance::new(1 << 15), Mixer::<2>::new(1, 50));
//!     for bit in bits {
//!         let inputs = [stretch(quick.get()), stretch(slow.get())];
//!         mixer.mix(&inputs, 0);
//!         *bit = coder.code(*bit, mixer.probability())?;
//!         mixer.learn(&inputs, *bit, 6);
//!         quick.learn::<3>(*bit);
//!         slow.learn::<6>(*bit);
//!     }
//!     Ok(())
//! }
//!
//! let mut bits: Vec<bool> = (0..4000).map(|i| i % 13 == 0).collect();
//! let mut encoder = Encoder::default();
//! pass(&mut bits, &mut encoder).unwrap();
//! let payload = encoder.finish();
//!
//! let mut counter = Counter::default();
//! pass(&mut bits, &mut counter).unwrap();
//! assert!((counter.bits / 8.0 - payload.len() as f64).abs() < 8.0 && payload.len() < 350);
//!
//! let mut read = vec![false; bits.len()];
//! let mut decoder = Decoder::new(&payload).unwrap();
//! pass(&mut read, &mut decoder).unwrap();
//! assert_eq!((read, decoder.finish()), (bits, Ok(())));
//! ```

mod coder;
mod counter;
mod logistic;
mod mixer;
mod refiner;

pub use coder::{BitCoder, Corrupt, Counter, Decoder, Encoder, Probability};
pub use counter::{Chance, Estimate, Slot};
pub use logistic::{FINE, UNIT, squash, stretch, stretch_wide};
pub use mixer::Mixer;
pub use refiner::Refiner;
