//! A decoder's parameters as floats.

use std::ops::Index;

use thiserror::Error;

use crate::architecture::Architecture;
use crate::graph::{Parameter, ParameterId};

/// Finite values for every parameter of an architecture, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensors {
    architecture: Architecture,
    values: Vec<Vec<f32>>,
}

/// Why values are not the parameters of an architecture.
#[derive(Debug, Error, PartialEq)]
pub enum TensorsError {
    /// A tensor that the architecture needs is absent.
    #[error("tensor {0} is missing")]
    Missing(String),
    /// There are more than the architecture has.
    #[error("{found} tensors, the architecture has {expected}")]
    Count {
        /// Tensors there are.
        found: usize,
        /// Tensors there should be.
        expected: usize,
    },
    /// A tensor is of another size than the architecture says.
    #[error("tensor {name} has {found} values, the architecture needs {expected}")]
    Length {
        /// The tensor.
        name: String,
        /// Its number of values.
        found: usize,
        /// The number it should have.
        expected: usize,
    },
    /// A tensor holds a NaN or an infinity.
    #[error("tensor {0} holds a value that is not finite")]
    NotFinite(String),
}

impl Tensors {
    /// Takes the values of all parameters, in the architecture's order; each must have its size and be finite.
    pub fn new(architecture: &Architecture, values: Vec<Vec<f32>>) -> Result<Self, TensorsError> {
        let parameters = architecture.parameters();
        if values.len() > parameters.len() {
            return Err(TensorsError::Count { found: values.len(), expected: parameters.len() });
        }
        for (i, parameter) in parameters.iter().enumerate() {
            let name = || parameter.name.clone();
            let values = values.get(i).ok_or_else(|| TensorsError::Missing(name()))?;
            if values.len() != parameter.len() {
                return Err(TensorsError::Length { name: name(), found: values.len(), expected: parameter.len() });
            }
            if values.iter().any(|v| !v.is_finite()) {
                return Err(TensorsError::NotFinite(name()));
            }
        }
        Ok(Self::trusted(architecture, values))
    }

    /// As [`new`](Self::new), of values that cannot but be right.
    pub(crate) fn trusted(architecture: &Architecture, values: Vec<Vec<f32>>) -> Self {
        Self { architecture: architecture.clone(), values }
    }

    /// What they are the parameters of.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Every parameter with its values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Parameter, &[f32])> {
        self.architecture.parameters().iter().zip(self.values.iter().map(Vec::as_slice))
    }

    /// The values of all parameters in order, as [`new`](Self::new) takes them.
    pub fn into_values(self) -> Vec<Vec<f32>> {
        self.values
    }
}

impl Index<ParameterId> for Tensors {
    type Output = [f32];

    /// The values of a parameter of this architecture.
    fn index(&self, id: ParameterId) -> &[f32] {
        &self.values[id.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::LayerTable;

    #[test]
    fn what_an_architecture_does_not_have_is_refused() {
        let architecture = Architecture::new(LayerTable::reference(4, 1)).unwrap();
        let good: Vec<Vec<f32>> = architecture.parameters().iter().map(|p| vec![0.5; p.len()]).collect();
        let refused = |change: fn(&mut Vec<Vec<f32>>)| {
            let mut values = good.clone();
            change(&mut values);
            Tensors::new(&architecture, values).unwrap_err().to_string()
        };
        assert_eq!(refused(|values| drop(values.pop())), "tensor rgb_1.bias is missing");
        assert!(refused(|values| values.push(Vec::new())).contains("the architecture has"));
        assert!(refused(|values| values[1].push(0.0)).contains("stem.bias has 193 values"));
        assert_eq!(refused(|values| values[0][3] = f32::NAN), "tensor stem.weight holds a value that is not finite");
        let tensors = Tensors::new(&architecture, good).unwrap();
        let convolution = architecture.graph().convolutions()[1];
        assert_eq!(tensors[convolution.bias], [0.5; 16]);
    }
}
