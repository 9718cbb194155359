//! Where contexts keep their counts.

use mixing::Slot;

/// Bits of a code that are counted in one bucket.
pub(super) const CHUNK: u32 = 5;

/// A cache line: a tag, then the slots of a binary tree over [`CHUNK`] bits, root first. All zeros is empty.
#[derive(Clone, Copy, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Bucket {
    tag: u16,
    slots: [u16; (1 << CHUNK) - 1],
}

impl Bucket {
    const EMPTY: Self = Self { tag: 0, slots: [0; (1 << CHUNK) - 1] };
}

/// Hash table of one context: for each of its values and each beginning of a code, a tree of slots.
pub(super) struct Table {
    buckets: Box<[Bucket]>,
    current: usize,
}

/// Where a key may be.
#[derive(Clone, Copy, Default)]
struct Found {
    wanted: u16,
    first: usize,
    tags: [u16; 2],
}

impl Table {
    /// With `2^bits` buckets of 64 bytes.
    pub fn new(bits: u32) -> Self {
        Self { buckets: bytemuck::allocation::zeroed_slice_box(1 << bits), current: 0 }
    }

    /// Bits of its size.
    pub fn bits(&self) -> u32 {
        self.buckets.len().ilog2()
    }

    /// Goes to the bucket of its key in each table.
    ///
    /// Looks at all tags first: those loads miss the caches but wait for nothing, so that they overlap.
    #[inline(always)]
    pub fn seek<const N: usize>(tables: &mut [Self; N], keys: &[u32; N], seed: u32) {
        let mut found = [Found::default(); N];
        for ((found, table), key) in found.iter_mut().zip(&*tables).zip(keys) {
            *found = table.find(key.wrapping_add(seed));
        }
        for (table, found) in tables.iter_mut().zip(found) {
            table.current = table.choose(found);
        }
    }

    /// The two buckets of a key, which are neighbours.
    #[inline(always)]
    fn find(&self, key: u32) -> Found {
        let hash = key.wrapping_mul(0x9e37_79b1);
        let hash = hash ^ hash >> 15;
        let first = hash as usize & (self.buckets.len() - 1);
        let tags = [first, self.second(first)].map(|i| self.buckets[i].tag);
        Found { wanted: (hash >> 16) as u16 | 1, first, tags }
    }

    #[inline(always)]
    fn second(&self, first: usize) -> usize {
        (first ^ 1) & (self.buckets.len() - 1)
    }

    /// The bucket that holds the key, or an emptied one: of the two the less used one is given up.
    #[inline(always)]
    fn choose(&mut self, found: Found) -> usize {
        let Found { wanted, first, tags } = found;
        let second = self.second(first);
        if tags[0] == wanted {
            return first;
        }
        if tags[1] == wanted {
            return second;
        }
        let used = |i: usize| Slot::from_bits(self.buckets[i].slots[0]).seen();
        let given_up = if used(first) <= used(second) { first } else { second };
        self.buckets[given_up] = Bucket { tag: wanted, ..Bucket::EMPTY };
        given_up
    }

    /// The slot of tree node `node`, 1 to 31, in the bucket that [`seek`](Self::seek) went to.
    #[inline(always)]
    pub fn slot(&self, node: usize) -> Slot {
        Slot::from_bits(self.buckets[self.current].slots[node - 1])
    }

    /// Tells that slot its bit.
    #[inline(always)]
    pub fn learn(&mut self, node: usize, bit: bool) {
        let bits = &mut self.buckets[self.current].slots[node - 1];
        let mut slot = Slot::from_bits(*bits);
        slot.learn(bit);
        *bits = slot.to_bits();
    }

    /// All that is stored.
    pub fn visit(&mut self, visit: &mut impl FnMut(&mut u16)) {
        for bucket in &mut self.buckets {
            visit(&mut bucket.tag);
            bucket.slots.iter_mut().for_each(&mut *visit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_remembers_by_key_and_gives_up_the_less_used() {
        let mut tables = [Table::new(1)];
        let seek = |tables: &mut [Table; 1], key| Table::seek(tables, &[key], 0);
        seek(&mut tables, 1);
        assert_eq!(tables[0].slot(1), Slot::FRESH);
        (0..3).for_each(|_| tables[0].learn(1, true));
        seek(&mut tables, 2);
        assert_eq!(tables[0].slot(1), Slot::FRESH);
        tables[0].learn(1, false);
        seek(&mut tables, 3);
        assert_eq!(tables[0].slot(1), Slot::FRESH, "a third key takes the place of the second");
        seek(&mut tables, 1);
        assert_eq!(tables[0].slot(1).seen(), 3);
        assert_eq!(size_of::<Bucket>(), 64);
    }
}
