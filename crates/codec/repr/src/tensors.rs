//! Named f32 tensors: what a checkpoint holds.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::Architecture;

/// A dense f32 tensor in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Values; their count is the product of `shape`.
    pub values: Vec<f32>,
}

/// Tensors by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tensors(pub BTreeMap<String, Tensor>);

/// Why named tensors do not fit an architecture.
#[derive(Debug, Error, PartialEq)]
pub enum TensorsError {
    /// A tensor that the architecture needs is absent.
    #[error("tensor {0} is missing")]
    Missing(String),
    /// A tensor has another shape than the architecture says.
    #[error("tensor {name} has shape {found:?}, the architecture needs {expected:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape it should have.
        expected: Vec<usize>,
    },
    /// A tensor holds a NaN or an infinity.
    #[error("tensor {0} holds a value that is not finite")]
    NotFinite(String),
}

impl Tensors {
    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Result<&Tensor, TensorsError> {
        self.0.get(name).ok_or_else(|| TensorsError::Missing(name.into()))
    }

    /// Checks that every parameter of `architecture` is there, in its shape and finite.
    pub fn check(&self, architecture: &Architecture) -> Result<(), TensorsError> {
        for parameter in architecture.parameters() {
            let tensor = self.get(&parameter.name)?;
            if tensor.shape != parameter.shape || tensor.values.len() != parameter.len() {
                let (found, expected) = (tensor.shape.clone(), parameter.shape);
                return Err(TensorsError::Shape { name: parameter.name, found, expected });
            }
            if tensor.values.iter().any(|v| !v.is_finite()) {
                return Err(TensorsError::NotFinite(parameter.name));
            }
        }
        Ok(())
    }
}
