//! Probabilities that learn.

/// Probability of a bit in one context, in two bytes: 12 bits of probability, 4 bits of how often it was met. The first
/// bit moves it half the way, the n-th 1/(n + 1) of it, from some point on all by the same share.
///
/// The top bit is stored flipped, so that zeroed memory is full of fresh slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(u16);

/// The top bit of a slot.
const FLIP: u16 = 1 << 15;

impl Slot {
    /// Nothing seen: even odds.
    pub const FRESH: Self = Self(0);
    /// Largest [`seen`](Self::seen).
    pub const MOST: u16 = 14;
    /// Values of [`history`](Self::history).
    pub const HISTORIES: usize = 1 << 10;

    /// `2^16 / (n + 2)`
    const SHARE: [i32; 16] = {
        let mut table = [0; 16];
        let mut n = 0;
        while n < 16 {
            table[n] = 65536 / (n as i32 + 2);
            n += 1;
        }
        table
    };

    /// How many bits were seen, up to [`Slot::MOST`].
    #[inline(always)]
    pub fn seen(self) -> u16 {
        self.0 & 15
    }

    /// Count and the upper 6 bits of the probability: after few bits this tells how many of them were set, so a [`Chance`]
    /// for each learns what such a past is worth.
    #[inline(always)]
    pub fn history(self) -> usize {
        usize::from(self.seen() << 6 | (self.0 ^ FLIP) >> 10)
    }

    /// What a [`Chance`] for `history` begins with: the probability in it.
    pub const fn expected(history: usize) -> Chance {
        Chance::new((history as u16 & 63) << 10 | 1 << 9)
    }

    /// Moves towards `bit`.
    #[inline(always)]
    pub fn learn(&mut self, bit: bool) {
        let (p, seen) = (i32::from((self.0 ^ FLIP) >> 4), self.seen());
        let target = if bit { 4095 } else { 0 };
        let p = p + (((target - p) * Self::SHARE[usize::from(seen)] + (1 << 15)) >> 16);
        self.0 = ((p as u16) << 4 | (seen + 1).min(Self::MOST)) ^ FLIP;
    }

    /// As stored.
    #[inline(always)]
    pub fn to_bits(self) -> u16 {
        self.0
    }

    /// From [`to_bits`](Self::to_bits); any value is a slot.
    #[inline(always)]
    pub fn from_bits(bits: u16) -> Self {
        Self(bits)
    }
}

/// Probability of a bit that many bits share: each moves it by the same share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chance(u16);

impl Chance {
    /// Starts at `p`, in units of `2^-16`.
    pub const fn new(p: u16) -> Self {
        Self(p)
    }

    /// In units of `2^-16`.
    #[inline(always)]
    pub fn get(self) -> u16 {
        self.0
    }

    /// Moves `2^-SHIFT` of the way towards `bit`.
    #[inline(always)]
    pub fn learn<const SHIFT: u32>(&mut self, bit: bool) {
        if bit {
            self.0 += (u16::MAX - self.0) >> SHIFT;
        } else {
            self.0 -= self.0 >> SHIFT;
        }
    }
}

/// Probability of a bit in one context, in four bytes: 22 bits of probability, 10 bits of how often it was met. The n-th bit moves
/// it by 2 / (2n + 1) of the way, from some point on all by the same share: where a [`Slot`] follows what changes, this comes to
/// rest where next to nothing does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate(u32);

/// `2^17 / (2n + 3)`: the share of the n-th move, from 0, in units of `2^-16`.
static SHARES: [u32; Estimate::MOST as usize + 1] = {
    let mut table = [0; Estimate::MOST as usize + 1];
    let mut n = 0;
    while n < table.len() {
        table[n] = (1 << 17) / (2 * n as u32 + 3);
        n += 1;
    }
    table
};

impl Estimate {
    /// Nothing seen: even odds.
    pub const FRESH: Self = Self(1 << 31);
    /// Largest [`seen`](Self::seen).
    pub const MOST: u32 = 1023;

    /// The probability, in units of `2^-16`.
    #[inline(always)]
    pub fn get(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// How many bits were seen, up to the limit that it learns with.
    #[inline(always)]
    pub fn seen(self) -> u32 {
        self.0 & Self::MOST
    }

    /// Moves towards `bit`; `limit` (at most [`MOST`](Self::MOST)) bits count.
    #[inline(always)]
    pub fn learn(&mut self, bit: bool, limit: u32) {
        let (p, seen) = (i64::from(self.0 >> 10), self.seen());
        let target = if bit { (1 << 22) - 1 } else { 0 };
        let p = p + (((target - p) * i64::from(SHARES[seen as usize])) >> 16);
        self.0 = (p as u32) << 10 | (seen + 1).min(limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_estimate_is_the_share_of_its_bits(bits in prop::collection::vec(any::<bool>(), 1..500)) {
            let mut estimate = Estimate::FRESH;
            bits.iter().for_each(|&bit| estimate.learn(bit, Estimate::MOST));
            // Of n bits with k ones, as if half a bit had been seen before.
            let ones = bits.iter().filter(|&&bit| bit).count() as f64;
            let expected = (ones + 0.25) / (bits.len() as f64 + 0.5);
            prop_assert!((f64::from(estimate.get()) / 65536.0 - expected).abs() < 3e-3);
            prop_assert_eq!(estimate.seen(), bits.len() as u32);
        }

        #[test]
        fn a_slot_follows_its_bits_from_any_state(state: u16, bits in prop::collection::vec(any::<bool>(), 0..100)) {
            let mut slot = Slot::from_bits(state);
            for bit in bits {
                let before = (slot.to_bits() ^ FLIP) >> 4;
                slot.learn(bit);
                let after = (slot.to_bits() ^ FLIP) >> 4;
                let moved_towards = if bit { after >= before } else { after <= before };
                prop_assert!(moved_towards);
                prop_assert!(slot.seen() <= Slot::MOST && slot.history() < Slot::HISTORIES);
            }
        }
    }

    #[test]
    fn short_pasts_differ_by_how_often_each_bit_came() {
        let mut seen = std::collections::HashMap::new();
        for count in 0..6u32 {
            for past in 0..1u32 << count {
                let mut slot = Slot::FRESH;
                (0..count).for_each(|i| slot.learn(past >> i & 1 == 1));
                let kind = (count, past.count_ones());
                assert_eq!(*seen.entry(slot.history()).or_insert(kind), kind, "{past:b}");
            }
        }
    }

    #[test]
    fn a_chance_ends_where_its_bits_are() {
        let mut chance = Chance::new(1 << 15);
        (0..2000).for_each(|i| chance.learn::<6>(i % 4 == 0));
        assert!((f64::from(chance.get()) / 65536.0 - 0.25).abs() < 0.03);
        (0..2000).for_each(|_| chance.learn::<6>(true));
        assert!(chance.get() >= u16::MAX - 63);
    }
}
