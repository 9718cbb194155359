//! Archives of other programs: the public format of the challenge's HNeRV entries (pull requests 95 to 104).
//!
//! Little-endian; `B(x)` is a Brotli stream of `x` behind its length (u32):
//!
//! ```text
//! B(JSON: n_pairs, latent_dim, base_channels, eval_size) B(weights) B(latents)
//! weights: u32 tensors; each: u32 length, name; u32 rank, u32 a dimension; f32 scale; u32 values, a byte each
//! latents: u32 n, u32 d; d x f16 minimum; d x f16 step; n*d low bytes; n*d high bytes
//! ```
//!
//! Bytes and the 16-bit words made of low and high bytes fold the sign into the lowest bit. A tensor's value is integer *
//! scale; latents are differences to the row before, modulo 256. Channels follow from `base_channels` as in
//! [`LayerTable::reference`].

use std::io::Read;

use half::f16;
use repr::{
    Architecture, Clip, ClipName, FRAMES_PER_SAMPLE, LayerTable, QuantizedLatents, QuantizedTensor, Representation,
    RepresentationError, RepresentationParts, Sidecar, limits,
};
use serde::Deserialize;
use thiserror::Error;

/// Rows and columns of the challenge's frames; the public format takes them for granted.
const CAMERA: (usize, usize) = (874, 1164);
/// Largest JSON part.
const MAX_HEADER: usize = 1 << 16;

