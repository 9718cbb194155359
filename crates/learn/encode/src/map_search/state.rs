//! How far a search over class maps has come, and the same as bytes, so that an interrupted search can go on.
//!
//! Layout, numbers little-endian: magic, key, finished steps (u32), whether it is done (u8), what the clip cost at
//! the last sweep's end (f64), seconds (f64), number of samples (u32), what was measured at first and what is now (u32 count, two f64 each), bits of each sample's edits (f64), what was tried
//! for each sample (u32 count; pixel u32, shape u8, class u8 each), outcomes of each kind (u32 each), the representation that the
//! search began with (u32 length, archive), the edits of each sample (u32 count; pixel u32, class u8 each), all latents as they are
//! (u16), the BLAKE3 hash of all that. Coding maps takes seconds, so those as they are are not.

use repr::{Representation, RepresentationError, Sidecar};

use super::chances::{Chances, OUTCOMES};
use super::proposals::{KINDS, Proposal};
use crate::judge::Terms;
use crate::resume::Saved;

const MAGIC: &[u8; 8] = b"hnervms2";

/// How far a search over class maps has come.
#[derive(Clone, Debug, PartialEq)]
pub struct MapSearchState {
    /// Finished steps: each sample is measured; then, sweep after sweep, each is edited, and all are settled.
    pub(super) next: usize,
    /// Whether the last sweep found nothing.
    pub(super) done: bool,
    /// What the clip cost, bytes included, when the last sweep had ended; infinite before.
    pub(super) least: f64,
    seconds: f64,
    /// Distortions of the samples as they were, as far as they have been measured.
    pub(super) first: Vec<Terms>,
    /// As they are.
    pub(super) terms: Vec<Terms>,
    /// Bits of each sample's edits by the frozen prices.
    pub(super) bits: Vec<f64>,
    /// Proposals for each sample that came to nothing, in order.
    pub(super) tried: Vec<Vec<Proposal>>,
    pub(super) chances: Chances,
    start: Representation,
    /// The same as an archive.
    start_archive: Vec<u8>,
    /// The one that the search began with, with all edits so far.
    pub(super) representation: Representation,
}

impl MapSearchState {
    /// Nothing is done.
    pub(super) fn new(start: &Representation) -> Self {
        let samples = start.clip.samples();
        Self {
            next: 0,
            done: false,
            least: f64::INFINITY,
            seconds: 0.0,
            first: Vec::new(),
            terms: Vec::new(),
            bits: vec![0.0; samples],
            tried: vec![Vec::new(); samples],
            chances: Chances::new(),
            start: start.clone(),
            start_archive: archive::encode(start),
            representation: start.clone(),
        }
    }

    /// What the search began with.
    pub fn start(&self) -> &Representation {
        &self.start
    }

    /// The same with all edits so far.
    pub fn representation(&self) -> &Representation {
        &self.representation
    }

    /// Pixels whose class is another one than at the beginning.
    pub fn edits(&self) -> usize {
        let (Some(old), Some(new)) = (&self.start.maps, &self.representation.maps) else { return 0 };
        old.values().iter().zip(new.values()).filter(|(old, new)| old != new).count()
    }

    /// Whether the map of a sample is another one than at the beginning.
    pub(super) fn map_changed(&self, sample: usize) -> bool {
        self.start.map(sample) != self.representation.map(sample)
    }

    /// Size of the archive that the search began with.
    pub(super) fn start_bytes(&self) -> usize {
        self.start_archive.len()
    }

    /// Puts other latents in the place of a sample's.
    pub(super) fn set_latents(&mut self, sample: usize, row: &[u16]) -> Result<(), RepresentationError> {
        let mut sidecar = Sidecar::default();
        for correction in self.start.sidecar.of(sample) {
            sidecar.set(correction.sample, correction.target, correction.amount);
        }
        self.representation.set_sample(sample, row, &sidecar)
    }

    /// Makes a sample be again what the search began with.
    pub(super) fn take_back(&mut self, sample: usize) -> Result<(), RepresentationError> {
        let row = latents(&self.start, sample).to_vec();
        self.set_latents(sample, &row)?;
        self.representation.set_map(sample, self.start.map(sample))?;
        self.terms[sample] = self.first[sample];
        self.bits[sample] = 0.0;
        Ok(())
    }

    /// The edits of a sample.
    fn edits_of(&self, sample: usize) -> Vec<(usize, u8)> {
        let (old, new) = (self.start.map(sample), self.representation.map(sample));
        let pairs = old.iter().zip(new).enumerate().filter(|(_, (old, new))| old != new);
        pairs.map(|(pixel, (_, &class))| (pixel, class)).collect()
    }
}

/// The integers of a sample's latents.
pub(super) fn latents(representation: &Representation, sample: usize) -> &[u16] {
    let dim = representation.architecture.sample_dim();
    &representation.latents.values[sample * dim..][..dim]
}

