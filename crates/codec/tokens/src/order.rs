//! The order of the codebook: which code stands for which token.
//!
//! Numbers of a VQ codebook mean nothing. The coder decides a token bit by bit, so it learns faster when tokens that replace
//! each other share the beginning of their codes. [`Order::learn`] finds such codes from what follows what at the same
//! place, by splitting the tokens in halves that hang together, again and again.

use mixing::{BitCoder, Corrupt, Decoder, Encoder, Probability};

/// Most bits of a token for which an order is learned: the matrix of who follows whom has `4^bits` entries.
const MAX_BITS: u32 = 11;
/// Times that a token must give way to another one, for each of the codebook: an order takes about `bits - 2.4` bits for each
/// and saves about half a bit each time.
const WORTHWHILE: usize = 26;
/// How much a pair of tokens counts that stood at the same place 1, 2, 3 frames apart.
const WEIGHTS: [f32; 3] = [1.0, 0.7, 0.5];
/// Power iterations for the split of one set of tokens.
const ITERATIONS: usize = 50;
/// Most exchanges of two tokens between two halves.
const EXCHANGES: usize = 400;

/// A permutation of all tokens of some bits. Of the two halves of each subtree, the one with the least token comes first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    bits: u32,
    /// The token of each code; empty: each is its own.
    tokens: Vec<u16>,
    /// The code of each token; empty likewise.
    codes: Vec<u16>,
}

impl Order {
    /// Every token is its own code.
    pub fn identity(bits: u32) -> Self {
        Self { bits, tokens: Vec::new(), codes: Vec::new() }
    }

    /// From the token of each code.
    fn new(bits: u32, tokens: Vec<u16>) -> Self {
        let mut codes = vec![0; tokens.len()];
        for (code, &token) in tokens.iter().enumerate() {
            codes[usize::from(token)] = code as u16;
        }
        Self { bits, tokens, codes }
    }

    /// Bits of a token and of a code.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// The code of a token, which must be below `2^bits`.
    pub fn code(&self, token: u16) -> u16 {
        if self.codes.is_empty() { token } else { self.codes[usize::from(token)] }
    }

    /// The token of a code, which must be below `2^bits`.
    pub fn token(&self, code: u16) -> u16 {
        if self.tokens.is_empty() { code } else { self.tokens[usize::from(code)] }
    }

    /// The order for videos of `count` tokens in all, learned from those of `sample`, each with the length of its frames;
    /// tokens are below `2^bits`. The identity where a better one would not pay for itself.
    pub fn learn(bits: u32, count: usize, sample: &[(&[u16], usize)]) -> Self {
        let (mut seen, mut changed) = (0, 0);
        for &(tokens, frame) in sample {
            let later = tokens.get(frame..).unwrap_or_default();
            seen += tokens.len();
            changed += tokens.iter().zip(later).filter(|(a, b)| a != b).count();
        }
        let changed = count as f64 * changed as f64 / seen.max(1) as f64;
        if !(2..=MAX_BITS).contains(&bits) || changed < (WORTHWHILE << bits) as f64 {
            return Self::identity(bits);
        }
        let mut tokens = Vec::new();
        split(&Affinity::new(1 << bits, sample), (0..1 << bits).collect(), &mut tokens);
        Self::new(bits, tokens)
    }

