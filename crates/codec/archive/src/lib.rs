//! archive.bin: a representation in as few bytes as a program that decodes exactly can make of it.
//!
//! [`encode`] and [`decode`] turn a [`Representation`] into bytes and back without loss; [`budget`] says where the bytes
//! of an archive went. Byte slices in, byte slices out, no files. `docs/archive-format.md` writes the format down.
//!
//! [`import`] reads the public format of other entries into a [`Representation`], losslessly.
//!
//! Inside, three things are kept apart:
//!
//! - the container (`header`): magic, version, length, layer table, clip, class maps (which crate [`maps`] codes), checksum;
//! - the model (`payload` with `tensors`, `latents` and `sidecar`, made of `adaptive`, `regression`, `levels` and
//!   `family_mixer`): which value comes when, and how likely each of its bits is;
//! - the coder (crate [`mixing`]): writes those bits, reads them, or counts what they cost. The model is generic over it, so the
//!   cost that a search asks for, the bytes that [`encode`] writes and the budget come from the same lines of code.
//!
//! All probabilities are integers and come from integers: an archive decodes to the same values on every machine.
//!
//! ```
//! let bytes = std::fs::read(testdata::asset_of("codec/archive", "version-2.bin"))?;
//! let representation = archive::decode(&bytes)?;
//! assert_eq!((representation.clip.frames(), representation.parameters.len()), (40, 20));
//! assert_eq!(archive::encode(&representation), bytes);
//!
//! let budget = archive::budget(&bytes)?;
//! let weights: f64 = budget.shares.iter().filter(|share| share.name.ends_with("weight")).map(|share| share.bytes).sum();
//! assert!(weights > 0.7 * bytes.len() as f64);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod adaptive;
mod budget;
mod costs;
mod error;
mod family_mixer;
mod foreign;
mod format;
mod header;
mod latents;
mod levels;
mod math;
mod payload;
mod regression;
mod sidecar;
mod tensors;
mod value;

use std::sync::Arc;

use header::Parts;
use mixing::{Corrupt, Counter, Decoder, Encoder};
use repr::{
    Architecture, Clip, MIN_BITS, Parameter, QuantizedLatents, QuantizedTensor, Representation, RepresentationParts,
    Sidecar,
};

pub use budget::{Budget, Section, Share};
pub use costs::{LevelCosts, ValueCosts, level_costs};
pub use error::ArchiveError;
pub use foreign::{ForeignError, import};
pub use format::VERSIONS;

/// Writes an archive.
pub fn encode(representation: &Representation) -> Vec<u8> {
    encode_beside(representation, &encode_maps(representation))
}

/// The class maps of a representation as an archive holds them; nothing where it has none. By far the most of the work where there
/// are some.
pub fn encode_maps(representation: &Representation) -> Vec<u8> {
    representation.maps.as_ref().map(|maps| maps::encode(maps)).unwrap_or_default()
}

/// As [`encode`], beside what [`encode_maps`] gave for the same maps.
pub fn encode_beside(representation: &Representation, maps: &[u8]) -> Vec<u8> {
    let mut coder = Encoder::default();
    payload::pass(representation, &mut coder, |_| ());
    header::join(&representation.architecture, &representation.clip, maps, &coder.finish())
}

/// Bits that each tensor, in order, then the latents, then a carrier's coefficients where there is one, then the sidecar would take in
/// an archive; the class maps aside. Writes nothing: this is what a search asks before it changes a value.
pub fn cost(representation: &Representation) -> Vec<f64> {
    let (mut costs, mut counted) = (Vec::new(), 0.0);
    let after = |counter: &mut Counter| costs.push(counter.bits - std::mem::replace(&mut counted, counter.bits));
    payload::pass(representation, &mut Counter::default(), after);
    costs
}

/// Reads an archive; gives exactly what [`encode`] was given.
///
/// Bytes with a wrong checksum or of another length are refused before anything behind the header is looked at, sizes
/// beyond the limits before anything is allocated for them.
pub fn decode(archive: &[u8]) -> Result<Representation, ArchiveError> {
    let parts = header::split(archive)?;
    let corrupt = |Corrupt| ArchiveError::Malformed { offset: parts.offset, what: "the payload is no encoder's" };
    let mut decoder = Decoder::new(parts.payload).map_err(corrupt)?;
    let mut filled = blank(&parts);
    payload::code(&mut filled, &mut decoder, |_| ()).map_err(corrupt)?;
    decoder.finish().map_err(corrupt)?;
    if let Some(shape) = parts.architecture.map_shape(parts.clip.samples())? {
        let offset = parts.offset - parts.maps.len();
        let corrupt = |Corrupt| ArchiveError::Malformed { offset, what: "the class maps are no encoder's" };
        filled.maps = Some(Arc::new(maps::decode(parts.maps, &shape).map_err(corrupt)?));
    }
    Ok(Representation::new(filled)?)
}

/// What an archive is of, without the time that [`decode`] takes. Checks length, checksum and limits.
pub fn header(archive: &[u8]) -> Result<(Architecture, Clip), ArchiveError> {
    header::split(archive).map(|parts| (parts.architecture, parts.clip))
}

/// Where the bytes of an archive go. Refuses what [`decode`] refuses.
pub fn budget(archive: &[u8]) -> Result<Budget, ArchiveError> {
    let representation = decode(archive)?;
    let parts = header::split(archive)?;
    Ok(Budget::new(archive.len(), parts.header, parts.maps.len(), &representation, &cost(&representation)))
}

/// Parts of the right sizes, to be filled in.
fn blank(parts: &Parts) -> RepresentationParts {
    let tensor =
        |parameter: &Parameter| QuantizedTensor { values: vec![0; parameter.len()], bits: MIN_BITS, steps: Vec::new() };
    let (dim, sample_dim) = (parts.architecture.latent_dim(), parts.architecture.sample_dim());
    RepresentationParts {
        parameters: parts.architecture.parameters().iter().map(tensor).collect(),
        latents: QuantizedLatents {
            minimum: vec![0.0; dim],
            step: vec![0.0; dim],
            values: vec![0; sample_dim * parts.clip.samples()],
        },
        architecture: parts.architecture.clone(),
        clip: parts.clip.clone(),
        sidecar: Sidecar::default(),
        maps: None,
    }
}
