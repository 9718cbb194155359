//! What else could stand in an archive, and what it would cost.

use mixing::{BitCoder, Corrupt, Probability};
use repr::Representation;

use crate::payload;
use crate::value::{REACH, ValueCoder, Window};

/// Bits that the levels around each value of a representation would take in its archive.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelCosts {
    /// Of each tensor, in the order of the representation's parameters.
    pub tensors: Vec<ValueCosts>,
    /// Of the latents.
    pub latents: ValueCosts,
}

/// Bits that the levels around each of a list of values would take.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueCosts {
    values: Vec<i16>,
    windows: Vec<Window>,
}

impl ValueCosts {
    /// Bits of `level` in the place of value `index` if all before it stay as they are. A level more than four from the value
    /// that stands there costs what the fourth does, and one that the width cannot hold is infinitely dear; 0 where there is
    /// no value.
    pub fn bits(&self, index: usize, level: i32) -> f32 {
        let Some((&value, window)) = self.values.get(index).zip(self.windows.get(index)) else { return 0.0 };
        let place = level.saturating_sub(i32::from(value)).saturating_add(REACH as i32);
        window[place.clamp(0, 2 * REACH as i32) as usize]
    }
}

/// Asks the archive's model what each value and the levels around it cost. The model learns from the values as they are:
/// those of the values themselves add up to what [`cost`](crate::cost) says, widths and steps aside.
pub fn level_costs(representation: &Representation) -> LevelCosts {
    let tensors = representation.parameters.iter().map(|tensor| tensor.values.clone());
    let latents = representation.latents.values.iter().map(|&value| value as i16).collect();
    let blank = |values: Vec<i16>| ValueCosts { windows: vec![[0.0; 2 * REACH + 1]; values.len()], values };
    let mut probe = Probe { lists: tensors.chain([latents]).map(blank).collect(), at: 0 };
    let last = probe.lists.len() - 1;
    payload::pass(representation, &mut probe, |probe| probe.at = (probe.at + 1).min(last));
    let latents = probe.lists.pop().unwrap_or_else(|| blank(Vec::new()));
    LevelCosts { tensors: probe.lists, latents }
}

/// Notes what values cost, and codes nothing.
struct Probe {
    /// Of each tensor, then of the latents.
    lists: Vec<ValueCosts>,
    /// Which one is being coded.
    at: usize,
}

impl BitCoder for Probe {
    fn code(&mut self, bit: bool, _: Probability) -> Result<bool, Corrupt> {
        Ok(bit)
    }
}

impl ValueCoder for Probe {
    fn value(&mut self, index: usize, costs: impl FnOnce() -> Window) {
        if let Some(window) = self.lists.get_mut(self.at).and_then(|list| list.windows.get_mut(index)) {
            *window = costs();
        }
    }
}
