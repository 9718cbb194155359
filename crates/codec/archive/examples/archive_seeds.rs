//! Writes what fuzzing starts from: `archive_seeds FOLDER [PUBLIC_ARCHIVE]` fills FOLDER/TARGET for each target in fuzz/. Small
//! archives of several shapes; their integers are those of the public archive, as many as fit, where it is given.

use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use repr::{
    Architecture, ArchitectureError, Carrier, ClassMaps, Clip, ClipName, CorrectionTarget, Head, Layer, LayerTable,
    MapShape, Nonlinearity, QuantizedLatents, QuantizedTensor, Refine, Representation, RepresentationError,
    RepresentationParts, Residual, Sidecar, Stage, Stem,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folder, public) = match arguments.as_slice() {
        [folder] => (folder, None),
        [folder, public] => (folder, Some(fs::read(public)?)),
        _ => return Err("usage: archive_seeds FOLDER [PUBLIC_ARCHIVE]".into()),
    };
    let folder = Path::new(folder);
    let names = ["archive", "archive_as_is", "foreign", "foreign_as_is", "maps"];
    names.iter().try_for_each(|name| fs::create_dir_all(folder.join(name)))?;
    let source = public.as_deref().map(|bytes| archive::import(bytes, "0")).transpose()?;
    for (i, (architecture, frames)) in shapes()?.into_iter().enumerate() {
        for bits in [8, 5, 2] {
            let representation = filled(architecture.clone(), frames, bits, source.as_ref())?;
            if let Some(maps) = &representation.maps {
                let shape = maps.shape();
                let mut seed =
                    [shape.count(), shape.rows(), shape.columns(), shape.classes()].map(|n| n as u8).to_vec();
                seed.extend(archive::encode_maps(&representation));
                fs::write(folder.join(names[4]).join(format!("shape{i}")), seed)?;
            }
            let archive = archive::encode(&representation);
            for name in &names[..2] {
                fs::write(folder.join(name).join(format!("shape{i}-{bits}bits")), &archive)?;
            }
        }
    }
    let sections = foreign(source.as_ref())?;
    let mut opened = Vec::new();
    let mut packed = Vec::new();
    for (i, section) in sections.iter().enumerate() {
        if i + 1 < sections.len() {
            opened.extend_from_slice(&word(section.len()));
        }
        opened.extend_from_slice(section);
        let mut stream = Vec::new();
        brotli::CompressorWriter::new(&mut stream, 1 << 12, 11, 18).write_all(section)?;
        packed.extend_from_slice(&word(stream.len()));
        packed.append(&mut stream);
    }
    archive::import(&packed, "clip")?;
    fs::write(folder.join(names[2]).join("small"), opened)?;
    fs::write(folder.join(names[3]).join("small"), packed)?;
    Ok(())
}

/// Layer tables that between them have everything a table can have, and a number of frames.
fn shapes() -> Result<Vec<(Architecture, usize)>, ArchitectureError> {
    let stage = |channels, upscale, kernel| Layer::Stage(Stage::new(channels, upscale, kernel));
    let refine = |hidden| Layer::Refine(Refine { hidden, dilation: 2, gain: 0.1 });
    let table = |latent_dim, channels, layers| {
        Architecture::new(LayerTable::new(latent_dim, Stem::new(channels, 2, 3), layers))
    };
    let bare = |channels, upscale, kernel| {
        let activation = Nonlinearity::Gelu;
        Layer::Stage(Stage { skip: false, activation, ..Stage::new(channels, upscale, kernel) })
    };
    let image = Stem { linear: false, ..Stem::new(2, 1, 2) };
    let single = LayerTable::new(4, image, vec![bare(2, 1, 1), bare(1, 5, 5), stage(2, 2, 3)]);
    let residual =
        |hidden, kernel, dilation, activation| Layer::Residual(Residual { hidden, kernel, dilation, activation });
    let (sin, gelu) = (Nonlinearity::Sin, Nonlinearity::Gelu);
    let mapped = |classes, channels, height, width| Stem { classes, ..Stem::new(channels, height, width) };
    let grey = Carrier { coefficients: 4, height: 3, width: 4, channels: 1, bits: 10 };
    let wide = Layer::Refine(Refine { hidden: 2, dilation: 6, gain: 0.2 });
    let blocks = vec![residual(8, 3, 2, gelu), residual(6, 5, 1, sin), stage(6, 2, 1), residual(12, 1, 1, gelu), wide];
    let carried = LayerTable { carrier: Some(grey), ..LayerTable::new(7, mapped(5, 8, 12, 18), blocks) };
    let colour = Carrier { coefficients: 1, height: 2, width: 2, channels: 3, bits: 12 };
    let tiny = LayerTable::new(2, mapped(2, 2, 3, 5), vec![residual(1, 3, 8, sin)]);
    let single_mapped = LayerTable { frames: 1, ..LayerTable::new(1, mapped(255, 1, 4, 2), vec![refine(1)]) };
    Ok(vec![
        (table(1, 1, vec![])?, 1),
        (table(3, 4, vec![stage(4, 2, 3), stage(3, 2, 3), stage(2, 2, 3), refine(2)])?, 40),
        (table(5, 2, vec![stage(3, 1, 1), refine(3), stage(1, 4, 1)])?, 9),
        (table(40, 2, vec![stage(2, 3, 3)])?, 12),
        (Architecture::new(LayerTable { frames: 1, head: Head::Tanh, ..single })?, 7),
        (Architecture::new(carried)?, 25),
        (Architecture::new(LayerTable { carrier: Some(colour), ..tiny })?, 3),
        (Architecture::new(single_mapped)?, 1),
    ])
}

