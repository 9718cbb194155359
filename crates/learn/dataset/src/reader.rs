//! Reading target caches.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rayon::prelude::*;

use crate::dataset::Dataset;
use crate::error::DatasetError;
use crate::file::read_regular;
use crate::format::{Cursor, MAGIC, VERSION, decode_info, decode_outputs, tag};
use crate::outputs::OriginalOutputs;
use crate::residual;

/// Most bytes of all frames in memory: an hour and a half at 384x512, 20 frames a second.
const MAX_FRAME_BYTES: usize = 64 << 30;
/// Largest file that is read.
const MAX_FILE_BYTES: u64 = 64 << 30;

impl Dataset {
    /// True if the file at `path` begins like a target cache; whether it is a whole one, [`read`](Self::read) says.
    pub fn is_cache(path: impl AsRef<Path>) -> bool {
        let mut magic = [0; MAGIC.len()];
        File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *MAGIC
    }

    /// Reads a whole target cache; one that is cut off or changed is refused.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, DatasetError> {
        let path = path.as_ref();
        let bytes =
            read_regular(path, MAX_FILE_BYTES).map_err(|cause| DatasetError::Read { path: path.into(), cause })?;
        Self::parse(&bytes, path)
    }

    /// The dataset in the bytes of a target cache; `path` names them in an error.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self, DatasetError> {
        let invalid = |detail: String| DatasetError::Invalid { path: path.into(), detail };
        let content = bytes.strip_prefix(MAGIC).ok_or_else(|| invalid("not a target cache".into()))?;
        match content.first_chunk().map(|version| u32::from_le_bytes(*version)) {
            Some(VERSION) | None => {}
            Some(other) => return Err(invalid(format!("version {other} of the format, this program reads {VERSION}"))),
        }
        decode(bytes).ok_or_else(|| invalid("damaged or cut off".into()))
    }
}

