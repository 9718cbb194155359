//! A clip made ready for training, in one file: its frames at decoder resolution and, where evaluators were given, their
//! outputs. Made once where FFmpeg is, read anywhere.
//!
//! Layout, integers little-endian: magic, version (u32), then the clip: length of its name (u32), name, file size (u64),
//! height, width, and the frames' height, width (u32 each). Then sections, each a tag (u8), a length (u64) and a payload:
//! `G`, frame count (u32) and that many frames, compressed; `O`, the outputs, at most once; `E`, the frame count of the
//! whole, last. At the end the BLAKE3 hash of all that. `inflate`'s formats aim at the fewest bytes; this one at frames
//! that come back exactly, in seconds.

mod residual;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use frames::RgbFrame;
use output::{OutputError, OutputFile};
use rayon::prelude::*;
use thiserror::Error;

use crate::{PIXELS, POSE_LEN, SampleOutputs};

const MAGIC: &[u8; 8] = b"hnervtgt";
const VERSION: u32 = 1;
/// Most rows or columns of a frame.
const MAX_SIDE: usize = 1 << 14;
/// Longest name of a clip in bytes.
const MAX_NAME: usize = 200;
/// Most bytes of all frames in memory: an hour and a half at 384x512, 20 frames a second.
const MAX_FRAME_BYTES: usize = 64 << 30;
/// Largest file that is read.
const MAX_FILE_BYTES: u64 = 64 << 30;
/// Groups that wait to be compressed side by side; each takes some 60 MB at 384x512.
const MAX_PENDING_GROUPS: usize = 8;
/// For class maps, which hold long runs.
const ZSTD_LEVEL: i32 = 9;

/// What a target cache was made from, and the frames' size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetInfo {
    /// The clip's file name without folder and extension.
    pub name: String,
    /// Size of the clip's file.
    pub clip_bytes: u64,
    /// Rows of the clip's frames.
    pub clip_height: usize,
    /// Columns of the clip's frames.
    pub clip_width: usize,
    /// Rows at decoder resolution.
    pub height: usize,
    /// Columns at decoder resolution.
    pub width: usize,
}

impl TargetInfo {
    /// Bytes of a frame at decoder resolution, `[3, height, width]`.
    pub fn frame_len(&self) -> usize {
        3 * self.height * self.width
    }

    /// A frame of the clip at decoder resolution: `[3, height, width]`, bilinearly resized, rounded half to even.
    fn reduce(&self, frame: &RgbFrame) -> Vec<u8> {
        // `to_rgb` rounds as every frame is rounded; the planes are then sorted back out of the pixels.
        let rgb = frame.resize_bilinear(self.height, self.width).to_rgb();
        (0..3).flat_map(|c| rgb.data().iter().skip(c).step_by(3).copied()).collect()
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = [MAGIC.as_slice(), &VERSION.to_le_bytes(), &(self.name.len() as u32).to_le_bytes()].concat();
        bytes.extend(self.name.as_bytes());
        bytes.extend(self.clip_bytes.to_le_bytes());
        for side in [self.clip_height, self.clip_width, self.height, self.width] {
            bytes.extend((side as u32).to_le_bytes());
        }
        bytes
    }

    fn decode(reader: &mut Reader) -> Option<Self> {
        let length = Some(reader.u32()?).filter(|&length| length <= MAX_NAME)?;
        let name = String::from_utf8(reader.take(length)?.to_vec()).ok()?;
        let clip_bytes = reader.u64()?;
        let mut side = || Some(reader.u32()?).filter(|side| (1..=MAX_SIDE).contains(side));
        let (clip_height, clip_width, height, width) = (side()?, side()?, side()?, side()?);
        Some(Self { name, clip_bytes, clip_height, clip_width, height, width })
    }
}

