//! Lossless coding of class maps by context mixing: maps in, bytes out, and back.
//!
//! A pixel is coded by yes-or-no questions: is it the likeliest class, the next likely one, and so on. What it may be is said by
//! its neighbours, in this map (those coded before it), in the map before (all around it, and at the place that what lies around
//! seems to have moved from) and in the one before that. Where nine neighbours agree, which they do for nearly all pixels, the one
//! question that is worth asking is cheap (`calm`); where they differ, every model that there is gives its opinion (`busy`).
//!
//! Everything is learned on the way, in integers: nothing in here is fitted to a clip, and a map decodes to the same classes on
//! every machine. [`code`] is the one walk over the pixels; with a coder that writes, reads or counts it is encoder, decoder and
//! price.
//!
//! ```
//! # use repr::{ClassMaps, MapShape};
//! // Four maps of two classes, with an edge that moves.
//! let shape = MapShape::new(4, 32, 48, 2)?;
//! let class = |at: usize| u8::from(at % 48 > 20 + at / shape.pixels());
//! let classes = ClassMaps::new(shape, (0..4 * shape.pixels()).map(class).collect())?;
//! let bytes = maps::encode(&classes);
//! assert!(bytes.len() < 200);
//! assert_eq!(maps::decode(&bytes, &shape), Ok(classes));
//! # Ok::<(), repr::RepresentationError>(())
//! ```

mod busy;
mod calm;
mod memory;
mod model;
mod pixel;
mod plane;
mod prices;

use mixing::{BitCoder, Corrupt, Counter, Decoder, Encoder};
use repr::{ClassMaps, MapShape};

use model::Model;
pub use prices::{MapPrices, Prices};

/// Codes all maps of a shape and returns their pixels. `source` are the pixels, `[count, rows, columns]`; a reading coder takes
/// none. `after` is called behind each map.
///
/// # Errors
///
/// A reading coder finds what no encoder writes.
pub fn code<C: BitCoder>(
    coder: &mut C,
    shape: &MapShape,
    source: &[u8],
    mut after: impl FnMut(&mut C),
) -> Result<Vec<u8>, Corrupt> {
    let mut model = Model::new(shape);
    let mut values = Vec::new();
    for map in 0..shape.count() {
        let own = source.get(map * shape.pixels()..).unwrap_or_default();
        model.code(coder, own, &mut values)?;
        after(coder);
    }
    Ok(values)
}

/// Writes maps; their shape must be kept beside.
pub fn encode(maps: &ClassMaps) -> Vec<u8> {
    let mut coder = Encoder::default();
    // A coder that writes takes every bit.
    let coded = code(&mut coder, maps.shape(), maps.values(), |_| ());
    debug_assert!(coded.is_ok());
    coder.finish()
}

/// Reads what [`encode`] wrote for maps of this shape.
///
/// # Errors
///
/// The payload is cut off, goes on too long, or is no encoder's.
pub fn decode(payload: &[u8], shape: &MapShape) -> Result<ClassMaps, Corrupt> {
    let mut coder = Decoder::new(payload)?;
    let values = code(&mut coder, shape, &[], |_| ())?;
    coder.finish()?;
    ClassMaps::new(*shape, values).map_err(|_| Corrupt)
}

/// Bits that each map takes, behind those before it. Writes nothing.
pub fn cost(maps: &ClassMaps) -> Vec<f64> {
    let (mut costs, mut counted) = (Vec::with_capacity(maps.shape().count()), 0.0);
    let after = |counter: &mut Counter| costs.push(counter.bits - std::mem::replace(&mut counted, counter.bits));
    let coded = code(&mut Counter::default(), maps.shape(), maps.values(), after);
    debug_assert!(coded.is_ok());
    costs
}
