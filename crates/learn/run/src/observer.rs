//! What a run tells of itself while it runs.

use evaluate::Evaluation;
use repr::Clip;

/// Where a run stands, for a progress display.
#[derive(Clone, Debug)]
pub struct Status<'a> {
    /// Name of the stage.
    pub stage: &'a str,
    /// Finished steps of the whole run.
    pub step: usize,
    /// Steps of the whole run.
    pub steps: usize,
    /// Finished epochs.
    pub epoch: usize,
    /// Epochs of the whole run.
    pub epochs: usize,
    /// Mean loss of the running epoch so far.
    pub loss: f64,
    /// PSNR of the running epoch so far, of the training forward pass, in dB; none without pixel terms.
    pub psnr: Option<f64>,
    /// SegNet's and PoseNet's distortion likewise, each where it is asked.
    pub distortions: [Option<f64>; 2],
    /// Speed since this start of the program.
    pub epochs_per_minute: f64,
    /// Seconds that the rest takes at that speed.
    pub seconds_left: f64,
}

/// What a run asks and tells.
pub trait Observer {
    /// When all is in order, before the first step.
    fn begins(&mut self, _clip: &Clip) {}
    /// A line that the user should know.
    fn note(&mut self, _line: &str) {}
    /// After each step.
    fn status(&mut self, status: &Status<'_>);
    /// After the last step: the coefficients of so many samples of all are solved.
    fn solved(&mut self, _sample: usize, _samples: usize) {}
    /// After an evaluation of the quantized moving average.
    fn evaluated(&mut self, epoch: usize, evaluation: &Evaluation, best: bool);
    /// True once the run is to write its checkpoint and stop.
    fn interrupted(&self) -> bool;
}
