//! What lies behind the header: every tensor, then the latents, then the sidecar, in one range-coded run of bits.
//!
//! [`code`] walks a representation and passes each value through the coder, putting back what the coder returns. A
//! writing or counting coder returns what it got; a reading one fills in what the archive says.

use mixing::Corrupt;
use repr::{ParameterRole, Representation};

use crate::costs::ValueCoder;
use crate::tensors::{TensorModel, phases};
use crate::{latents, sidecar};

/// Codes the whole payload; `after` is called behind each tensor, in order, behind the latents and behind the sidecar.
///
/// Architecture and clip of `representation` must be valid. Shapes and values of the parts must fit them, except that the
/// steps of a tensor to be read may have any number.
pub(crate) fn code<C: ValueCoder>(
    representation: &mut Representation,
    coder: &mut C,
    mut after: impl FnMut(&mut C),
) -> Result<(), Corrupt> {
    let architecture = &representation.architecture;
    let mut model = TensorModel::new(architecture);
    // A weight, then the bias behind it.
    let mut of = ParameterRole::StemWeight;
    let phases = phases(architecture).into_iter().flat_map(|phases| [phases; 2]);
    for ((tensor, parameter), phases) in representation.parameters.iter_mut().zip(architecture.parameters()).zip(phases)
    {
        if parameter.role != ParameterRole::Bias {
            of = parameter.role;
        }
        model.code(coder, tensor, of, phases)?;
        after(coder);
    }
    latents::code(coder, &mut representation.latents)?;
    after(coder);
    let samples = representation.clip.samples();
    representation.sidecar = sidecar::code(coder, &representation.sidecar, samples, architecture.latent_dim)?;
    after(coder);
    Ok(())
}
