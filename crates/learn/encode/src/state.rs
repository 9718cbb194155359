//! A search's state as bytes, so that an interrupted search can go on.
//!
//! Layout, numbers little-endian: magic, key, finished steps (u32), price (f64), seconds (f64), number of measured samples (u32), their
//! distortions (two f64 each), the representation as an archive, the BLAKE3 hash of all that.

use crate::resume::Saved;
use crate::search::SearchState;

const MAGIC: &[u8; 8] = b"hnervsr2";

impl Saved for SearchState {
    fn encode(&self, key: &[u8; 32]) -> Vec<u8> {
        let archive = archive::encode(&self.representation);
        let mut bytes = [MAGIC.as_slice(), key, &(self.next as u32).to_le_bytes(), &self.price.to_le_bytes()].concat();
        bytes.extend(self.seconds.to_le_bytes());
        bytes.extend((self.terms.len() as u32).to_le_bytes());
        bytes.extend(self.terms.iter().flatten().flat_map(|term| term.to_le_bytes()));
        bytes.extend(archive);
        let hash = blake3::hash(&bytes);
        bytes.extend(hash.as_bytes());
        bytes
    }

    fn decode(bytes: &[u8], key: &[u8; 32]) -> Option<Self> {
        let (content, hash) = bytes.split_last_chunk::<{ blake3::OUT_LEN }>()?;
        if blake3::hash(content) != *hash {
            return None;
        }
        let rest = content.strip_prefix(MAGIC)?.strip_prefix(key)?;
        let (next, rest) = rest.split_first_chunk::<4>()?;
        let (price, rest) = rest.split_first_chunk::<8>()?;
        let (seconds, rest) = rest.split_first_chunk::<8>()?;
        let (count, rest) = rest.split_first_chunk::<4>()?;
        let (terms, archive) = rest.split_at_checked((u32::from_le_bytes(*count) as usize).checked_mul(16)?)?;
        let (values, _) = terms.as_chunks::<8>();
        let (pairs, _) = values.as_chunks::<2>();
        let terms: Vec<_> = pairs.iter().map(|pair| pair.map(f64::from_le_bytes)).collect();
        let representation = archive::decode(archive).ok()?;
        let next = u32::from_le_bytes(*next) as usize;
        let fits = terms.len() == next.min(representation.clip.samples());
        let (price, seconds) = (f64::from_le_bytes(*price), f64::from_le_bytes(*seconds));
        fits.then_some(Self { next, terms, price, seconds, representation })
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