    /// The order as bytes; about `log2((2^bits)!) - 2^bits` bits.
    pub fn encode(&self) -> Result<Vec<u8>, Corrupt> {
        let mut encoder = Encoder::default();
        Self::code_self(&mut encoder, self)?;
        Ok(encoder.finish())
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub fn decode(bytes: &[u8], bits: u32) -> Result<Self, Corrupt> {
        let mut decoder = Decoder::new(bytes)?;
        let order = Self::code_self(&mut decoder, &Self::identity(bits))?;
        decoder.finish()?;
        Ok(order)
    }

    fn code_self(coder: &mut impl BitCoder, order: &Self) -> Result<Self, Corrupt> {
        let bits = order.bits;
        let learned = coder.code(!order.tokens.is_empty(), Probability::clamped(1 << 15))?;
        if !learned {
            return Ok(Self::identity(bits));
        }
        if bits > MAX_BITS {
            return Err(Corrupt);
        }
        let mut tokens = Vec::with_capacity(1 << bits);
        order.code_halves(coder, (0..1 << bits).map(|token| token as u16).collect(), &mut tokens)?;
        Ok(Self::new(bits, tokens))
    }

    /// Codes which tokens of a subtree, `set` in ascending order, are in its first half, and so on below; appends them to
    /// `tokens`. All halves are equally likely, so there is nothing to gain.
    fn code_halves(&self, coder: &mut impl BitCoder, set: Vec<u16>, tokens: &mut Vec<u16>) -> Result<(), Corrupt> {
        let half = set.len() / 2;
        let Some((&least, others)) = set.split_first().filter(|_| half > 0) else {
            tokens.extend(set);
            return Ok(());
        };
        let side = |token| usize::from(self.code(token)) / half;
        let (mut first, mut second) = (vec![least], Vec::new());
        for (i, &token) in others.iter().enumerate() {
            let (wanted, left) = (half - first.len(), others.len() - i);
            let chosen = if wanted == 0 || wanted == left {
                wanted > 0
            } else {
                coder.code(side(token) == side(least), Probability::clamped(((wanted << 16) / left) as i32))?
            };
            if chosen { &mut first } else { &mut second }.push(token);
        }
        self.code_halves(coder, first, tokens)?;
        self.code_halves(coder, second, tokens)
    }
}

/// How strongly tokens hang together: how often one replaced the other at its place, by how frequent both are.
struct Affinity {
    size: usize,
    matrix: Vec<f32>,
}

impl Affinity {
    fn new(size: usize, sample: &[(&[u16], usize)]) -> Self {
        let mut matrix = vec![0f32; size * size];
        for &(tokens, frame) in sample {
            for (i, weight) in WEIGHTS.iter().enumerate() {
                let later = tokens.get(frame * (i + 1)..).unwrap_or_default();
                for (&a, &b) in tokens.iter().zip(later).filter(|(a, b)| a != b) {
                    matrix[usize::from(a) * size + usize::from(b)] += weight;
                    matrix[usize::from(b) * size + usize::from(a)] += weight;
                }
            }
        }
        let scale: Vec<f32> =
            matrix.chunks_exact(size).map(|row| 1.0 / (1.0 + row.iter().sum::<f32>()).sqrt()).collect();
        for (row, a) in matrix.chunks_exact_mut(size).zip(&scale) {
            row.iter_mut().zip(&scale).for_each(|(value, b)| *value *= a * b);
        }
        Self { size, matrix }
    }

    /// The affinities among `set` alone.
    fn among(&self, set: &[usize]) -> Self {
        let row = |&a: &usize| set.iter().map(move |&b| self.matrix[a * self.size + b]);
        Self { size: set.len(), matrix: set.iter().flat_map(row).collect() }
    }