/// The evaluators' outputs for a clip, and which evaluators they were.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetOutputs {
    /// BLAKE3 hash of SegNet's file.
    pub segnet: [u8; blake3::OUT_LEN],
    /// BLAKE3 hash of PoseNet's file.
    pub posenet: [u8; blake3::OUT_LEN],
    /// One entry a sample.
    pub samples: Vec<SampleOutputs>,
}

impl TargetOutputs {
    fn encode(&self) -> io::Result<Vec<u8>> {
        let mut bytes = [self.segnet, self.posenet].concat();
        bytes.extend((self.samples.len() as u32).to_le_bytes());
        for sample in &self.samples {
            bytes.extend(sample.pose.iter().flat_map(|v| v.to_le_bytes()));
            let classes = zstd::bulk::compress(&sample.classes, ZSTD_LEVEL)?;
            bytes.extend((classes.len() as u32).to_le_bytes());
            bytes.extend(classes);
        }
        Ok(bytes)
    }

    fn decode(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader(payload);
        let (segnet, posenet) = (reader.array()?, reader.array()?);
        let mut samples = Vec::new();
        for _ in 0..reader.u32()? {
            let mut pose = [0.0; POSE_LEN];
            for value in &mut pose {
                *value = Some(f32::from_le_bytes(reader.array()?)).filter(|value| value.is_finite())?;
            }
            let length = reader.u32()?;
            let classes = zstd::bulk::decompress(reader.take(length)?, PIXELS).ok()?;
            samples.push(SampleOutputs { classes: Some(classes).filter(|classes| classes.len() == PIXELS)?, pose });
        }
        reader.0.is_empty().then_some(Self { segnet, posenet, samples })
    }
}

