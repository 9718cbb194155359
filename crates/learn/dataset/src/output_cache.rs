//! Evaluator outputs of original clips, kept on disk so that no original is evaluated twice.
//!
//! One file per clip and evaluator, named by a hash of both files' contents, of the clip's track, of ONNX Runtime's build and of the
//! format's version: whatever changes the outputs changes the name. Layout: magic, record count (u32), then each record's
//! length (u32) and bytes, then the BLAKE3 hash of all that; integers little-endian. A SegNet record is the class map
//! compressed by zstd, a PoseNet record six f32.

use std::env;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use frames::Planes;
use metric::{PIXELS, POSE_LEN, PerceptionStack, SampleOutputs, StackError, StackIdentity};
use thiserror::Error;

use crate::file::read_regular;

const MAGIC: &[u8; 8] = b"hnervout";
/// To be raised whenever preprocessing or the file's layout changes.
const VERSION: u32 = 2;
/// Class maps hold long runs; higher levels gain nothing worth the time.
const ZSTD_LEVEL: i32 = 6;
/// Largest cache file that is read: days of video.
const MAX_BYTES: u64 = 1 << 32;

/// A clip that cannot be read to be told from others.
#[derive(Debug, Error)]
#[error("{}: cannot read: {cause}; check the path", path.display())]
pub struct OutputCacheError {
    path: PathBuf,
    cause: io::Error,
}

/// Where the outputs are kept.
#[derive(Clone, Debug)]
pub struct OutputCache {
    folder: Option<PathBuf>,
}

impl OutputCache {
    /// The user's cache: HNERV_CACHE, else `hnerv` in XDG_CACHE_HOME or `~/.cache`; none of them set: nothing is kept.
    pub fn of_user() -> Self {
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder = variable("HNERV_CACHE")
            .or_else(|| variable("XDG_CACHE_HOME").map(|base| base.join("hnerv")))
            .or_else(|| variable("HOME").map(|home| home.join(".cache/hnerv")));
        Self { folder }
    }

    /// A cache in a folder, which need not exist.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self { folder: Some(folder.into()) }
    }

    /// What is known about the outputs of a clip's `track`. Damaged files count as absent.
    ///
    /// # Errors
    ///
    /// A clip that cannot be read.
    pub fn clip(
        &self,
        clip: &Path,
        track: usize,
        stack: &dyn PerceptionStack,
    ) -> Result<ClipOutputs, OutputCacheError> {
        let failed = |cause| OutputCacheError { path: clip.into(), cause };
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(File::open(clip).map_err(failed)?).map_err(failed)?;
        let clip = hasher.finalize();
        let StackIdentity { networks, runtime } = stack.identity();
        let open = |role: &str, network: [u8; 32], usable: fn(&[u8]) -> bool| {
            Records::open(
                self.folder.as_deref(),
                &[role.as_bytes(), clip.as_bytes(), &(track as u64).to_le_bytes(), &network, runtime.as_bytes()],
                usable,
            )
        };
        Ok(ClipOutputs {
            segnet: open("SegNet", networks.segnet, |record| unpack_classes(record).is_some()),
            posenet: open("PoseNet", networks.posenet, |record| unpack_pose(record).is_some()),
            samples: 0,
        })
    }
}

/// The evaluators' outputs for a clip, sample after sample: from the cache, or evaluated and remembered.
#[derive(Debug)]
pub struct ClipOutputs {
    segnet: Records,
    posenet: Records,
    samples: usize,
}

impl ClipOutputs {
    /// Number of samples from the first on whose outputs are known already: they need no frames.
    pub fn cached(&self) -> usize {
        self.segnet.records.len().min(self.posenet.records.len())
    }

    /// The next sample's outputs; `pair`, both frames at the evaluators' size, may be absent for the first
    /// [`cached`](Self::cached) samples.
    pub fn next(
        &mut self,
        stack: &mut dyn PerceptionStack,
        pair: Option<[&Planes; 2]>,
    ) -> Result<SampleOutputs, StackError> {
        let missing = || StackError::new("the frames of a sample whose outputs are not known are needed");
        let classes = match self.segnet.records.get(self.samples).and_then(|record| unpack_classes(record)) {
            Some(classes) => classes,
            None => {
                let classes = stack.classes(pair.ok_or_else(missing)?[1])?;
                self.segnet.push(zstd::bulk::compress(&classes, ZSTD_LEVEL).unwrap_or_default());
                classes
            }
        };
        let pose = match self.posenet.records.get(self.samples).and_then(|record| unpack_pose(record)) {
            Some(pose) => pose,
            None => {
                let pose = stack.pose(pair.ok_or_else(missing)?)?;
                self.posenet.push(pose.iter().flat_map(|v| v.to_le_bytes()).collect());
                pose
            }
        };
        self.samples += 1;
        Ok(SampleOutputs { classes, pose })
    }

