//! How the learning rates of a stage rise and fall.

use recipe::TrainingStage;

/// The share of its learning rates that a stage uses at `step` (from 0) of `total`: linear warm-up, then a cosine down to
/// the share that is left.
pub fn schedule(stage: &TrainingStage, step: usize, total: usize) -> f64 {
    let warm_up = stage.rates.warm_up * total as f64 / stage.epochs.get() as f64;
    if (step as f64) < warm_up {
        return (step + 1) as f64 / warm_up.ceil();
    }
    let position = (step as f64 - warm_up) / (total as f64 - warm_up).max(1.0);
    let cosine = 0.5 * (1.0 + (std::f64::consts::PI * position).cos());
    stage.rates.last + (1.0 - stage.rates.last) * cosine
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use recipe::Recipe;

    use super::*;

    const RECIPE: &str = "
        clip = { path = 'clip.mkv' }
        decoder = { latent_dim = 4, stem = { channels = 4, height = 6, width = 8 }, layers = [] }
        [[stage]]
        name = 's'
        epochs = 10
        learning_rate = 1.0
        final_rate = 0.1
        warm_up = 2
        loss = { l1 = 1.0 }";

    #[test]
    fn the_schedule_rises_then_falls_to_its_floor() {
        let recipe = Recipe::new(toml::from_str(RECIPE).unwrap(), Path::new("r.toml")).unwrap();
        let rates: Vec<f64> = (0..=100).map(|step| schedule(&recipe.stages()[0], step, 100)).collect();
        assert!((rates[0] - 0.05).abs() < 1e-12 && (rates[19] - 1.0).abs() < 1e-12);
        assert!((rates[20] - 1.0).abs() < 1e-12 && (rates[100] - 0.1).abs() < 1e-12);
        assert!(rates[20..].windows(2).all(|w| w[1] <= w[0]));
        assert!((rates[60] - 0.55).abs() < 1e-9, "half way down the cosine: {}", rates[60]);
    }
}
