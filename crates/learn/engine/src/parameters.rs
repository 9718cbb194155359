//! All that is learned, tensor by tensor.

use repr::{Architecture, ParameterId};

/// Name of the latent table.
const LATENTS: &str = "latents";
/// Behind a parameter's name: the natural logarithm of its grid's learned step.
const LOG_STEP: &str = ".step";

/// Which tensor of all that is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A parameter of the architecture.
    Weight(ParameterId),
    /// The logarithm of the step of that parameter's grid.
    LogStep(ParameterId),
    /// The latent table.
    Latents,
}

impl Key {
    /// Name of the tensor, as checkpoints have it.
    pub fn name(self, architecture: &Architecture) -> String {
        let of = |id: ParameterId| architecture.parameters()[id.index()].name.as_str();
        match self {
            Self::Weight(id) => of(id).into(),
            Self::LogStep(id) => format!("{}{LOG_STEP}", of(id)),
            Self::Latents => LATENTS.into(),
        }
    }

    /// Every tensor that is learned, with steps or without, in the order of their names: the order in which sums over tensors are
    /// taken, which is part of what makes a run repeatable.
    pub fn all(architecture: &Architecture, steps: bool) -> Vec<Self> {
        let ids = || architecture.parameters().iter().map(|parameter| parameter.id);
        let log_steps = ids().filter(|_| steps).map(Self::LogStep);
        let mut keys: Vec<Self> = ids().map(Self::Weight).chain(log_steps).chain([Self::Latents]).collect();
        keys.sort_by_cached_key(|key| key.name(architecture));
        keys
    }
}

/// All that is learned: the decoder's parameters, the steps of their grids where these are learned, and the latents. `T` is a
/// tensor on a device, its values on the host, or one of them where it is there.
///
/// A parameter has the shape `[out, fan_in]`, a bias `[out, 1]`, the logarithm of a step `[1, 1]`, the latent table
/// `[latents, latent_dim]`.
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
            Key::Weight(id) => self.weights.get(id.index()),
            Key::LogStep(id) => self.log_steps.as_ref()?.get(id.index()),
            Key::Latents => Some(&self.latents),
        }
    }

    /// One of the tensors.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match key {
            Key::Weight(id) => self.weights.get_mut(id.index()),
            Key::LogStep(id) => self.log_steps.as_mut()?.get_mut(id.index()),
            Key::Latents => Some(&mut self.latents),
        }
    }

    /// All tensors.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.weights.iter().chain(self.log_steps.iter().flatten()).chain([&self.latents])
    }

    /// The same tensors, made into something else one by one.
    pub fn map<U>(&self, change: impl FnMut(&T) -> U + Clone) -> Parameters<U> {
        Parameters {
            weights: self.weights.iter().map(change.clone()).collect(),
            log_steps: self.log_steps.as_ref().map(|steps| steps.iter().map(change.clone()).collect()),
            latents: change.clone()(&self.latents),
        }
    }
}

impl Parameters<Vec<f32>> {
    /// Whether all values are numbers.
    pub fn is_finite(&self) -> bool {
        self.iter().flatten().all(|value| value.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use repr::{LayerTable, Stem};

    #[test]
    fn keys_come_by_name_each_step_behind_its_parameter() {
        let table = LayerTable::new(1, Stem::new(1, 1, 1), Vec::new());
        let architecture = Architecture::new(table).unwrap();
        let names: Vec<String> = Key::all(&architecture, true).iter().map(|key| key.name(&architecture)).collect();
        assert_eq!(names[..3], ["latents", "rgb_0.bias", "rgb_0.bias.step"]);
        assert_eq!(names[names.len() - 2..], ["stem.weight", "stem.weight.step"]);
        assert_eq!((names.len(), Key::all(&architecture, false).len()), (13, 7));
        let count = architecture.parameters().len();
        let mut parameters = Parameters { weights: vec![0; count], log_steps: Some(vec![1; count]), latents: 2 };
        *parameters.get_mut(Key::LogStep(architecture.parameters()[1].id)).unwrap() = 7;
        let doubled = parameters.map(|value| 2 * value);
        assert_eq!((doubled.latents, doubled.log_steps.unwrap()[1], doubled.weights[1]), (4, 14, 0));
    }
}