/// Why a foreign archive cannot be imported.
#[derive(Debug, Error, PartialEq)]
pub enum ForeignError {
    /// The bytes end early, or a part is not what it should be.
    #[error("not a public HNeRV archive, or a damaged one: {0}")]
    Malformed(String),
    /// It is whole, but describes something that cannot be represented.
    #[error("a public HNeRV archive that cannot be represented: {0}")]
    Representation(#[from] RepresentationError),
}

#[derive(Deserialize)]
struct Header {
    n_pairs: usize,
    latent_dim: usize,
    base_channels: usize,
    eval_size: [usize; 2],
}

/// The same integers, scales and latents as a representation of a clip called `name`.
pub fn import(bytes: &[u8], name: &str) -> Result<Representation, ForeignError> {
    let mut rest = Bytes { bytes, what: "the file" };
    let json = rest.section(MAX_HEADER, "the header")?;
    let header: Header = serde_json::from_slice(&json).map_err(|e| malformed(format!("the header: {e}")))?;
    let frames = header.n_pairs.checked_mul(FRAMES_PER_SAMPLE).ok_or_else(|| malformed("the header: n_pairs"))?;
    let clip = Clip::new(ClipName::new(name)?, frames, CAMERA.0, CAMERA.1)?;
    if header.base_channels > limits::CHANNELS {
        return Err(malformed(format!("the header: base_channels is {}", header.base_channels)));
    }
    let table = LayerTable::reference(header.base_channels, header.latent_dim);
    let architecture = Architecture::new(table).map_err(RepresentationError::from)?;
    clip.check_latents(architecture.latent_dim())?;
    let size: [usize; 2] = architecture.output_size().into();
    if header.eval_size != size {
        return Err(malformed(format!("the header: eval_size is {:?}, only {size:?} is known", header.eval_size)));
    }
    let expected = architecture.parameters();
    // Names and shapes take far less than 1 KB a tensor.
    let weights = rest.section(architecture.graph().parameter_count() + 1024 * expected.len(), "the weights")?;
    let dim = architecture.latent_dim();
    let latents = rest.section(8 + 4 * dim + 2 * dim * clip.samples(), "the latents")?;
    rest.end()?;

    let mut weights = Bytes { bytes: &weights, what: "the weights" };
    let mut tensors = Vec::new();
    for _ in 0..weights.word()? {
        let (name, shape, tensor) = tensor(&mut weights)?;
        let Some(place) = expected.iter().position(|parameter| parameter.name == name) else {
            return Err(malformed(format!("the weights hold {name:?}, which the architecture lacks")));
        };
        if shape != expected[place].shape {
            let text = format!("tensor {name} of shape {shape:?} where {:?} belongs", expected[place].shape);
            return Err(RepresentationError::Invalid(text).into());
        }
        tensors.push((place, tensor));
    }
    weights.end()?;
    tensors.sort_by_key(|(place, _)| *place);
    let parameters = tensors.into_iter().map(|(_, tensor)| tensor).collect();
    let latents = unpack_latents(Bytes { bytes: &latents, what: "the latents" }, clip.samples(), dim)?;
    let sidecar = Sidecar::default();
    Ok(Representation::new(RepresentationParts { architecture, clip, parameters, latents, sidecar, maps: None })?)
}

fn malformed(text: impl Into<String>) -> ForeignError {
    ForeignError::Malformed(text.into())
}

/// 0, -1, 1, -2, 2 ... from 0, 1, 2, 3, 4 ...
fn unfold(v: u16) -> i16 {
    let half = (v / 2) as i16;
    if v.is_multiple_of(2) { half } else { -half - 1 }
}

/// A tensor with its name and shape.
fn tensor(rest: &mut Bytes<'_>) -> Result<(String, Vec<usize>, QuantizedTensor), ForeignError> {
    let length = rest.word()?;
    let name = String::from_utf8(rest.take(length)?.to_vec()).map_err(|_| malformed("a tensor's name is not UTF-8"))?;
    let rank = rest.word()?;
    if rank > 4 {
        return Err(malformed(format!("{name:?} has {rank} dimensions")));
    }
    let shape = (0..rank).map(|_| rest.word()).collect::<Result<_, _>>()?;
    let step = f32::from_bits(rest.word()? as u32);
    let count = rest.word()?;
    let values = rest.take(count)?.iter().map(|&byte| unfold(byte.into())).collect();
    Ok((name, shape, QuantizedTensor { bits: 8, steps: vec![step], values }))
}

fn unpack_latents(mut rest: Bytes<'_>, samples: usize, dim: usize) -> Result<QuantizedLatents, ForeignError> {
    let found = (rest.word()?, rest.word()?);
    if found != (samples, dim) {
        return Err(malformed(format!("latents of {found:?}, the header says {:?}", (samples, dim))));
    }
    let mut halves = || -> Result<Vec<f32>, ForeignError> {
        Ok(rest.take(2 * dim)?.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect())
    };
    let (minimum, step) = (halves()?, halves()?);
    let (low, high) = (rest.take(samples * dim)?, rest.take(samples * dim)?);
    rest.end()?;
    let delta = |(&low, &high): (&u8, &u8)| unfold(u16::from_le_bytes([low, high])) as u8;
    let mut values: Vec<u8> = low.iter().zip(high).map(delta).collect();
    for i in dim..values.len() {
        values[i] = values[i].wrapping_add(values[i - dim]);
    }
    Ok(QuantizedLatents { minimum, step, values: values.into_iter().map(u16::from).collect() })
}

/// Takes values off the front.
struct Bytes<'a> {
    bytes: &'a [u8],
    what: &'static str,
}

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], ForeignError> {
        self.bytes.split_off(..count).ok_or_else(|| malformed(format!("{} ends early", self.what)))
    }

    fn word(&mut self) -> Result<usize, ForeignError> {
        let bytes = self.take(4)?;
        Ok(bytes.iter().rev().fold(0, |word, &byte| word << 8 | usize::from(byte)))
    }

    /// A Brotli stream of at most `limit` bytes.
    fn section(&mut self, limit: usize, what: &str) -> Result<Vec<u8>, ForeignError> {
        let length = self.word()?;
        let stream = self.take(length)?;
        let mut out = Vec::new();
        brotli::Decompressor::new(stream, 1 << 12)
            .take(limit as u64 + 1)
            .read_to_end(&mut out)
            .map_err(|_| malformed(format!("{what} is no Brotli stream")))?;
        if out.len() > limit {
            return Err(malformed(format!("{what} is larger than {limit} bytes")));
        }
        Ok(out)
    }

    fn end(&self) -> Result<(), ForeignError> {
        match self.bytes.len() {
            0 => Ok(()),
            left => Err(malformed(format!("{left} bytes too many in {}", self.what))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn section(content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        brotli::CompressorWriter::new(&mut out, 4096, 5, 18).write_all(content).unwrap();
        [(out.len() as u32).to_le_bytes().as_slice(), &out].concat()
    }

    /// The smallest archive of the format: four base channels, one latent dimension, three pairs.
    fn small() -> Vec<u8> {
        let header = br#"{"n_pairs": 3, "latent_dim": 1, "base_channels": 4, "eval_size": [384, 512]}"#;
        let parameters = Architecture::new(LayerTable::reference(4, 1)).unwrap();
        let parameters = parameters.parameters();
        let word = |v: usize| (v as u32).to_le_bytes();
        let mut weights = word(parameters.len()).to_vec();
        // Order does not matter to the reader.
        for parameter in parameters.iter().rev() {
            weights.extend(word(parameter.name.len()));
            weights.extend(parameter.name.as_bytes());
            weights.extend(word(parameter.shape.len()));
            parameter.shape.iter().for_each(|&side| weights.extend(word(side)));
            weights.extend(0.5f32.to_le_bytes());
            weights.extend(word(parameter.len()));
            weights.extend((0..parameter.len()).map(|i| i as u8));
        }
        let mut latents = [word(3), word(1)].concat();
        latents.extend(f16::from_f32(-1.0).to_le_bytes());
        latents.extend(f16::from_f32(0.25).to_le_bytes());
        // 200, then -3, then +100: 200, 197, 41 modulo 256.
        latents.extend([400u16 as u8, 5, 200]);
        latents.extend([(400u16 >> 8) as u8, 0, 0]);
        [section(header), section(&weights), section(&latents)].concat()
    }

    #[test]
    fn integers_and_latents_come_over_as_they_are() {
        let representation = import(&small(), "0").unwrap();
        assert_eq!(representation.clip.frames(), 6);
        assert_eq!(representation.latents.values, [200, 197, 41]);
        assert_eq!(representation.latents.sample(0, 1, &[]).unwrap(), [49.0]);
        let stem = &representation.parameters[0];
        assert_eq!(stem.steps, [0.5]);
        assert_eq!(stem.values[..5], [0, -1, 1, -2, 2]);
        assert_eq!(crate::decode(&crate::encode(&representation)).unwrap(), representation);
    }

    #[test]
    fn damaged_ones_are_refused_without_a_panic() {
        let bytes = small();
        for length in 0..bytes.len() {
            assert!(import(&bytes[..length], "0").is_err(), "cut to {length}");
        }
        assert!(import(&[bytes.as_slice(), &[0]].concat(), "0").is_err());
        assert!(import(b"rubbish", "0").is_err());
        assert!(import(&bytes, "../0").is_err());
        // There is no checksum, so a flip may go unseen in a value, but never ends in a panic or a broken representation.
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let _ = import(&flipped, "0");
        }
    }

    #[test]
    fn sizes_are_checked_before_anything_is_allocated() {
        let with = |header: &[u8]| import(&section(header), "0").unwrap_err().to_string();
        let message =
            with(br#"{"n_pairs": 99999999999, "latent_dim": 1, "base_channels": 4, "eval_size": [384, 512]}"#);
        assert!(message.contains("frames"), "{message}");
        let message = with(br#"{"n_pairs": 3, "latent_dim": 1, "base_channels": 9999999, "eval_size": [384, 512]}"#);
        assert!(message.contains("base_channels"), "{message}");
        let message = with(br#"{"n_pairs": 3, "latent_dim": 1, "base_channels": 4, "eval_size": [192, 256]}"#);
        assert!(message.contains("eval_size"), "{message}");
        // A few bytes of Brotli that would unpack to megabytes.
        let bomb = section(&vec![b' '; 8 << 20]);
        assert!(import(&bomb, "0").unwrap_err().to_string().contains("larger"));
    }
}
