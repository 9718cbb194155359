//! A prior: what a model learned from many segments, for those to come.

use std::io::Read;

use crate::error::TokensError;
use crate::model::{MAX_BITS, MAX_TABLE_BITS, Model};
use crate::order::Order;
use crate::version::VERSION;

/// First bytes of every prior.
const MAGIC: [u8; 4] = *b"HTPR";
/// Level at which the state is compressed.
const LEVEL: i32 = 19;

/// What is learned before the first segment: the codebook's order, the weights and maps of the model, its counts where
/// wanted.
///
/// Stored as the difference from a model that knows nothing, compressed with Zstandard.
#[derive(Clone, Debug)]
pub struct Prior {
    order: Order,
    /// Size of the count tables; nothing where the counts are left out.
    table_bits: Option<u32>,
    /// Differences, in the order of [`Model::visit`].
    state: Vec<u16>,
    /// CRC-32 of the file.
    id: u32,
}

impl Prior {
    /// The prior that `model` has become, as the bytes of a file; with its counts or without.
    pub(crate) fn write(mut model: Model, order: &Order, counts: bool) -> Result<Vec<u8>, TokensError> {
        let bits = order.bits();
        let mut fresh = Vec::new();
        Model::new(bits, if counts { model.table_bits() } else { 0 }).visit(counts, &mut |value| fresh.push(*value));
        let mut state = Vec::with_capacity(2 * fresh.len());
        let mut fresh = fresh.into_iter();
        model.visit(counts, &mut |value| {
            state.extend(value.wrapping_sub(fresh.next().unwrap_or_default()).to_le_bytes());
        });
        let order = order.encode().map_err(|_| TokensError::NotAPrior)?;

        let mut bytes = MAGIC.to_vec();
        bytes.extend([VERSION, bits as u8, if counts { model.table_bits() as u8 } else { u8::MAX }]);
        bytes.extend((order.len() as u16).to_le_bytes());
        bytes.extend(order);
        bytes.extend(zstd::bulk::compress(&state, LEVEL)?);
        let checksum = crc32fast::hash(&bytes);
        bytes.extend(checksum.to_le_bytes());
        Ok(bytes)
    }

    /// Reads what [`train`](crate::train) wrote.
    pub fn read(bytes: &[u8]) -> Result<Self, TokensError> {
        let rest = bytes.strip_prefix(&MAGIC).ok_or(TokensError::NotAPrior)?;
        let (body, checksum) = rest.split_last_chunk::<4>().ok_or(TokensError::PriorDamaged)?;
        let id = u32::from_le_bytes(*checksum);
        if crc32fast::hash(&bytes[..bytes.len() - 4]) != id {
            return Err(TokensError::PriorDamaged);
        }
        let [VERSION, bits, table_bits, low, high, rest @ ..] = body else { return Err(TokensError::NotAPrior) };
        let bits = u32::from(*bits);
        let table_bits = (*table_bits != u8::MAX).then_some(u32::from(*table_bits));
        if !(1..=MAX_BITS).contains(&bits) || table_bits.is_some_and(|bits| bits > MAX_TABLE_BITS) {
            return Err(TokensError::NotAPrior);
        }
        let (order, state) =
            rest.split_at_checked(usize::from(u16::from_le_bytes([*low, *high]))).ok_or(TokensError::NotAPrior)?;
        let order = Order::decode(order, bits).map_err(|_| TokensError::NotAPrior)?;

        let mut length = 0;
        Model::new(bits, table_bits.unwrap_or(0)).visit(table_bits.is_some(), &mut |_| length += 1);
        let mut raw = vec![0; 2 * length];
        let mut decoder = zstd::Decoder::new(state).map_err(|_| TokensError::NotAPrior)?;
        decoder.read_exact(&mut raw).map_err(|_| TokensError::NotAPrior)?;
        if !matches!(decoder.read(&mut [0]), Ok(0)) {
            return Err(TokensError::NotAPrior);
        }
        let state = raw.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        Ok(Self { order, table_bits, state, id })
    }

    /// The codebook's order.
    pub(crate) fn order(&self) -> &Order {
        &self.order
    }

    /// What an archive names it by.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// A model that knows what the prior knows; `table_bits` is the size of its tables where the prior has none.
    pub(crate) fn model(&self, table_bits: u32) -> Model {
        let mut model = Model::new(self.order.bits(), self.table_bits.unwrap_or(table_bits));
        let mut state = self.state.iter();
        model.visit(self.table_bits.is_some(), &mut |value| {
            *value = value.wrapping_add(state.next().copied().unwrap_or_default());
        });
        model
    }
}
