use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;

use repr::Representation;
use serde::{Deserialize, Serialize};

/// What a [`Share`] of an archive holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// Magic, version, layer table and clip.
    Header,
    /// One parameter tensor with its bit width and steps.
    Tensor,
    /// The latents with their minima and steps.
    Latents,
    /// The last values of the latents, a carrier's coefficients, with their minima and steps, where there is a carrier.
    Coefficients,
    /// The corrections, where there are any.
    Sidecar,
    /// The class maps, where there are any.
    Maps,
    /// Length, checksum and the end of the range-coded payload.
    Framing,
}

/// One row of a [`Budget`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// What it is.
    pub section: Section,
    /// Name of the tensor, or of the section.
    pub name: String,
    /// Bits of a stored integer; 0 where they have no fixed number.
    pub bits: u8,
    /// Integers in it; for the sidecar, corrections.
    pub values: usize,
    /// Bytes it takes; a fraction, since all of them share one range coder.
    pub bytes: f64,
    /// Bytes that its integers would take at their order-0 entropy, the histogram known beforehand (for latents and coefficients: of
    /// the differences in time, modulo 65536, per dimension; for the sidecar: of target and amount, the samples known). A coder
    /// that learns cannot quite reach it, one that finds dependences can fall below.
    pub entropy_bytes: f64,
}

impl Share {
    /// Bits that one of its integers takes; 0 for a section without any.
    pub fn bits_per_value(&self) -> f64 {
        if self.values == 0 { 0.0 } else { self.bytes * 8.0 / self.values as f64 }
    }
}

/// Where every byte of an archive goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Size of the archive: the sum over all shares.
    pub bytes: usize,
    /// Header, tensors in order, latents, coefficients (if any), sidecar (if any), class maps (if any), framing.
    pub shares: Vec<Share>,
}

impl Budget {
    /// `costs` are the bits of each tensor, of the latents, of the coefficients and of the sidecar, `maps` the bytes of the class maps;
    /// whatever is left of the archive is framing.
    pub(crate) fn new(
        bytes: usize,
        header: usize,
        maps: usize,
        representation: &Representation,
        costs: &[f64],
    ) -> Self {
        let plain = |section, name: &str, bytes| Share {
            section,
            name: name.into(),
            bits: 0,
            values: 0,
            bytes,
            entropy_bytes: 0.0,
        };
        let parameters = representation.architecture.parameters();
        let tensors = representation.parameters.iter().zip(parameters).map(|(tensor, parameter)| Share {
            bits: tensor.bits,
            values: tensor.values.len(),
            entropy_bytes: entropy_bytes(tensor.values.iter().copied()),
            ..plain(Section::Tensor, &parameter.name, 0.0)
        });
        let (latents, architecture) = (&representation.latents, &representation.architecture);
        let (dim, bits) = (latents.dim(), architecture.latent_bits());
        let numbers = dim - architecture.coefficients();
        let of_dimensions = |section, name, dimensions: Range<usize>| {
            let bits = *bits.get(dimensions.start)?;
            let entropy = |d| entropy_bytes(differences(&latents.values, dim, d));
            Some(Share {
                bits,
                values: latents.values.len() / dim * dimensions.len(),
                entropy_bytes: dimensions.map(entropy).sum(),
                ..plain(section, name, 0.0)
            })
        };
        let latents = of_dimensions(Section::Latents, "latents", 0..numbers);
        let coefficients = of_dimensions(Section::Coefficients, "coefficients", numbers..dim);
        let corrections = representation.sidecar.corrections();
        let amounts = corrections.iter().map(|correction| (correction.target, correction.amount));
        let sidecar = (!corrections.is_empty()).then(|| Share {
            values: corrections.len(),
            entropy_bytes: entropy_bytes(amounts),
            ..plain(Section::Sidecar, "sidecar", 0.0)
        });
        let coded = tensors
            .chain(latents)
            .chain(coefficients)
            .chain(sidecar)
            .zip(costs)
            .map(|(share, bits)| Share { bytes: bits / 8.0, ..share });

        let mut shares = vec![plain(Section::Header, "header", header as f64)];
        shares.extend(coded);
        shares.extend(representation.maps.as_ref().map(|classes| Share {
            values: classes.values().len(),
            entropy_bytes: entropy_bytes(classes.values().iter().copied()),
            ..plain(Section::Maps, "class maps", maps as f64)
        }));
        let spent: f64 = shares.iter().map(|share| share.bytes).sum();
        shares.push(plain(Section::Framing, "framing", bytes as f64 - spent));
        Self { bytes, shares }
    }
}

/// One dimension's differences in time.
fn differences(values: &[u16], dim: usize, dimension: usize) -> impl Iterator<Item = u16> {
    let column = values.iter().skip(dimension).step_by(dim).copied();
    column.scan(0u16, |before, value| Some(value.wrapping_sub(std::mem::replace(before, value))))
}

fn entropy_bytes<T: Hash + Eq>(values: impl Iterator<Item = T>) -> f64 {
    let mut histogram = HashMap::new();
    let mut count = 0.0;
    for value in values {
        *histogram.entry(value).or_insert(0.0) += 1.0;
        count += 1.0;
    }
    // Sorted, so that the sum does not depend on the map's order.
    let mut counts: Vec<f64> = histogram.into_values().collect();
    counts.sort_by(f64::total_cmp);
    counts.iter().map(|n| n * (count / n).log2()).sum::<f64>() / 8.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_of_known_histograms() {
        assert_eq!(entropy_bytes([5; 100].into_iter()), 0.0);
        assert_eq!(entropy_bytes((0..256).chain(0..256)), 512.0);
        assert_eq!(entropy_bytes(differences(&[1, 9, 2, 9, 3, 9, 4, 9], 2, 0)), 0.0);
    }
}
