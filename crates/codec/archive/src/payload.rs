//! What lies behind header and class maps: every tensor, then the latents, a carrier's coefficients behind the others, then the sidecar,
//! in one range-coded run of bits.
//!
//! [`code`] walks a representation's parts and passes each value through the coder, putting back what the coder returns. A
//! writing or counting coder returns what it got; a reading one fills in what the archive says.

use mixing::Corrupt;
use repr::{Representation, RepresentationParts};

use crate::tensors::TensorModel;
use crate::value::ValueCoder;
use crate::{latents, sidecar};

/// Codes the whole payload; `after` is called behind each tensor, in order, behind the latents, behind a carrier's coefficients
/// where there is a carrier, and behind the sidecar.
///
/// The parts must have the numbers of values that their architecture and clip say, except that the steps of a tensor to be read
/// may have any number.
pub(crate) fn code<C: ValueCoder>(
    parts: &mut RepresentationParts,
    coder: &mut C,
    mut after: impl FnMut(&mut C),
) -> Result<(), Corrupt> {
    let RepresentationParts { architecture, clip, parameters, latents, sidecar, maps: _ } = parts;
    let mut model = TensorModel::new();
    for (tensor, parameter) in parameters.iter_mut().zip(architecture.parameters()) {
        model.code(coder, parameter, tensor)?;
        after(coder);
    }
    let (dim, coefficients) = (architecture.latent_dim(), architecture.coefficients());
    let bits = architecture.latent_bits();
    for dimensions in [0..dim - coefficients, dim - coefficients..dim] {
        if let Some(&bits) = bits.get(dimensions.start) {
            latents::code(coder, latents, dimensions, bits)?;
            after(coder);
        }
    }
    *sidecar = sidecar::code(coder, sidecar, clip.samples(), architecture.sample_dim())?;
    after(coder);
    Ok(())
}

/// Passes a representation through a coder that returns what it gets: one that writes, counts or listens.
pub(crate) fn pass<C: ValueCoder>(representation: &Representation, coder: &mut C, after: impl FnMut(&mut C)) {
    let coded = code(&mut representation.clone().into_parts(), coder, after);
    // Every value of a representation has a code, and what only writes, counts or listens finds nothing corrupt.
    debug_assert_eq!(coded, Ok(()));
}
