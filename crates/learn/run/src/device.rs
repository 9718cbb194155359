//! The device of a run, chosen once at the top.

use std::fmt;
use std::str::FromStr;

use burn_autodiff::Autodiff;
use burn_flex::Flex;

use crate::error::RunError;
use crate::observer::Observer;
use crate::open::Job;
use crate::session::{Outcome, run_on};

/// Where a run computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// The processor, through burn's flex backend.
    Cpu,
    /// An NVIDIA GPU; needs the feature `cuda`.
    Cuda,
    /// Any GPU with Vulkan, Metal or DirectX 12; needs the feature `wgpu`.
    Wgpu,
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda),
            "wgpu" => Ok(Self::Wgpu),
            _ => Err("must be cpu, cuda or wgpu".into()),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Wgpu => "wgpu",
        })
    }
}

/// Runs a job on the chosen device, until all stages are done or the observer interrupts.
pub fn run(device: Device, job: Job<'_>, observer: &mut dyn Observer) -> Result<Outcome, RunError> {
    match device {
        Device::Cpu => run_on::<Autodiff<Flex>>(job, &Default::default(), observer),
        #[cfg(feature = "cuda")]
        Device::Cuda => run_on::<Autodiff<burn_cuda::Cuda>>(job, &available::<burn_cuda::Cuda>(device)?, observer),
        #[cfg(feature = "wgpu")]
        Device::Wgpu => run_on::<Autodiff<burn_wgpu::Wgpu>>(job, &available::<burn_wgpu::Wgpu>(device)?, observer),
        #[allow(unreachable_patterns, reason = "reachable without the features")]
        _ => Err(RunError::Device(format!(
            "this program was built without {device}; build it with --features {device}, or use --device cpu"
        ))),
    }
}

/// The backend's default device, if it can compute. The backends panic where there is no driver or adapter, and have no
/// call that asks first.
#[cfg(any(feature = "cuda", feature = "wgpu"))]
pub fn available<B: burn_core::tensor::backend::Backend>(device: Device) -> Result<B::Device, RunError> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let probe = std::panic::catch_unwind(|| {
        let device = B::Device::default();
        let sum = burn_core::tensor::Tensor::<B, 1>::ones([2], &device).sum().into_data().iter::<f32>().next();
        (sum == Some(2.0)).then_some(device)
    });
    std::panic::set_hook(hook);
    match probe {
        Ok(Some(device)) => Ok(device),
        _ => Err(RunError::Device(format!(
            "no usable {device} device here (no driver, or no adapter); install its driver, or use --device cpu"
        ))),
    }
}