    /// Keeps what was evaluated, once the whole clip was. A cache that cannot be written only loses what it would have
    /// saved next time.
    pub fn keep(self) {
        self.segnet.keep();
        self.posenet.keep();
    }
}

fn unpack_classes(record: &[u8]) -> Option<Vec<u8>> {
    zstd::bulk::decompress(record, PIXELS).ok().filter(|classes| classes.len() == PIXELS)
}

fn unpack_pose(record: &[u8]) -> Option<[f32; POSE_LEN]> {
    let (values, []) = record.as_chunks::<4>() else { return None };
    let values: Vec<f32> = values.iter().copied().map(f32::from_le_bytes).collect();
    values.try_into().ok()
}

/// One evaluator's records of one clip.
#[derive(Debug)]
struct Records {
    path: Option<PathBuf>,
    records: Vec<Vec<u8>>,
    changed: bool,
}

impl Records {
    /// Those in the file that is named by a hash over `parts`, if all of them are usable.
    fn open(folder: Option<&Path>, parts: &[&[u8]], usable: fn(&[u8]) -> bool) -> Self {
        let mut name = blake3::Hasher::new();
        name.update(&VERSION.to_le_bytes());
        parts.iter().for_each(|part| {
            name.update(part);
        });
        let path = folder.map(|folder| folder.join(format!("{}.outputs", name.finalize().to_hex())));
        let known = path.as_deref().and_then(|path| decode(&read_regular(path, MAX_BYTES).ok()?));
        let known = known.filter(|records| records.iter().all(|record| usable(record)));
        Self { path, records: known.unwrap_or_default(), changed: false }
    }

    fn push(&mut self, record: Vec<u8>) {
        self.records.push(record);
        self.changed = true;
    }

    fn keep(&self) {
        if let (Some(path), true) = (&self.path, self.changed) {
            let _ = output::write_whole(path, &encode(&self.records));
        }
    }
}

fn encode(records: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend((records.len() as u32).to_le_bytes());
    for record in records {
        bytes.extend((record.len() as u32).to_le_bytes());
        bytes.extend(record);
    }
    let hash = blake3::hash(&bytes);
    bytes.extend(hash.as_bytes());
    bytes
}

/// The records of a whole and undamaged file.
fn decode(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (content, hash) = bytes.split_last_chunk::<{ blake3::OUT_LEN }>()?;
    if blake3::hash(content) != *hash {
        return None;
    }
    let (count, mut rest) = content.strip_prefix(MAGIC)?.split_first_chunk::<4>()?;
    let mut records = Vec::new();
    for _ in 0..u32::from_le_bytes(*count) {
        let (len, tail) = rest.split_first_chunk::<4>()?;
        let (record, tail) = tail.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        records.push(record.to_vec());
        rest = tail;
    }
    rest.is_empty().then_some(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_and_damage_is_noticed() {
        let records = vec![vec![1, 2, 3], vec![], vec![9; 300]];
        let bytes = encode(&records);
        assert_eq!(decode(&bytes), Some(records));
        assert_eq!(decode(&encode(&[])), Some(vec![]));
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length]), None, "cut to {length}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn records_of_another_shape_are_no_outputs() {
        let classes: Vec<u8> = (0..PIXELS).map(|i| (i / 777 % 5) as u8).collect();
        let record = zstd::bulk::compress(&classes, ZSTD_LEVEL).unwrap();
        assert_eq!(unpack_classes(&record), Some(classes));
        assert_eq!(unpack_classes(&zstd::bulk::compress(&[0; PIXELS - 1], 1).unwrap()), None);
        assert_eq!(unpack_classes(&zstd::bulk::compress(&[0; PIXELS + 1], 1).unwrap()), None);
        assert_eq!(unpack_classes(b""), None);
        assert_eq!(unpack_pose(&[0; 24]), Some([0.0; 6]));
        assert_eq!([0, 20, 23, 28].map(|n| unpack_pose(&vec![0; n])), [None; 4]);
    }
}
