//! The sidecar: for each target of each sample whether it is corrected, and by how much.

use mixing::{BitCoder, Corrupt};
use repr::{CorrectionTarget, MAX_AMOUNT, Sidecar, limits};

use crate::adaptive::{Adaptive, Field};
use crate::family_mixer::{FamilyMixer, ONE};

/// Bits of a magnitude less one.
const BITS: u8 = 5;
const _: () = assert!(MAX_AMOUNT as u32 <= 1 << BITS);

/// Corrections of one sample beyond which their number tells nothing more.
const CROWD: usize = 3;

/// Codes the corrections of a clip and returns them.
pub(crate) fn code(
    coder: &mut impl BitCoder,
    sidecar: &Sidecar,
    samples: usize,
    sample_dim: usize,
) -> Result<Sidecar, Corrupt> {
    let mut coded = Sidecar::default();
    let mut any = Adaptive::NEW;
    if !any.code(coder, !sidecar.corrections().is_empty())? {
        return Ok(coded);
    }
    let targets: Vec<CorrectionTarget> = CorrectionTarget::all(sample_dim).collect();
    let mut model = SidecarModel::new(targets.len());
    for sample in 0..samples as u32 {
        let mut corrected = 0;
        for (i, &target) in targets.iter().enumerate() {
            let amount = model.code(coder, i, target, corrected, sidecar.amount(sample, target))?;
            corrected += usize::from(amount != 0);
            coded.set(sample, target, amount);
        }
        if coded.corrections().len() > limits::CORRECTIONS {
            return Err(Corrupt);
        }
    }
    if coded.corrections().is_empty() { Err(Corrupt) } else { Ok(coded) }
}

struct SidecarModel {
    /// Whether a target is corrected, by what was corrected before it in the sample...
    by_kind: [[Adaptive; CROWD + 1]; 2],
    /// ...by the target...
    by_target: Vec<Adaptive>,
    /// ...and by whether it was in the sample before.
    by_past: [Adaptive; 2],
    mixer: FamilyMixer<3, 2>,
    /// Amount of each target in the sample before.
    last: Vec<i8>,
    /// Signs, by kind and by the last one's: none, positive, negative.
    signs: [[Adaptive; 3]; 2],
    magnitudes: [Field; 2],
}

impl SidecarModel {
    fn new(targets: usize) -> Self {
        Self {
            by_kind: [[Adaptive::NEW; CROWD + 1]; 2],
            by_target: vec![Adaptive::NEW; targets],
            by_past: [Adaptive::NEW; 2],
            mixer: FamilyMixer::new([CROWD + 1, 1], [ONE / 3; 3]),
            last: vec![0; targets],
            signs: [[Adaptive::NEW; 3]; 2],
            magnitudes: [Field::new(BITS), Field::new(BITS)],
        }
    }

    /// Codes the amount of a target, the `i`-th, in a sample of which `corrected` targets before it have been corrected.
    fn code(
        &mut self,
        coder: &mut impl BitCoder,
        i: usize,
        target: CorrectionTarget,
        corrected: usize,
        amount: i8,
    ) -> Result<i8, Corrupt> {
        let kind = usize::from(matches!(target, CorrectionTarget::Frame { .. }));
        let crowd = corrected.min(CROWD);
        let last = std::mem::take(&mut self.last[i]);
        let experts =
            [&mut self.by_kind[kind][crowd], &mut self.by_target[i], &mut self.by_past[usize::from(last != 0)]];
        let odds = experts.each_ref().map(|expert| expert.odds());
        let set = self.mixer.code(coder, [crowd, 0], &odds, amount != 0)?;
        experts.into_iter().for_each(|expert| expert.learn(set));
        if !set {
            return Ok(0);
        }
        let negative = self.signs[kind][last.signum().rem_euclid(3) as usize].code(coder, amount < 0)?;
        let magnitude =
            self.magnitudes[kind].code(coder, u32::from(amount.unsigned_abs().saturating_sub(1)))? as i8 + 1;
        if magnitude > MAX_AMOUNT {
            return Err(Corrupt);
        }
        self.last[i] = if negative { -magnitude } else { magnitude };
        Ok(self.last[i])
    }
}
