//! What layers are made of besides convolutions.

use serde::{Deserialize, Serialize};

/// What a layer does with every value at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nonlinearity {
    /// The sine, see [`sin`](crate::sin).
    #[default]
    Sin,
    /// `x * (1 + erf(x / sqrt(2))) / 2`, see [`gelu`](crate::gelu); Hendrycks and Gimpel, "Gaussian error linear units", 2016.
    Gelu,
}

/// What an upsampling layer adds to its shuffled convolution, with what it takes for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip<T> {
    /// Nothing.
    None,
    /// Its input, enlarged bilinearly.
    Input,
    /// Its input behind a 1x1 convolution, enlarged bilinearly.
    Convolution(T),
}

impl<T> Skip<T> {
    /// The convolution, where there is one.
    pub fn convolution(self) -> Option<T> {
        match self {
            Self::Convolution(convolution) => Some(convolution),
            Self::None | Self::Input => None,
        }
    }

    /// The same with something else for the convolution.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Skip<U> {
        match self {
            Self::None => Skip::None,
            Self::Input => Skip::Input,
            Self::Convolution(convolution) => Skip::Convolution(f(convolution)),
        }
    }

    /// As [`Option::as_ref`].
    pub fn as_ref(&self) -> Skip<&T> {
        match self {
            Self::None => Skip::None,
            Self::Input => Skip::Input,
            Self::Convolution(convolution) => Skip::Convolution(convolution),
        }
    }
}
