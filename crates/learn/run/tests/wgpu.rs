//! The same training on a GPU backend and on the processor: losses agree step by step. Needs an adapter; a software one
//! (the package mesa-vulkan-drivers) does.

#![cfg(feature = "wgpu")]

mod common;

use common::{Watch, recipe, run_on, scene};
use report::RunFolder;
use run::{Device, Outcome, RunError};

#[test]
fn fifty_steps_follow_the_processors_losses() {
    let base = tempfile::tempdir().unwrap();
    let mut config = recipe();
    // Three steps an epoch: 51 steps, the last 6 of them on quantized weights.
    (config.stage[0].epochs, config.stage[1].epochs) = (15, 2);
    let losses = |device: Device| -> Result<Vec<f64>, RunError> {
        let folder = RunFolder::new(base.path().join(device.to_string()));
        let mut watch = Watch::default();
        let outcome = run_on(device, &config, &scene(11), None, &folder, false, &mut watch)?;
        assert!(matches!(outcome, Outcome::Finished { .. }));
        Ok(watch.losses)
    };
    let gpu = match losses(Device::Wgpu) {
        Err(RunError::Device(message)) => {
            testdata::skip(testdata::Need::Gpu, message);
            return;
        }
        result => result.unwrap(),
    };
    let cpu = losses(Device::Cpu).unwrap();
    assert_eq!((cpu.len(), gpu.len()), (51, 51));
    for (step, (cpu, gpu)) in cpu.iter().zip(&gpu).enumerate() {
        assert!((cpu - gpu).abs() <= 0.01 * cpu, "step {step}: {cpu} on the processor, {gpu} on the GPU");
    }
}
