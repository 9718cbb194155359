//! The container: magic, version, length, layer table, clip; the checksum at the end.

use repr::{
    Architecture, Carrier, Clip, ClipName, FRAMES_PER_SAMPLE, Head, Layer, LayerTable, Nonlinearity, Refine,
    RepresentationError, Residual, Stage, Stem, limits,
};

use crate::error::ArchiveError;
use crate::format::{ALL_LAYERS, CLASS_MAPS, MAGIC, VERSIONS};

/// Bytes of the checksum.
const CHECKSUM: usize = 4;
/// Kind of a residual block, beyond every factor of a stage.
const RESIDUAL: usize = 16;
/// Most bytes of a number: 32 bits, seven a byte.
const VARINT: usize = 5;

/// An archive taken apart. Nothing behind the header has been looked at.
pub(crate) struct Parts<'a> {
    pub architecture: Architecture,
    pub clip: Clip,
    /// The range-coded class maps, nothing where there are none.
    pub maps: &'a [u8],
    /// The range-coded rest.
    pub payload: &'a [u8],
    /// Where the payload starts.
    pub offset: usize,
    /// Bytes of magic, version, layer table, clip and lengths.
    pub header: usize,
}

/// Puts an archive together.
pub(crate) fn join(architecture: &Architecture, clip: &Clip, maps: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    let version = version(architecture.table());
    write_table(&mut content, version, architecture.table());
    write_clip(&mut content, clip);
    if architecture.table().stem.classes > 0 {
        write_number(&mut content, maps.len());
        content.extend_from_slice(maps);
    }
    content.extend_from_slice(payload);

    let mut archive = MAGIC.to_vec();
    archive.push(version);
    write_number(&mut archive, content.len());
    archive.append(&mut content);
    let checksum = crc32fast::hash(&archive);
    archive.extend_from_slice(&checksum.to_le_bytes());
    archive
}

/// Takes an archive apart; architecture and clip are valid, the checksum fits.
pub(crate) fn split(archive: &[u8]) -> Result<Parts<'_>, ArchiveError> {
    let versioned = archive.strip_prefix(&MAGIC).ok_or(ArchiveError::NotAnArchive)?;
    let version = match versioned.first() {
        Some(found) if VERSIONS.contains(found) => *found,
        Some(&found) => return Err(ArchiveError::Version { found }),
        None => return Err(ArchiveError::Damaged),
    };
    let (body, checksum) = archive.split_last_chunk::<CHECKSUM>().ok_or(ArchiveError::Damaged)?;
    let start = MAGIC.len() + 1;
    let mut reader = Reader { bytes: body, offset: start.min(body.len()) };
    let length = reader.number().map_err(|_| ArchiveError::Damaged)?;
    let content = reader.offset;
    if body.len() - content != length || crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
        return Err(ArchiveError::Damaged);
    }
    let architecture = Architecture::new(reader.table(version)?).map_err(RepresentationError::from)?;
    let clip = reader.clip()?;
    clip.check_latents(architecture.sample_dim())?;
    let maps = if architecture.map_shape(clip.samples())?.is_some() {
        let length = reader.number()?;
        reader.take(length)?
    } else {
        &[]
    };
    let offset = reader.offset;
    Ok(Parts {
        architecture,
        clip,
        maps,
        payload: body.get(offset..).unwrap_or_default(),
        offset,
        header: start + offset - content - maps.len(),
    })
}

