//! From a representation to frames, on the CPU, through [`kernels`]: what `inflate`, `encode` and the evaluations during
//! training all run.
//!
//! - [`Network`]: an architecture with its parameters; makes the two frames of a sample from its latents and, where it is fed with
//!   one, its class map ([`SampleInput`]). The parameters may come from anywhere, so that training can look at weights that are not
//!   quantized.
//! - [`Decoder`]: a [`repr::Representation`]: the network, quantized, with the latents, the class maps, the sidecar and the size of
//!   its clip.
//! - [`in_order`]: works on many samples at once and hands the results on in order, in bounded memory.
//!
//! The same input gives the same bytes on every machine, see [`kernels`].
//!
//! ```
//! use decoder::Decoder;
//!
//! let bytes = std::fs::read(testdata::asset_of("codec/archive", "version-2.bin"))?;
//! let decoder = Decoder::new(&archive::decode(&bytes)?);
//! assert_eq!(decoder.clip().samples(), 20);
//! let [first, second] = decoder.decode(7)?;
//! assert_eq!((first.height(), first.width(), second.data().len()), (16, 24, 3 * 16 * 24));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod correction;
mod error;
mod network;
mod node;
mod stream;

use std::ops::Range;
use std::sync::Arc;

use frames::{Planes, RgbFrame};
use repr::{ClassMaps, Clip, FRAMES_PER_SAMPLE, QuantizedLatents, Representation, Sidecar};

pub use error::DecoderError;
pub use kernels::Level;
pub use network::{Decoded, Network, SampleInput};
pub use stream::in_order;

/// A representation, ready to be decoded. Samples may be decoded in any order and from any thread.
pub struct Decoder {
    network: Network,
    /// Latent values of a sample.
    sample_dim: usize,
    latents: QuantizedLatents,
    sidecar: Sidecar,
    maps: Option<Arc<ClassMaps>>,
    clip: Clip,
}

impl Decoder {
    /// Dequantizes and packs a representation, for the fastest instructions of this processor.
    pub fn new(representation: &Representation) -> Self {
        Self::with_level(representation, Level::detect())
    }

    /// As [`new`](Self::new), with given instructions.
    pub fn with_level(representation: &Representation, level: Level) -> Self {
        let clip = representation.clip.clone();
        let network = Network::of_size(&representation.dequantize(), (clip.height(), clip.width()), level);
        let (latents, sidecar) = (representation.latents.clone(), representation.sidecar.clone());
        let sample_dim = representation.architecture.sample_dim();
        let maps = representation.maps.clone();
        Self { network, sample_dim, latents, sidecar, maps, clip }
    }

    /// The clip that the representation stands for.
    pub fn clip(&self) -> &Clip {
        &self.clip
    }

    /// The two frames of a sample as the architecture makes them, `[3, height, width]` RGB in [0, 255], a carrier's
    /// frame beyond that too, before resampling.
    pub fn decode_native(&self, sample: usize) -> Result<[Planes; FRAMES_PER_SAMPLE], DecoderError> {
        self.with_input(sample, |input| self.network.native(input))
    }

    /// The two frames of a sample at the clip's size.
    pub fn decode(&self, sample: usize) -> Result<[RgbFrame; FRAMES_PER_SAMPLE], DecoderError> {
        self.frames(sample, None)
    }

    /// What [`decode_native`](Self::decode_native) and [`decode`](Self::decode) give, in the time of one of them.
    pub fn decode_both(&self, sample: usize) -> Result<Decoded, DecoderError> {
        self.with_input(sample, |input| self.network.both(input))
    }

    /// Decodes a range of samples on up to `threads` threads and hands them to `sink` in order, on the calling thread, while
    /// others are being decoded. Ends at the first error, which is returned.
    pub fn decode_all<E: From<DecoderError> + Send>(
        &self,
        samples: Range<usize>,
        threads: usize,
        sink: impl FnMut(usize, &[RgbFrame; FRAMES_PER_SAMPLE]) -> Result<(), E>,
    ) -> Result<(), E> {
        let decode = |sample: usize, used: Option<_>| Ok(self.frames(sample, used)?);
        in_order(samples, threads.min(self.network.threads()), decode, sink)
    }

    fn frames(
        &self,
        sample: usize,
        used: Option<[RgbFrame; FRAMES_PER_SAMPLE]>,
    ) -> Result<[RgbFrame; FRAMES_PER_SAMPLE], DecoderError> {
        self.with_input(sample, |input| self.network.frames(input, used))
    }

    /// Hands on what a sample is made from: its latents, corrected, its class map, and the corrections of its frames.
    fn with_input<T>(
        &self,
        sample: usize,
        decode: impl FnOnce(SampleInput<'_>) -> Result<T, DecoderError>,
    ) -> Result<T, DecoderError> {
        let corrections = self.sidecar.of(sample);
        let latents = self.latents.sample(sample, self.sample_dim, corrections);
        let latents = latents.ok_or(DecoderError::Sample { index: sample, samples: self.clip.samples() })?;
        let map = self.maps.as_ref().and_then(|maps| maps.map(sample)).unwrap_or_default();
        decode(SampleInput { latents: &latents, map, corrections })
    }
}