/// Why a target cache cannot be written or read.
#[derive(Debug, Error)]
pub enum TargetsError {
    /// The file cannot be read.
    #[error("{}: cannot read: {cause}; check the path", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// No target cache, or one of another version, or damaged.
    #[error("{}: {detail}; make it anew with 'hnerv targets CLIP -o FILE'", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// A clip that cannot be described.
    #[error("the clip {name:?} of {width}x{height} cannot go into a target cache")]
    Clip {
        /// Its name.
        name: String,
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// A frame of another size than the clip's.
    #[error("frame {index} is {}x{}, the clip's frames are {}x{}", found.0, found.1, expected.0, expected.1)]
    Frame {
        /// Its number from 0.
        index: usize,
        /// Its width and height.
        found: (usize, usize),
        /// The clip's.
        expected: (usize, usize),
    },
    /// Outputs of another number of samples than the frames make.
    #[error("outputs of {found} samples for {frames} frames")]
    Samples {
        /// Samples there are.
        found: usize,
        /// Frames there are.
        frames: usize,
    },
    /// The file cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Writes a target cache frame by frame, in bounded memory; whole on [`finish`](Self::finish), absent without it.
#[derive(Debug)]
pub struct TargetWriter {
    info: TargetInfo,
    file: OutputFile,
    hasher: blake3::Hasher,
    pending: Vec<Vec<u8>>,
    frames: usize,
}

impl TargetWriter {
    /// Starts a file.
    pub fn create(path: impl AsRef<Path>, info: &TargetInfo) -> Result<Self, TargetsError> {
        let sides = [info.clip_height, info.clip_width, info.height, info.width];
        if info.name.len() > MAX_NAME || sides.iter().any(|side| !(1..=MAX_SIDE).contains(side)) {
            let (name, width, height) = (info.name.clone(), info.clip_width, info.clip_height);
            return Err(TargetsError::Clip { name, width, height });
        }
        let file = OutputFile::create(path)?;
        let mut writer =
            Self { info: info.clone(), file, hasher: blake3::Hasher::new(), pending: Vec::new(), frames: 0 };
        writer.append(&info.encode())?;
        Ok(writer)
    }

    /// Appends a frame of the clip, at the clip's size.
    pub fn push(&mut self, frame: &RgbFrame) -> Result<(), TargetsError> {
        let (found, expected) = ((frame.width(), frame.height()), (self.info.clip_width, self.info.clip_height));
        if found != expected {
            return Err(TargetsError::Frame { index: self.frames, found, expected });
        }
        self.pending.push(self.info.reduce(frame));
        self.frames += 1;
        let groups = rayon::current_num_threads().min(MAX_PENDING_GROUPS);
        if self.pending.len() >= residual::GROUP * groups { self.flush() } else { Ok(()) }
    }

    /// Finishes the file with the outputs of `frames / 2` samples, if there are any.
    pub fn finish(mut self, outputs: Option<&TargetOutputs>) -> Result<(), TargetsError> {
        self.flush()?;
        if let Some(outputs) = outputs {
            if outputs.samples.len() != self.frames / 2 {
                return Err(TargetsError::Samples { found: outputs.samples.len(), frames: self.frames });
            }
            let payload =
                outputs.encode().map_err(|cause| OutputError::Write { path: self.file.path().into(), cause })?;
            self.section(b'O', &payload)?;
        }
        self.section(b'E', &(self.frames as u32).to_le_bytes())?;
        let hash = self.hasher.finalize();
        self.file.append(hash.as_bytes())?;
        Ok(self.file.commit()?)
    }

    fn flush(&mut self) -> Result<(), TargetsError> {
        let pending = std::mem::take(&mut self.pending);
        let TargetInfo { height, width, .. } = self.info;
        let pack = |group: &[Vec<u8>]| {
            [(group.len() as u32).to_le_bytes().as_slice(), &residual::compress(group, height, width)].concat()
        };
        let groups: Vec<Vec<u8>> = pending.par_chunks(residual::GROUP).map(pack).collect();
        groups.iter().try_for_each(|group| self.section(b'G', group))
    }

    fn section(&mut self, tag: u8, payload: &[u8]) -> Result<(), TargetsError> {
        self.append(&[tag])?;
        self.append(&(payload.len() as u64).to_le_bytes())?;
        self.append(payload)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), TargetsError> {
        self.hasher.update(bytes);
        Ok(self.file.append(bytes)?)
    }
}

/// A clip's frames at decoder resolution and the evaluators' outputs for it, in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Targets {
    /// What they were made from, and the frames' size.
    pub info: TargetInfo,
    /// The evaluators' outputs, one entry a sample.
    pub outputs: Option<TargetOutputs>,
    frames: Vec<u8>,
}

impl Targets {
    /// No frames yet; for a clip that is decoded straight into memory.
    pub fn new(info: TargetInfo) -> Self {
        Self { info, outputs: None, frames: Vec::new() }
    }

    /// Appends a frame of the clip, at the clip's size; what [`TargetWriter::push`] would keep of it.
    pub fn push(&mut self, frame: &RgbFrame) -> Result<(), TargetsError> {
        let (found, expected) = ((frame.width(), frame.height()), (self.info.clip_width, self.info.clip_height));
        if found != expected {
            return Err(TargetsError::Frame { index: self.frame_count(), found, expected });
        }
        self.frames.extend(self.info.reduce(frame));
        Ok(())
    }

    /// Number of frames.
    pub fn frame_count(&self) -> usize {
        self.frames.len() / self.info.frame_len()
    }

    /// All frames, `[n, 3, height, width]`.
    pub fn frames(&self) -> &[u8] {
        &self.frames
    }

    /// Frame `index`, `[3, height, width]`, or nothing past the last one.
    pub fn frame(&self, index: usize) -> Option<&[u8]> {
        self.frames.chunks_exact(self.info.frame_len()).nth(index)
    }

    /// True if the file at `path` begins like a target cache; whether it is a whole one, [`read`](Self::read) says.
    pub fn is_cache(path: impl AsRef<Path>) -> bool {
        let mut magic = [0; MAGIC.len()];
        File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *MAGIC
    }

