//! What happened at one place of the frame.

use super::sizes::CANDIDATES;

/// Past of one place: the tokens that stood there, and how its candidates fared.
#[derive(Clone)]
pub(crate) struct Place {
    /// Distinct codes, the latest first.
    recent: [u16; Place::RECENT],
    known: u8,
    /// For each candidate: whether it was right, the latest time in the lowest bit.
    hits: [u8; CANDIDATES],
}

impl Place {
    /// Most codes that are kept.
    pub const RECENT: usize = 10;
    /// Values of [`hits`](Self::hits).
    pub const HITS: usize = 16;

    /// Nothing happened yet.
    pub const EMPTY: Self = Self { recent: [0; Self::RECENT], known: 0, hits: [0; CANDIDATES] };

    /// The code that was here `rank` distinct codes ago.
    pub fn recent(&self, rank: usize) -> Option<u16> {
        self.recent[..usize::from(self.known)].get(rank).copied()
    }

    /// How candidate `i` fared the last four times.
    pub fn hits(&self, i: usize) -> usize {
        usize::from(self.hits[i]) % Self::HITS
    }

    /// Takes in the code that came and the candidates there were.
    pub fn push(&mut self, code: u16, candidates: &[u32; CANDIDATES]) {
        for (hits, &candidate) in self.hits.iter_mut().zip(candidates) {
            *hits = *hits << 1 | u8::from(candidate == u32::from(code));
        }
        let known = usize::from(self.known);
        let rank = self.recent[..known].iter().position(|&recent| recent == code);
        let end = rank.unwrap_or(known.min(Self::RECENT - 1));
        self.recent.copy_within(..end, 1);
        self.recent[0] = code;
        self.known = known.max(end + 1) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recent_codes_move_to_the_front_and_the_oldest_leaves() {
        let mut place = Place::EMPTY;
        let none = [u32::MAX; CANDIDATES];
        let all = |place: &Place| (0..).map_while(|rank| place.recent(rank)).collect::<Vec<_>>();
        assert_eq!(all(&place), []);
        for code in [3, 5, 3, 7] {
            place.push(code, &none);
        }
        assert_eq!(all(&place), [7, 3, 5]);
        for code in 10..19 {
            place.push(code, &none);
        }
        assert_eq!(all(&place), [18, 17, 16, 15, 14, 13, 12, 11, 10, 7]);
        place.push(7, &[7; CANDIDATES]);
        assert_eq!(place.recent(0), Some(7));
        assert_eq!((place.hits(0), place.recent(9)), (1, Some(10)));
    }
}