/// What a whole and undamaged file holds.
fn decode(bytes: &[u8]) -> Option<Dataset> {
    let (content, hash) = bytes.split_last_chunk::<{ blake3::OUT_LEN }>()?;
    if blake3::hash(content) != *hash {
        return None;
    }
    let mut cursor = Cursor(content.get(MAGIC.len() + 4..)?);
    let info = decode_info(&mut cursor)?;
    let mut groups = Vec::new();
    let mut outputs: Option<OriginalOutputs> = None;
    let count = loop {
        let [tag] = cursor.array()?;
        let length = usize::try_from(cursor.u64()?).ok()?;
        let mut payload = Cursor(cursor.take(length)?);
        match tag {
            tag::GROUP => groups.push((Some(payload.u32()?).filter(|n| (1..=residual::GROUP).contains(n))?, payload.0)),
            tag::OUTPUTS if outputs.is_none() => outputs = Some(decode_outputs(payload.0)?),
            tag::END => break payload.u32()?,
            _ => return None,
        }
    };
    let counted: usize = groups.iter().map(|(frames, _)| frames).sum();
    if !cursor.0.is_empty() || counted != count {
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
    let dataset = Dataset::new(info).ok()?.with_frames(frames);
    match outputs {
        Some(outputs) => dataset.with_outputs(outputs).ok(),
        None => Some(dataset),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::path::PathBuf;

    use frames::RgbFrame;
    use metric::{NetworkHashes, PIXELS, SampleOutputs};

    use super::*;
    use crate::format::encode_info;
    use crate::info::MAX_SIDE;
    use crate::{DatasetInfo, DatasetWriter};

    fn info() -> DatasetInfo {
        DatasetInfo {
            name: "drive".parse().unwrap(),
            clip_bytes: NonZeroU64::MIN,
            clip_height: 40,
            clip_width: 60,
            height: 20,
            width: 30,
        }
    }

    fn clip(count: usize) -> Vec<RgbFrame> {
        let value = |t: usize, i: usize| ((i * 7 + t * 13) % 251) as u8 / (1 + (i % 3) as u8);
        (0..count).map(|t| RgbFrame::new(60, 40, (0..7200).map(|i| value(t, i)).collect()).unwrap()).collect()
    }

    fn outputs(samples: usize) -> OriginalOutputs {
        let sample = |i: usize| SampleOutputs {
            classes: (0..PIXELS).map(|p| (p / 1000 % (i + 2)) as u8).collect(),
            pose: std::array::from_fn(|k| k as f32 - i as f32 * 0.5),
        };
        OriginalOutputs {
            networks: NetworkHashes { segnet: [1; 32], posenet: [2; 32] },
            samples: (0..samples).map(sample).collect(),
        }
    }

    fn written(frames: &[RgbFrame], outputs: Option<&OriginalOutputs>) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("drive.targets");
        let mut writer = DatasetWriter::create(&path, &info()).unwrap();
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
        let dataset = Dataset::read(&path).unwrap();
        assert_eq!(dataset.frame_count(), clip.len());
        for (index, frame) in clip.iter().enumerate() {
            let planes = frame.resize_bilinear(20, 30);
            let expected: Vec<u8> = planes.data().iter().map(|v| v.round_ties_even() as u8).collect();
            assert_eq!(dataset.frame(index).unwrap(), expected, "frame {index}");
        }
        assert_eq!(dataset.frame(clip.len()), None);
        let mut direct = Dataset::new(info()).unwrap();
        clip.iter().for_each(|frame| direct.push(frame).unwrap());
        assert_eq!(dataset.content_hash(), direct.content_hash());
        let direct = direct.with_outputs(outputs).unwrap();
        assert_eq!(dataset, direct);
        // One value of one frame, or the file's size.
        let mut frames = direct.frames().to_vec();
        frames[77] ^= 1;
        assert_ne!(direct.clone().with_frames(frames).content_hash(), direct.content_hash());
        let larger = DatasetInfo { clip_bytes: NonZeroU64::MAX, ..info() };
        let larger = Dataset::new(larger).unwrap().with_frames(direct.frames().to_vec());
        assert_ne!(larger.content_hash(), direct.content_hash());
    }

    #[test]
    fn nothing_is_left_of_an_unfinished_file_and_wrong_frames_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("drive.targets");
        let mut writer = DatasetWriter::create(&path, &info()).unwrap();
        assert!(writer.push(&RgbFrame::new(2, 2, vec![0; 12]).unwrap()).is_err());
        writer.push(&clip(1)[0]).unwrap();
        assert!(matches!(writer.finish(Some(&outputs(1))), Err(DatasetError::Samples { found: 1, frames: 1 })));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let huge = DatasetInfo { clip_width: 1 << 20, ..info() };
        assert!(DatasetWriter::create(&path, &huge).is_err());
        let flat = DatasetInfo { height: 0, ..info() };
        assert!(matches!(Dataset::new(flat), Err(DatasetError::Clip(_))));
    }

    #[test]
    fn cut_and_flipped_files_are_refused() {
        let (_folder, path) = written(&clip(3), Some(&outputs(1)));
        let bytes = std::fs::read(&path).unwrap();
        let refused = |bytes: &[u8], what: String| {
            std::fs::write(&path, bytes).unwrap();
            let message = Dataset::read(&path).expect_err(&what).to_string();
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
        assert!(matches!(Dataset::read(&absent), Err(DatasetError::Read { .. })));
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
        let large = DatasetInfo { height: MAX_SIDE, width: MAX_SIDE, ..info() };
        let group = [32u32.to_le_bytes().as_slice(), &[0; 8]].concat();
        let groups = |info: &DatasetInfo, groups: usize| {
            let mut content = encode_info(info);
            (0..groups).for_each(|_| content.extend(section(b'G', &group)));
            content.extend(section(b'E', &(32 * groups as u32).to_le_bytes()));
            seal(content)
        };
        assert!(decode(&groups(&large, 1 << 10)).is_none());
        assert!(decode(&groups(&info(), 2)).is_none());
        assert!(decode(&groups(&info(), 0)).is_some_and(|dataset| dataset.frame_count() == 0));
        let long =
            [encode_info(&info()), section(b'E', &0u32.to_le_bytes()), section(b'E', &0u32.to_le_bytes())].concat();
        assert!(decode(&seal(long)).is_none());
    }
}
