//! All that is learned, tensor by tensor.

use repr::Architecture;

/// Name of the latent table.
const LATENTS: &str = "latents";
/// Behind a parameter's name: the natural logarithm of its grid's learned step.
const LOG_STEP: &str = ".step";

/// Which tensor of all that is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// The parameter at this place in the architecture's list.
    Weight(usize),
    /// The logarithm of the step of that parameter's grid.
    LogStep(usize),
    /// The latent table.
    Latents,
}

impl Key {
    /// Name of the tensor, as checkpoints have it; `names` are those of the architecture's parameters.
    pub fn name(self, names: &[String]) -> String {
        let of = |index: usize| names.get(index).map(String::as_str).unwrap_or_default();
        match self {
            Self::Weight(index) => of(index).into(),
            Self::LogStep(index) => format!("{}{LOG_STEP}", of(index)),
            Self::Latents => LATENTS.into(),
        }
    }
}

/// Names of an architecture's parameters, in its order.
pub fn names(architecture: &Architecture) -> Vec<String> {
    architecture.parameters().into_iter().map(|parameter| parameter.name).collect()
}

/// All that is learned: the decoder's parameters, the steps of their grids where these are learned, and the latents. `T` is a
/// tensor on a device, its values on the host, or one of them where it is there.
///
/// A parameter has the shape `[out, fan_in]`, a bias `[out, 1]`, the logarithm of a step `[1, 1]`, the latent table
/// `[samples, latent_dim]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters<T> {
    /// The decoder's parameters, in the architecture's order.
    pub weights: Vec<T>,
    /// The natural logarithm of the step of each one's grid.
    pub log_steps: Option<Vec<T>>,
    /// The latent table.
    pub latents: T,
}

impl<T> Parameters<T> {
    /// One of the tensors.
    pub fn get(&self, key: Key) -> Option<&T> {
        match key {
            Key::Weight(index) => self.weights.get(index),
            Key::LogStep(index) => self.log_steps.as_ref()?.get(index),
            Key::Latents => Some(&self.latents),
        }
    }

    /// One of the tensors.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match key {
            Key::Weight(index) => self.weights.get_mut(index),
            Key::LogStep(index) => self.log_steps.as_mut()?.get_mut(index),
            Key::Latents => Some(&mut self.latents),
        }
    }

    /// Every tensor's key, in the order of their names: the order in which sums over tensors are taken, which is part of what
    /// makes a run repeatable. `names` are those of the architecture's parameters.
    pub fn keys(&self, names: &[String]) -> Vec<Key> {
        let weights = (0..self.weights.len()).map(Key::Weight);
        let steps = (0..self.log_steps.as_ref().map_or(0, Vec::len)).map(Key::LogStep);
        let mut keys: Vec<Key> = weights.chain(steps).chain([Key::Latents]).collect();
        keys.sort_by_cached_key(|key| key.name(names));
        keys
    }

    /// The same tensors, made into something else one by one.
    pub fn map<U>(&self, mut change: impl FnMut(Key, &T) -> U) -> Parameters<U> {
        let weights = self.weights.iter().enumerate().map(|(index, t)| change(Key::Weight(index), t)).collect();
        let log_steps = self.log_steps.as_ref();
        let log_steps =
            log_steps.map(|steps| steps.iter().enumerate().map(|(index, t)| change(Key::LogStep(index), t)).collect());
        Parameters { weights, log_steps, latents: change(Key::Latents, &self.latents) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_by_name_each_step_behind_its_parameter() {
        let names = ["stem.weight", "stem.bias", "rgb_0.weight"].map(String::from);
        let parameters = Parameters { weights: vec![0, 1, 2], log_steps: Some(vec![3, 4, 5]), latents: 6 };
        let keys = parameters.keys(&names);
        let found: Vec<i32> = keys.iter().filter_map(|&key| parameters.get(key).copied()).collect();
        assert_eq!(found, [6, 2, 5, 1, 4, 0, 3]);
        assert_eq!(parameters.map(|key, value| (key, *value)).get(Key::LogStep(1)), Some(&(Key::LogStep(1), 4)));
    }
}