fn filled(
    architecture: Architecture,
    frames: usize,
    bits: u8,
    source: Option<&Representation>,
) -> Result<Representation, RepresentationError> {
    let half = 1i16 << (bits - 1);
    let tensors = architecture.parameters().iter().enumerate().map(|(i, parameter)| {
        let real = source.map(|source| &source.parameters[i % source.parameters.len()].values);
        let value = |at: usize| match real {
            Some(values) => values[at % values.len()] >> (8 - bits),
            None => ((at * at * 31 + 7 * at) as i16 % half + (at * 13) as i16 % half) / 2,
        };
        let steps = if i % 3 == 1 { parameter.shape[0] } else { 1 };
        // Nothing limits what residual blocks add up to, or a carrier's image.
        let finer = match architecture.table().stem.classes {
            0 => 1.0,
            _ if parameter.name.starts_with("carrier") => 8.0,
            _ => 6.0,
        };
        QuantizedTensor {
            bits,
            steps: (0..steps).map(|step| (0.01 + step as f32 / 1024.0) / finer).collect(),
            values: (0..parameter.len()).map(value).collect(),
        }
    });
    let parameters = tensors.collect();
    let (dim, sample_dim) = (architecture.latent_dim(), architecture.sample_dim());
    let clip = Clip::new(ClipName::new("clip")?, frames, 16, 24)?;
    let latent_bits = architecture.latent_bits();
    let latent = |at: usize| {
        let level = match source {
            Some(source) => source.latents.values[at % source.latents.values.len()],
            None => ((at * at * 3 + at / 5) % 256) as u16,
        };
        let finer = 1 << (latent_bits[at % dim] - 8);
        level * finer + (at * 7) as u16 % finer
    };
    let mut sidecar = Sidecar::default();
    for sample in (0..clip.samples() as u32).filter(|_| bits != 5) {
        let target = CorrectionTarget::all(sample_dim).nth(sample as usize * 7 % (sample_dim + 60));
        target.into_iter().for_each(|target| sidecar.set(sample, target, (sample % 9) as i8 - 4));
    }
    let latents = QuantizedLatents {
        minimum: vec![-1.5; dim],
        step: latent_bits.iter().map(|bits| 0.0117 / f32::from(1u16 << (bits - 8))).collect(),
        values: (0..sample_dim * clip.samples()).map(latent).collect(),
    };
    let maps = architecture.map_shape(clip.samples())?.map(road).transpose()?.map(Arc::new);
    Representation::new(RepresentationParts { architecture, clip, parameters, latents, sidecar, maps })
}

/// Maps of a road that bends: a few slanted areas, with a pixel of another class here and there.
fn road(shape: MapShape) -> Result<ClassMaps, RepresentationError> {
    let (rows, columns) = (shape.rows(), shape.columns());
    let class = |at: usize| {
        let (t, y, x) = (at / (rows * columns), at / columns % rows, at % columns);
        let edge = columns / 4 + y / 2 + t % 3;
        if at % 101 == 17 {
            3
        } else {
            usize::from(x > edge) + usize::from(x > 2 * edge) + 2 * usize::from(3 * y < rows)
        }
    };
    ClassMaps::new(shape, (0..shape.count() * rows * columns).map(|at| (class(at) % shape.classes()) as u8).collect())
}

/// The sections of a small archive in the public format.
fn foreign(source: Option<&Representation>) -> Result<[Vec<u8>; 3], RepresentationError> {
    let (dim, pairs) = (2, 20);
    let architecture = Architecture::new(LayerTable::reference(4, dim))?;
    let filled = filled(architecture, 2 * pairs, 8, source)?;
    let header = format!(r#"{{"n_pairs":{pairs},"latent_dim":{dim},"base_channels":4,"eval_size":[384,512]}}"#);
    let mut weights = word(filled.parameters.len()).to_vec();
    for (tensor, parameter) in filled.parameters.iter().zip(filled.architecture.parameters()) {
        weights.extend_from_slice(&word(parameter.name.len()));
        weights.extend_from_slice(parameter.name.as_bytes());
        weights.extend_from_slice(&word(parameter.shape.len()));
        parameter.shape.iter().for_each(|&side| weights.extend_from_slice(&word(side)));
        weights.extend_from_slice(&0.01f32.to_le_bytes());
        weights.extend_from_slice(&word(tensor.values.len()));
        weights.extend(tensor.values.iter().map(|&value| ((value << 1) ^ (value >> 15)) as u8));
    }
    let mut latents = [word(pairs), word(dim)].concat();
    // Minima of -1 and steps of 1/128, in 16 bits.
    latents.extend([0x00, 0xbc, 0x00, 0xbc, 0x00, 0x20, 0x00, 0x20]);
    latents.extend(filled.latents.values.iter().map(|&value| value as u8));
    latents.resize(latents.len() + dim * pairs, 0);
    Ok([header.into_bytes(), weights, latents])
}

fn word(value: usize) -> [u8; 4] {
    (value as u32).to_le_bytes()
}
