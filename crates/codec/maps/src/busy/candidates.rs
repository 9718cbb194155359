//! What a pixel may be.

/// Most neighbours that candidates come from.
const NEAR: usize = 11;

/// Classes of neighbours, each once, with what speaks for them.
pub(super) struct Candidates {
    list: [(u8, i32); NEAR],
    len: usize,
}

impl Candidates {
    /// None so far.
    pub fn new() -> Self {
        Self { list: [(0, 0); NEAR], len: 0 }
    }

    /// Adds what speaks for a class.
    #[inline(always)]
    pub fn add(&mut self, class: u8, weight: i32) {
        if let Some(entry) = self.list[..self.len].iter_mut().find(|entry| entry.0 == class) {
            entry.1 += weight;
        } else {
            self.list[self.len] = (class, weight);
            self.len += 1;
        }
    }

    /// The `index`-th.
    pub fn get(&self, index: usize) -> Option<u8> {
        self.list[..self.len].get(index).map(|entry| entry.0)
    }

    /// The likeliest first; of equals the one that was added first.
    pub fn sorted(mut self) -> Self {
        self.list[..self.len].sort_by_key(|entry| -entry.1);
        self
    }

    /// Whether a class is among them.
    pub fn contains(&self, class: u8) -> bool {
        self.list[..self.len].iter().any(|entry| entry.0 == class)
    }
}