    /// Reads a whole file; one that is cut off or changed is refused.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, TargetsError> {
        let path = path.as_ref();
        let bytes = read(path).map_err(|cause| TargetsError::Read { path: path.into(), cause })?;
        let invalid = |detail: String| TargetsError::Invalid { path: path.into(), detail };
        let content = bytes.strip_prefix(MAGIC).ok_or_else(|| invalid("not a target cache".into()))?;
        match content.first_chunk().map(|version| u32::from_le_bytes(*version)) {
            Some(VERSION) | None => {}
            Some(other) => return Err(invalid(format!("version {other} of the format, this program reads {VERSION}"))),
        }
        Self::decode(&bytes).ok_or_else(|| invalid("damaged or cut off".into()))
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (content, hash) = bytes.split_last_chunk::<{ blake3::OUT_LEN }>()?;
        if blake3::hash(content) != *hash {
            return None;
        }
        let mut reader = Reader(content.get(MAGIC.len() + 4..)?);
        let info = TargetInfo::decode(&mut reader)?;
        let mut groups = Vec::new();
        let mut outputs = None;
        let count = loop {
            let tag = reader.array::<1>()?;
            let length = usize::try_from(reader.u64()?).ok()?;
            let mut payload = Reader(reader.take(length)?);
            match &tag {
                b"G" => groups.push((Some(payload.u32()?).filter(|n| (1..=residual::GROUP).contains(n))?, payload.0)),
                b"O" if outputs.is_none() => outputs = Some(TargetOutputs::decode(payload.0)?),
                b"E" => break payload.u32()?,
                _ => return None,
            }
        };
        let counted: usize = groups.iter().map(|(frames, _)| frames).sum();
        let fits = outputs.as_ref().is_none_or(|outputs| outputs.samples.len() == count / 2);
        if !reader.0.is_empty() || counted != count || !fits {
            return None;
        }
        let length = count.checked_mul(info.frame_len()).filter(|&length| length <= MAX_FRAME_BYTES)?;
        let mut frames = Vec::new();
        frames.try_reserve_exact(length).ok()?;
        frames.resize(length, 0);
        let mut rest = frames.as_mut_slice();
        let mut jobs = Vec::new();
        for (frames, payload) in groups {
            let (part, tail) = rest.split_at_mut(frames * info.frame_len());
            jobs.push((payload, part));
            rest = tail;
        }
        let unpack = |(payload, part)| residual::decompress(payload, info.height, info.width, part);
        jobs.into_par_iter().map(unpack).collect::<Option<()>>()?;
        Some(Self { info, outputs, frames })
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
        return Err(io::Error::other("not a regular file of a possible size"));
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(metadata.len() as usize)?;
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Takes values off the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<usize> {
        self.array().map(|bytes| u32::from_le_bytes(bytes) as usize)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> TargetInfo {
        TargetInfo { name: "drive".into(), clip_bytes: 1234, clip_height: 40, clip_width: 60, height: 20, width: 30 }
    }

    fn clip(count: usize) -> Vec<RgbFrame> {
        let value = |t: usize, i: usize| ((i * 7 + t * 13) % 251) as u8 / (1 + (i % 3) as u8);
        (0..count).map(|t| RgbFrame::new(60, 40, (0..7200).map(|i| value(t, i)).collect()).unwrap()).collect()
    }

    fn outputs(samples: usize) -> TargetOutputs {
        let sample = |i: usize| SampleOutputs {
            classes: (0..PIXELS).map(|p| (p / 1000 % (i + 2)) as u8).collect(),
            pose: std::array::from_fn(|k| k as f32 - i as f32 * 0.5),
        };
        TargetOutputs { segnet: [1; 32], posenet: [2; 32], samples: (0..samples).map(sample).collect() }
    }

    fn written(frames: &[RgbFrame], outputs: Option<&TargetOutputs>) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("drive.targets");
        let mut writer = TargetWriter::create(&path, &info()).unwrap();
        frames.iter().for_each(|frame| writer.push(frame).unwrap());
        writer.finish(outputs).unwrap();
        (folder, path)
    }

