//! An archive of a longer clip out of a shorter one's: its samples forward, backward, forward again, until there are as many as asked.
//! What a decoder takes for a clip of the challenge's length can so be measured on any archive.
//!
//! ```text
//! cargo run --release -p archive --example mirrored -- ARCHIVE SAMPLES OUT
//! ```

use std::error::Error;
use std::sync::Arc;

use repr::{ClassMaps, Clip, FRAMES_PER_SAMPLE, MapShape, Representation, Sidecar};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, samples, out] = arguments.as_slice() else {
        return Err("usage: mirrored ARCHIVE SAMPLES OUT".into());
    };
    let samples: usize = samples.parse()?;
    let bytes = std::fs::read(input)?;
    let mut parts = archive::decode(&bytes)?.into_parts();
    let (count, dim) = (parts.clip.samples(), parts.architecture.sample_dim());
    // The last sample follows itself, as the first one does at the other end.
    let source = |at: usize| if (at / count).is_multiple_of(2) { at % count } else { count - 1 - at % count };
    parts.latents.values =
        (0..samples).flat_map(|at| parts.latents.values[source(at) * dim..][..dim].iter().copied()).collect();
    let mut sidecar = Sidecar::default();
    for at in 0..samples {
        parts.sidecar.of(source(at)).iter().for_each(|c| sidecar.set(at as u32, c.target, c.amount));
    }
    parts.sidecar = sidecar;
    if let Some(maps) = parts.maps.take() {
        let values = (0..samples).flat_map(|at| maps.map(source(at)).unwrap_or_default().iter().copied()).collect();
        let shape = maps.shape();
        let shape = MapShape::new(samples, shape.rows(), shape.columns(), shape.classes())?;
        parts.maps = Some(Arc::new(ClassMaps::new(shape, values)?));
    }
    let clip = &parts.clip;
    parts.clip = Clip::new(clip.name().clone(), FRAMES_PER_SAMPLE * samples, clip.height(), clip.width())?;
    let bytes = archive::encode(&Representation::new(parts)?);
    std::fs::write(out, &bytes)?;
    println!("{out}: {samples} samples, {} bytes", bytes.len());
    Ok(())
}