/// Seven bits a byte, the lowest first; the top bit says that more follow.
fn write_number(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The lowest version that can hold a table.
fn version(table: &LayerTable) -> u8 {
    let of_layer = |layer: &Layer| match *layer {
        Layer::Stage(Stage { upscale: ..5, kernel: ..5, skip: true, activation: Nonlinearity::Sin, .. }) => 2,
        Layer::Stage(_) => ALL_LAYERS,
        Layer::Refine(Refine { dilation: ..5, .. }) => 2,
        Layer::Refine(_) | Layer::Residual(_) => CLASS_MAPS,
    };
    let plain = table.stem.linear && table.frames == FRAMES_PER_SAMPLE && table.head == Head::Sigmoid;
    let of_table = match (table.stem.classes, plain) {
        (0, true) => 2,
        (0, false) => ALL_LAYERS,
        _ => CLASS_MAPS,
    };
    table.layers.iter().map(of_layer).fold(of_table, u8::max)
}

/// Bits of a number, the lowest first.
fn flags<const N: usize>(bits: [bool; N]) -> usize {
    bits.iter().rev().fold(0, |flags, &bit| 2 * flags + usize::from(bit))
}

/// Kind of a layer: 0 is a refinement; a stage is its factor, and in version 2 `2 * upscale - 1`, one more with a 3x3 kernel.
fn write_table(out: &mut Vec<u8>, version: u8, table: &LayerTable) {
    let Stem { channels, height, width, linear, classes } = table.stem;
    for value in [table.latent_dim, channels, height, width] {
        write_number(out, value);
    }
    if version >= ALL_LAYERS {
        let [mapped, carried] = [classes > 0, table.carrier.is_some()];
        write_number(out, flags([!linear, table.frames == 1, table.head == Head::Tanh, mapped, carried]));
        if mapped {
            write_number(out, classes);
        }
        if let Some(Carrier { coefficients, height, width, channels, bits }) = table.carrier {
            for value in [coefficients, height, width, channels, bits.into()] {
                write_number(out, value);
            }
        }
    }
    write_number(out, table.layers.len());
    for layer in &table.layers {
        match *layer {
            Layer::Stage(Stage { channels, upscale, kernel, .. }) if version < ALL_LAYERS => {
                write_number(out, 2 * upscale - usize::from(kernel == 1));
                write_number(out, channels);
            }
            Layer::Stage(Stage { channels, upscale, kernel, skip, activation }) => {
                write_number(out, upscale);
                write_number(out, kernel);
                write_number(out, flags([!skip, activation == Nonlinearity::Gelu]));
                write_number(out, channels);
            }
            Layer::Refine(Refine { hidden, dilation, gain }) => {
                write_number(out, 0);
                write_number(out, hidden);
                write_number(out, dilation);
                out.extend_from_slice(&gain.to_le_bytes());
            }
            Layer::Residual(Residual { hidden, kernel, dilation, activation }) => {
                let activation = usize::from(activation == Nonlinearity::Gelu);
                for value in [RESIDUAL, hidden, kernel, dilation, activation] {
                    write_number(out, value);
                }
            }
        }
    }
}

fn write_clip(out: &mut Vec<u8>, clip: &Clip) {
    let name = clip.name().as_str();
    for value in [clip.frames(), clip.height(), clip.width(), name.len()] {
        write_number(out, value);
    }
    out.extend_from_slice(name.as_bytes());
}

struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    fn malformed(&self, what: &'static str) -> ArchiveError {
        ArchiveError::Malformed { offset: self.offset, what }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], ArchiveError> {
        let rest = self.bytes.get(self.offset..).unwrap_or_default();
        let taken = rest.get(..count).ok_or_else(|| self.malformed("the header ends early"))?;
        self.offset += count;
        Ok(taken)
    }

    fn number(&mut self) -> Result<usize, ArchiveError> {
        let mut value = 0u64;
        for i in 0..VARINT {
            let byte = self.take(1)?.first().copied().unwrap_or_default();
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                let canonical = (byte != 0 || i == 0) && value <= u64::from(u32::MAX);
                return if canonical { Ok(value as usize) } else { Err(self.malformed("a number is not canonical")) };
            }
        }
        Err(self.malformed("a number has more than 32 bits"))
    }

    /// So many bits, the lowest first.
    fn flags<const N: usize>(&mut self) -> Result<[bool; N], ArchiveError> {
        let flags = self.number()?;
        if flags >> N != 0 {
            return Err(self.malformed("a flag is unknown"));
        }
        Ok(std::array::from_fn(|bit| flags >> bit & 1 == 1))
    }

    fn carrier(&mut self) -> Result<Carrier, ArchiveError> {
        let [coefficients, height, width, channels] = [self.number()?, self.number()?, self.number()?, self.number()?];
        let bits = u8::try_from(self.number()?).map_err(|_| self.malformed("coefficients of more than 255 bits"))?;
        Ok(Carrier { coefficients, height, width, channels, bits })
    }

    fn table(&mut self, version: u8) -> Result<LayerTable, ArchiveError> {
        let latent_dim = self.number()?;
        let mut stem = Stem::new(self.number()?, self.number()?, self.number()?);
        let [image, single, tanh, mapped, carried] = if version < ALL_LAYERS { [false; 5] } else { self.flags()? };
        stem.linear = !image;
        if mapped {
            stem.classes = self.number()?;
            if stem.classes == 0 {
                return Err(self.malformed("class maps of no class"));
            }
        }
        let carrier = if carried { Some(self.carrier()?) } else { None };
        let count = self.number()?;
        if count > limits::LAYERS {
            return Err(self.malformed("too many layers"));
        }
        let layers = (0..count).map(|_| self.layer(version)).collect::<Result<_, _>>()?;
        let table = LayerTable {
            frames: if single { 1 } else { FRAMES_PER_SAMPLE },
            head: if tanh { Head::Tanh } else { Head::Sigmoid },
            carrier,
            ..LayerTable::new(latent_dim, stem, layers)
        };
        if self::version(&table) != version {
            return Err(self.malformed("the layer table belongs into another version"));
        }
        Ok(table)
    }

    fn layer(&mut self, version: u8) -> Result<Layer, ArchiveError> {
        let kind = self.number()?;
        if kind == 0 {
            let (hidden, dilation) = (self.number()?, self.number()?);
            let gain = self.take(4)?.try_into().map(f32::from_le_bytes);
            let gain = gain.map_err(|_| self.malformed("the header ends early"))?;
            return Ok(Layer::Refine(Refine { hidden, dilation, gain }));
        }
        if version < ALL_LAYERS {
            let (upscale, kernel) = (kind.div_ceil(2), if kind % 2 == 1 { 1 } else { 3 });
            return Ok(Layer::Stage(Stage::new(self.number()?, upscale, kernel)));
        }
        let activation = |gelu| if gelu { Nonlinearity::Gelu } else { Nonlinearity::Sin };
        if kind == RESIDUAL {
            let (hidden, kernel, dilation) = (self.number()?, self.number()?, self.number()?);
            let [gelu] = self.flags()?;
            return Ok(Layer::Residual(Residual { hidden, kernel, dilation, activation: activation(gelu) }));
        }
        let (kernel, [bare, gelu]) = (self.number()?, self.flags()?);
        let activation = activation(gelu);
        Ok(Layer::Stage(Stage { skip: !bare, activation, ..Stage::new(self.number()?, kind, kernel) }))
    }

    fn clip(&mut self) -> Result<Clip, ArchiveError> {
        let (frames, height, width) = (self.number()?, self.number()?, self.number()?);
        let length = self.number()?;
        let name = std::str::from_utf8(self.take(length)?);
        let name = name.map_err(|_| self.malformed("the clip name is not UTF-8"))?.to_owned();
        Ok(Clip::new(ClipName::new(name)?, frames, height, width)?)
    }
}