    fn row(&self, i: usize) -> &[f32] {
        &self.matrix[i * self.size..][..self.size]
    }
}

/// Appends the tokens of `set`, a power of two many in ascending order, halves that hang together side by side.
fn split(affinity: &Affinity, set: Vec<usize>, tokens: &mut Vec<u16>) {
    if set.len() <= 2 {
        tokens.extend(set.into_iter().map(|token| token as u16));
        return;
    }
    let side = halves(affinity);
    // Which half comes first means nothing, and an agreement on it need not be coded: the one with the least token does.
    for half in [side[0], !side[0]] {
        let members: Vec<usize> = (0..set.len()).filter(|&i| side[i] == half).collect();
        let tokens_of_half = members.iter().map(|&i| set[i]).collect();
        split(&affinity.among(&members), tokens_of_half, tokens);
    }
}

/// Two halves of the same size with little affinity between them: by the second eigenvector of the normalized affinities
/// (Shi and Malik, "Normalized cuts and image segmentation", 2000), then by exchanges as long as one helps (Kernighan and
/// Lin, 1970).
fn halves(affinity: &Affinity) -> Vec<bool> {
    let n = affinity.size;
    let degree: Vec<f32> = (0..n).map(|i| affinity.row(i).iter().sum::<f32>() + 1e-6).collect();
    let root: Vec<f32> = degree.iter().map(|degree| degree.sqrt()).collect();
    // Any start that is not orthogonal to what is sought; a fixed one gives the same archive every time.
    let mut vector: Vec<f32> =
        (0..n).map(|i| (i.wrapping_mul(0x9e37_79b1) >> 8 & 0xffff) as f32 / 65536.0 - 0.5).collect();
    let mut scaled = vec![0.0; n];
    for _ in 0..ITERATIONS {
        // The first eigenvector, the square roots of the degrees, is known and taken out.
        let share = dot(&vector, &root) / dot(&root, &root);
        vector.iter_mut().zip(&root).for_each(|(value, root)| *value -= share * root);
        scaled.iter_mut().zip(&vector).zip(&root).for_each(|((scaled, value), root)| *scaled = value / root);
        // Half of the identity makes all eigenvalues positive: the largest one wins, not the largest magnitude.
        let next: Vec<f32> = (0..n).map(|i| 0.5 * vector[i] + 0.5 * dot(affinity.row(i), &scaled) / root[i]).collect();
        let norm = dot(&next, &next).sqrt().max(f32::MIN_POSITIVE);
        vector = next.into_iter().map(|value| value / norm).collect();
    }
    let mut ranks: Vec<usize> = (0..n).collect();
    ranks.sort_by(|&a, &b| (vector[a] / root[a]).total_cmp(&(vector[b] / root[b])).then(a.cmp(&b)));
    let mut side = vec![-1f32; n];
    ranks[..n / 2].iter().for_each(|&i| side[i] = 1.0);
    exchange(affinity, &mut side);
    side.into_iter().map(|side| side > 0.0).collect()
}

/// Exchanges the two tokens that want it most between the sides 1 and -1, until none do.
fn exchange(affinity: &Affinity, side: &mut [f32]) {
    let n = side.len();
    // How much more each hangs together with side 1 than with side -1.
    let mut pull: Vec<f32> = (0..n).map(|i| dot(affinity.row(i), side)).collect();
    for _ in 0..EXCHANGES {
        let keenest = |wanted: f32| {
            let members = (0..n).filter(|&i| side[i] == wanted);
            members.max_by(|&a, &b| (-wanted * pull[a]).total_cmp(&(-wanted * pull[b])).then(b.cmp(&a)))
        };
        let Some((a, b)) = keenest(1.0).zip(keenest(-1.0)) else { return };
        if pull[b] - pull[a] - 2.0 * affinity.row(a)[b] <= 1e-6 {
            return;
        }
        (side[a], side[b]) = (-1.0, 1.0);
        let (row_a, row_b) = (affinity.row(a), affinity.row(b));
        pull.iter_mut().zip(row_a).zip(row_b).for_each(|((pull, a), b)| *pull += 2.0 * (b - a));
    }
}

/// The scalar product, summed in eight lanes.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a_chunks, b_chunks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(a, b)| a * b).sum();
    let mut lanes = [0f32; 8];
    for (a, b) in a_chunks.zip(b_chunks) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += a * b;
        }
    }
    lanes.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A video in which each token is replaced only by those of the same remainder by `groups`.
    fn flicker(bits: u32, groups: usize, frames: usize) -> Vec<u16> {
        let (frame, count) = (64, 1usize << bits);
        let mut seed = 1u32;
        let token = |i: usize| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((seed >> 16) as usize % (count / groups) * groups + i % frame % groups) as u16
        };
        (0..frames * frame).map(token).collect()
    }

    #[test]
    fn tokens_that_replace_each_other_share_their_beginning() {
        let video = flicker(6, 4, 200);
        let order = Order::learn(6, video.len(), &[(&video, 64)]);
        for token in 0..64 {
            assert_eq!(order.code(token) >> 4, order.code(token % 4) >> 4, "{token}");
            assert_eq!(order.token(order.code(token)), token);
        }
    }

    #[test]
    fn an_order_comes_back_in_as_many_bits_as_there_are_orders() {
        let video = flicker(8, 8, 400);
        let order = Order::learn(8, video.len(), &[(&video, 64)]);
        assert!(!order.tokens.is_empty());
        let payload = order.encode().unwrap();
        // A choice of which half comes first is saved at each of the 255 nodes.
        let bits = (1..=256).map(|n| f64::from(n).log2()).sum::<f64>() - 255.0;
        assert!((payload.len() as f64) < bits / 8.0 + 4.0, "{} bytes", payload.len());
        assert_eq!(Order::decode(&payload, 8), Ok(order));
    }

    #[test]
    fn a_small_sample_keeps_the_numbers() {
        assert_eq!(Order::learn(10, 3, &[(&[1, 2, 3], 3)]), Order::identity(10));
        // What never changes has nothing to teach.
        assert_eq!(Order::learn(10, 1 << 24, &[(&[5; 1 << 12], 64)]), Order::identity(10));
        assert_eq!(Order::learn(16, 1 << 24, &[(&[5; 1 << 16], 64)]), Order::identity(16));
    }
}