    #[test]
    fn a_clip_comes_back_as_it_was_resized() {
        // More frames than go into one group, an odd number of them.
        let clip = clip(residual::GROUP * 2 + 5);
        let outputs = outputs(clip.len() / 2);
        let (_folder, path) = written(&clip, Some(&outputs));
        let targets = Targets::read(&path).unwrap();
        assert_eq!(targets.frame_count(), clip.len());
        for (index, frame) in clip.iter().enumerate() {
            let planes = frame.resize_bilinear(20, 30);
            let expected: Vec<u8> = planes.data().iter().map(|v| v.round_ties_even() as u8).collect();
            assert_eq!(targets.frame(index).unwrap(), expected, "frame {index}");
        }
        assert_eq!(targets.frame(clip.len()), None);
        let mut direct = Targets::new(info());
        clip.iter().for_each(|frame| direct.push(frame).unwrap());
        direct.outputs = Some(outputs);
        assert_eq!(targets, direct);
    }

    #[test]
    fn nothing_is_left_of_an_unfinished_file_and_wrong_frames_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("drive.targets");
        let mut writer = TargetWriter::create(&path, &info()).unwrap();
        assert!(writer.push(&RgbFrame::new(2, 2, vec![0; 12]).unwrap()).is_err());
        writer.push(&clip(1)[0]).unwrap();
        assert!(matches!(writer.finish(Some(&outputs(1))), Err(TargetsError::Samples { found: 1, frames: 1 })));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let huge = TargetInfo { clip_width: 1 << 20, ..info() };
        assert!(TargetWriter::create(&path, &huge).is_err());
    }

    #[test]
    fn cut_and_flipped_files_are_refused() {
        let (_folder, path) = written(&clip(3), Some(&outputs(1)));
        let bytes = std::fs::read(&path).unwrap();
        let refused = |bytes: &[u8], what: String| {
            std::fs::write(&path, bytes).unwrap();
            let message = Targets::read(&path).expect_err(&what).to_string();
            assert!(message.contains("drive.targets") && message.contains("hnerv targets"), "{message}");
        };
        (0..bytes.len()).step_by(7).for_each(|length| refused(&bytes[..length], format!("cut to {length}")));
        for bit in (0..bytes.len() * 8).step_by(29) {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            refused(&flipped, format!("bit {bit}"));
        }
        refused(b"RIFF", "another file".into());
        let absent = path.with_file_name("absent");
        assert!(matches!(Targets::read(&absent), Err(TargetsError::Read { .. })));
    }

    #[test]
    fn a_whole_file_with_impossible_contents_is_refused() {
        // Behind a valid hash stand sizes that no memory holds, and groups that hold other frames than they say.
        let seal = |content: Vec<u8>| {
            let hash = blake3::hash(&content);
            [content, hash.as_bytes().to_vec()].concat()
        };
        let section =
            |tag: u8, payload: &[u8]| [&[tag], (payload.len() as u64).to_le_bytes().as_slice(), payload].concat();
        let large = TargetInfo { height: MAX_SIDE, width: MAX_SIDE, ..info() };
        let group = [32u32.to_le_bytes().as_slice(), &[0; 8]].concat();
        let groups = |info: &TargetInfo, groups: usize| {
            let mut content = info.encode();
            (0..groups).for_each(|_| content.extend(section(b'G', &group)));
            content.extend(section(b'E', &(32 * groups as u32).to_le_bytes()));
            seal(content)
        };
        assert!(Targets::decode(&groups(&large, 1 << 10)).is_none());
        assert!(Targets::decode(&groups(&info(), 2)).is_none());
        assert!(Targets::decode(&groups(&info(), 0)).is_some_and(|targets| targets.frame_count() == 0));
        let long = [info().encode(), section(b'E', &0u32.to_le_bytes()), section(b'E', &0u32.to_le_bytes())].concat();
        assert!(Targets::decode(&seal(long)).is_none());
    }
}