impl Saved for MapSearchState {
    fn encode(&self, key: &[u8; 32]) -> Vec<u8> {
        let mut bytes = [MAGIC.as_slice(), key].concat();
        let number = |bytes: &mut Vec<u8>, number: usize| bytes.extend((number as u32).to_le_bytes());
        number(&mut bytes, self.next);
        bytes.push(self.done.into());
        bytes.extend([self.least, self.seconds].into_iter().flat_map(f64::to_le_bytes));
        number(&mut bytes, self.bits.len());
        number(&mut bytes, self.terms.len());
        let terms = self.first.iter().chain(&self.terms).flatten();
        bytes.extend(terms.chain(&self.bits).flat_map(|value| value.to_le_bytes()));
        for tried in &self.tried {
            number(&mut bytes, tried.len());
            for &Proposal { pixel, shape, class } in tried {
                bytes.extend(pixel.to_le_bytes());
                bytes.extend([shape, class]);
            }
        }
        bytes.extend(self.chances.0.iter().flatten().flat_map(|count| count.to_le_bytes()));
        number(&mut bytes, self.start_archive.len());
        bytes.extend(&self.start_archive);
        for sample in 0..self.bits.len() {
            let edits = self.edits_of(sample);
            number(&mut bytes, edits.len());
            for (pixel, class) in edits {
                number(&mut bytes, pixel);
                bytes.push(class);
            }
        }
        bytes.extend(self.representation.latents.values.iter().flat_map(|value| value.to_le_bytes()));
        let hash = blake3::hash(&bytes);
        bytes.extend(hash.as_bytes());
        bytes
    }

    fn decode(bytes: &[u8], key: &[u8; 32]) -> Option<Self> {
        let (content, hash) = bytes.split_last_chunk::<{ blake3::OUT_LEN }>()?;
        if blake3::hash(content) != *hash {
            return None;
        }
        let mut rest = Reader(content.strip_prefix(MAGIC)?.strip_prefix(key)?);
        let (next, done) = (rest.number()?, rest.take()? != [0]);
        let (least, seconds) = (rest.float()?, rest.float()?);
        let (samples, measured) = (rest.number()?, rest.number()?);
        let first = rest.many(measured, |rest| Some([rest.float()?, rest.float()?]))?;
        let terms = rest.many(measured, |rest| Some([rest.float()?, rest.float()?]))?;
        let bits = rest.many(samples, Reader::float)?;
        let tried = rest.many(samples, |rest| {
            let count = rest.number()?;
            rest.many(count, |rest| {
                let pixel = u32::from_le_bytes(rest.take()?);
                let [shape, class] = rest.take()?;
                Some(Proposal { pixel, shape, class })
            })
        })?;
        let chances = rest.many(KINDS, |rest| {
            let counts = rest.many(OUTCOMES, |rest| Some(u32::from_le_bytes(rest.take()?)))?;
            counts.try_into().ok()
        })?;
        let start_archive = rest.slice()?.to_vec();
        let start = archive::decode(&start_archive).ok()?;
        if samples != start.clip.samples() || measured != next.min(samples) {
            return None;
        }
        let mut state = Self {
            next,
            done,
            least,
            seconds,
            first,
            terms,
            bits,
            tried,
            chances: Chances(chances),
            representation: start.clone(),
            start,
            start_archive,
        };
        for sample in 0..samples {
            let count = rest.number()?;
            let mut map = state.start.map(sample).to_vec();
            for _ in 0..count {
                let (pixel, [class]) = (rest.number()?, rest.take()?);
                *map.get_mut(pixel)? = class;
            }
            if count > 0 {
                state.representation.set_map(sample, &map).ok()?;
            }
        }
        for sample in 0..samples {
            let dim = state.start.architecture.sample_dim();
            let row = rest.many(dim, |rest| Some(u16::from_le_bytes(rest.take()?)))?;
            state.set_latents(sample, &row).ok()?;
        }
        Some(state)
    }

    fn finished(&self) -> usize {
        self.next
    }

    fn seconds(&self) -> f64 {
        self.seconds
    }

    fn spend(&mut self, seconds: f64) {
        self.seconds += seconds;
    }
}

/// What is left of a state's bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn number(&mut self) -> Option<usize> {
        Some(u32::from_le_bytes(self.take()?) as usize)
    }

    fn float(&mut self) -> Option<f64> {
        Some(f64::from_le_bytes(self.take()?))
    }

    /// As many bytes as a number says.
    fn slice(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// So many of something, for which no memory is set aside before it is there.
    fn many<T>(&mut self, count: usize, read: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut found = Vec::new();
        for _ in 0..count {
            found.push(read(self)?);
        }
        Some(found)
    }
}
