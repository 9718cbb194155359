//! `sections ARCHIVE`: what an archive holds, a line for each section with its name, its shape and a SHA-256 over its integers (4
//! bytes each, little-endian; floats as their bits). `eval/archive_reader.py` prints the same of what it reads by the page alone.

use std::error::Error;
use std::ops::Range;

use repr::{
    Carrier, CorrectionTarget, FRAMES_PER_SAMPLE, Head, Layer, Nonlinearity, Refine, Representation, Residual, Stage,
};
use sha2::{Digest, Sha256};

fn main() -> Result<(), Box<dyn Error>> {
    let [_, path] = std::env::args().collect::<Vec<_>>().try_into().map_err(|_| "usage: sections ARCHIVE")?;
    let bytes = std::fs::read(&path).map_err(|e| format!("{path}: {e}"))?;
    let representation = archive::decode(&bytes)?;
    header(bytes[4], &representation);
    for (tensor, parameter) in representation.parameters.iter().zip(representation.architecture.parameters()) {
        let values = tensor.values.iter().map(|&value| value.into());
        section(&format!("{} {} bits", parameter.name, tensor.bits), &parameter.shape, values);
        floats(&format!("{} steps", parameter.name), &tensor.steps);
    }
    let (dim, coefficients) = (representation.architecture.latent_dim(), representation.architecture.coefficients());
    latents("latents", &representation, 0..dim - coefficients);
    latents("coefficients", &representation, dim - coefficients..dim);
    let targets: Vec<_> = CorrectionTarget::all(representation.architecture.sample_dim()).collect();
    let corrections = representation.sidecar.corrections();
    let target = |target| targets.iter().position(|&other| other == target).unwrap_or_default();
    let numbers = corrections.iter().flat_map(|c| [c.sample as i64, target(c.target) as i64, c.amount.into()]);
    section("sidecar", &[corrections.len(), 3], numbers);
    if let Some(maps) = &representation.maps {
        let shape = [maps.shape().count(), maps.shape().rows(), maps.shape().columns()];
        section("class maps", &shape, maps.values().iter().map(|&class| class.into()));
    }
    Ok(())
}

/// Layer table and clip as numbers, in the order of the header; what is not there is 0.
fn header(version: u8, representation: &Representation) {
    let (table, clip) = (representation.architecture.table(), &representation.clip);
    let stem = table.stem;
    let mut numbers = vec![version.into(), table.latent_dim, stem.channels, stem.height, stem.width];
    let (mapped, carried) = (stem.classes > 0, table.carrier.is_some());
    let flags = [!stem.linear, table.frames < FRAMES_PER_SAMPLE, table.head == Head::Tanh, mapped, carried];
    numbers.extend(flags.map(usize::from));
    numbers.push(stem.classes);
    numbers.extend(table.carrier.map_or([0; 5], |Carrier { coefficients, height, width, channels, bits }| {
        [coefficients, height, width, channels, bits.into()]
    }));
    numbers.extend([clip.frames(), clip.height(), clip.width()]);
    let gelu = |activation| usize::from(activation == Nonlinearity::Gelu);
    for layer in &table.layers {
        match *layer {
            Layer::Refine(Refine { hidden, dilation, gain }) => {
                numbers.extend([0, hidden, dilation, gain.to_bits() as usize]);
            }
            Layer::Stage(Stage { channels, upscale, kernel, skip, activation }) => {
                numbers.extend([1, upscale, kernel, usize::from(!skip), gelu(activation), channels]);
            }
            Layer::Residual(Residual { hidden, kernel, dilation, activation }) => {
                numbers.extend([2, hidden, kernel, dilation, gelu(activation)]);
            }
        }
    }
    section("header", &[numbers.len()], numbers.iter().map(|&number| number as i64));
    let name = clip.name().as_str().bytes();
    section("name", &[name.len()], name.map(i64::from));
}

/// Some dimensions of the latents.
fn latents(name: &str, representation: &Representation, dimensions: Range<usize>) {
    if dimensions.is_empty() {
        return;
    }
    let (latents, width) = (&representation.latents, dimensions.len());
    floats(&format!("{name} minima"), &latents.minimum[dimensions.clone()]);
    floats(&format!("{name} steps"), &latents.step[dimensions.clone()]);
    let rows = latents.values.chunks(latents.dim());
    let shape = [rows.len(), width];
    section(name, &shape, rows.flat_map(|row| row[dimensions.clone()].iter().map(|&value| value.into())));
}

fn floats(name: &str, values: &[f32]) {
    section(name, &[values.len()], values.iter().map(|value| value.to_bits().into()));
}

fn section(name: &str, shape: &[usize], integers: impl Iterator<Item = i64>) {
    let mut hash = Sha256::new();
    integers.for_each(|value| hash.update((value as u32).to_le_bytes()));
    let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
    let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    println!("{name}\t{}\t{hash}", shape.join("x"));
}
