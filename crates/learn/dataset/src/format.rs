//! The target cache's layout, shared by its writer and its reader.
//!
//! Integers little-endian: magic, version (u32), then the clip: length of its name (u32), name, file size (u64), height, width,
//! and the frames' height, width (u32 each). Then sections, each a [`tag`] (u8), a length (u64) and a payload: `G`, frame
//! count (u32) and that many frames, compressed; `O`, the outputs, at most once; `E`, the frame count of the whole, last. At the
//! end the BLAKE3 hash of all that. `inflate`'s formats aim at the fewest bytes; this one at frames that come back exactly, in
//! seconds.

use std::io;
use std::num::NonZeroU64;

use metric::{NetworkHashes, PIXELS, POSE_LEN, SampleOutputs};
use repr::ClipName;

use crate::info::DatasetInfo;
use crate::outputs::OriginalOutputs;

pub const MAGIC: &[u8; 8] = b"hnervtgt";
pub const VERSION: u32 = 1;
/// For class maps, which hold long runs.
const ZSTD_LEVEL: i32 = 9;

/// The kinds of sections.
pub mod tag {
    /// A group of frames.
    pub const GROUP: u8 = b'G';
    /// The outputs of a perception stack.
    pub const OUTPUTS: u8 = b'O';
    /// The frame count, last.
    pub const END: u8 = b'E';
}

/// A section's tag and length, to be followed by its payload.
pub fn section_head(tag: u8, payload: &[u8]) -> Vec<u8> {
    [&[tag][..], &(payload.len() as u64).to_le_bytes()].concat()
}

/// The file's beginning.
pub fn encode_info(info: &DatasetInfo) -> Vec<u8> {
    let name = info.name.as_str();
    let mut bytes = [MAGIC.as_slice(), &VERSION.to_le_bytes(), &(name.len() as u32).to_le_bytes()].concat();
    bytes.extend(name.as_bytes());
    bytes.extend(info.clip_bytes.get().to_le_bytes());
    for side in [info.clip_height, info.clip_width, info.height, info.width] {
        bytes.extend((side as u32).to_le_bytes());
    }
    bytes
}

/// What stands behind magic and version.
pub fn decode_info(cursor: &mut Cursor<'_>) -> Option<DatasetInfo> {
    let length = cursor.u32()?;
    let name = ClipName::new(std::str::from_utf8(cursor.take(length)?).ok()?).ok()?;
    let clip_bytes = NonZeroU64::new(cursor.u64()?)?;
    let (clip_height, clip_width) = (cursor.u32()?, cursor.u32()?);
    let (height, width) = (cursor.u32()?, cursor.u32()?);
    Some(DatasetInfo { name, clip_bytes, clip_height, clip_width, height, width }).filter(DatasetInfo::is_possible)
}

/// The payload of the outputs.
pub fn encode_outputs(outputs: &OriginalOutputs) -> io::Result<Vec<u8>> {
    let mut bytes = [outputs.networks.segnet, outputs.networks.posenet].concat();
    bytes.extend((outputs.samples.len() as u32).to_le_bytes());
    for sample in &outputs.samples {
        bytes.extend(sample.pose.iter().flat_map(|v| v.to_le_bytes()));
        let classes = zstd::bulk::compress(&sample.classes, ZSTD_LEVEL)?;
        bytes.extend((classes.len() as u32).to_le_bytes());
        bytes.extend(classes);
    }
    Ok(bytes)
}

/// Undoes [`encode_outputs`]; nothing where the bytes cannot hold outputs.
pub fn decode_outputs(payload: &[u8]) -> Option<OriginalOutputs> {
    let mut cursor = Cursor(payload);
    let networks = NetworkHashes { segnet: cursor.array()?, posenet: cursor.array()? };
    let mut samples = Vec::new();
    for _ in 0..cursor.u32()? {
        let mut pose = [0.0; POSE_LEN];
        for value in &mut pose {
            *value = Some(f32::from_le_bytes(cursor.array()?)).filter(|value| value.is_finite())?;
        }
        let length = cursor.u32()?;
        let classes = zstd::bulk::decompress(cursor.take(length)?, PIXELS).ok()?;
        samples.push(SampleOutputs { classes: Some(classes).filter(|classes| classes.len() == PIXELS)?, pose });
    }
    cursor.0.is_empty().then_some(OriginalOutputs { networks, samples })
}

/// Takes values off the front.
pub struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub fn u32(&mut self) -> Option<usize> {
        self.array().map(|bytes| u32::from_le_bytes(bytes) as usize)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}
