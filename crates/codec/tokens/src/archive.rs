//! Writing and reading archives.

use std::io::Write;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

use mixing::{Decoder, Encoder};
use rayon::prelude::*;

use crate::error::TokensError;
use crate::format::{self, Entry, Group, Header, Parts};
use crate::model::{Grid, Model, table_bits};
use crate::npy::Npy;
use crate::order::Order;
use crate::prior::Prior;

/// Takes a file's bytes as they are decoded.
pub type Sink<'a, E> = dyn Fn(&Entry, Vec<u8>) -> Result<(), E> + Sync + 'a;

/// Segments that the codebook's order is learned from, spread over all.
const SAMPLE: usize = 16;

/// A token video and where it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Relative path, with `/` between folders.
    pub name: String,
    /// The video.
    pub npy: Npy,
}

/// How to write an archive.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// What was learned before.
    pub prior: Option<&'a Prior>,
    /// Most segments that are coded as one, each learning from those before it. More compress better; a single one out of
    /// the middle takes the time of all before it, and one group takes one thread.
    pub group: NonZeroUsize,
}

impl Options<'_> {
    /// Without a prior; groups of 256.
    pub const DEFAULT: Self = Self { prior: None, group: NonZeroUsize::new(256).unwrap() };
}

/// What went into an archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files.
    pub segments: usize,
    /// Tokens in all of them.
    pub tokens: usize,
    /// Bytes of all files.
    pub file_bytes: usize,
    /// Bytes of the archive.
    pub archive_bytes: usize,
}

impl Summary {
    /// Bytes of the tokens, packed to 10 bits each, by those of the archive and `others`: the official rate.
    pub fn rate(&self, others: usize) -> f64 {
        packed_bytes(self.tokens) / (self.archive_bytes + others) as f64
    }
}

/// Bytes of so many tokens, packed to 10 bits each.
pub fn packed_bytes(tokens: usize) -> f64 {
    tokens as f64 * 10.0 / 8.0
}

/// What must be known of all segments before the first one is coded.
#[derive(Default)]
struct Survey {
    names: Vec<String>,
    largest: u16,
    tokens: usize,
    sample: Vec<Npy>,
}

impl Survey {
    /// Looks at all `count` segments.
    fn new<E: From<TokensError> + Send>(count: usize, load: &Load<'_, E>) -> Result<Self, E> {
        let stride = count.div_ceil(SAMPLE).max(1);
        let look = |i| {
            let Segment { name, npy } = load(i)?;
            let largest = npy.tokens.iter().copied().max().unwrap_or(0);
            let tokens = npy.tokens.len();
            Ok((name, largest, tokens, (i % stride == 0).then_some(npy)))
        };
        let found = (0..count).into_par_iter().map(look).collect::<Result<Vec<_>, E>>()?;
        let mut survey = Self::default();
        for (name, largest, tokens, npy) in found {
            survey.names.push(name);
            survey.largest = survey.largest.max(largest);
            survey.tokens += tokens;
            survey.sample.extend(npy);
        }
        format::check_names(survey.names.iter().map(String::as_str))?;
        Ok(survey)
    }

    /// The prior's order, or one learned from the sample.
    fn order(&self, prior: Option<&Prior>) -> Result<Order, TokensError> {
        let bits = (u16::BITS - self.largest.leading_zeros()).max(1);
        match prior {
            Some(prior) if bits > prior.order().bits() => {
                Err(TokensError::BeyondPrior { token: self.largest, limit: 1 << prior.order().bits() })
            }
            Some(prior) => Ok(prior.order().clone()),
            None => {
                let frame = |npy: &Npy| npy.grid().0 * npy.grid().1;
                let sample: Vec<_> = self.sample.iter().map(|npy| (npy.tokens.as_slice(), frame(npy))).collect();
                Ok(Order::learn(bits, self.tokens, &sample))
            }
        }
    }
}

/// Gives the segment of a number; is asked twice for each.
pub type Load<'a, E> = dyn Fn(usize) -> Result<Segment, E> + Sync + 'a;

/// Writes an archive of `count` segments to `out`; `done` is told how many are coded.
///
/// The same segments and options give the same bytes on every machine, for any number of threads.
pub fn compress<E: From<TokensError> + Send>(
    count: usize,
    load: &Load<'_, E>,
    options: &Options<'_>,
    out: &mut impl Write,
    done: &(dyn Fn(usize) + Sync),
) -> Result<Summary, E> {
    let survey = Survey::new(count, load)?;
    let order = survey.order(options.prior)?;
    let coded_order = match options.prior {
        Some(_) => Vec::new(),
        None => order.encode().map_err(|_| UNWRITABLE)?,
    };
    let header = Header { bits: order.bits(), prior: options.prior.map(Prior::id), order: coded_order };
    let header = format::header(&header);
    out.write_all(&header).map_err(TokensError::from)?;

    let numbers: Vec<usize> = (0..count).collect();
    let groups: Vec<&[usize]> = numbers.chunks(options.group.get()).collect();
    let coded = AtomicUsize::new(0);
    let segment_done = || done(coded.fetch_add(1, Ordering::Relaxed) + 1);
    let mut summary = Summary { segments: count, tokens: survey.tokens, ..Summary::default() };
    summary.archive_bytes = header.len();
    let mut index = Vec::with_capacity(groups.len());
    // As many at a time as there are threads, so that what waits to be written does not pile up.
    for batch in groups.chunks(rayon::current_num_threads()) {
        let code = |group: &&[usize]| {
            let segments = group.iter().map(|&i| Ok(survey.check(i, load(i)?, order.bits())?));
            let segments = segments.collect::<Result<Vec<_>, E>>()?;
            Ok(encode_group(&segments, &order, options.prior, &segment_done)?)
        };
        for coded in batch.par_iter().map(code).collect::<Vec<Result<_, E>>>() {
            let (group, payload, file_bytes) = coded?;
            out.write_all(&payload).map_err(TokensError::from)?;
            summary.archive_bytes += payload.len();
            summary.file_bytes += file_bytes;
            index.push(group);
        }
    }
    let index = format::index(&header, &index)?;
    out.write_all(&index).map_err(TokensError::from)?;
    summary.archive_bytes += index.len();
    Ok(summary)
}

impl Survey {
    /// Segment `i`, if it still is what was surveyed.
    fn check(&self, i: usize, segment: Segment, bits: u32) -> Result<Segment, TokensError> {
        let fits = segment.npy.tokens.iter().all(|&token| u32::from(token) >> bits == 0);
        if fits && self.names.get(i) == Some(&segment.name) {
            Ok(segment)
        } else {
            Err(TokensError::Changed { name: segment.name })
        }
    }
}

/// Never met: behind the survey every token has a code.
const UNWRITABLE: TokensError = TokensError::Malformed("a token has no code");

/// A model for a group of so many tokens.
fn model(order: &Order, prior: Option<&Prior>, tokens: usize) -> Model {
    let table_bits = table_bits(tokens);
    prior.map_or_else(|| Model::new(order.bits(), table_bits), |prior| prior.model(table_bits))
}

fn grid(npy: &Npy) -> Grid {
    let (height, width) = npy.grid();
    Grid { height, width }
}

/// A group's entry in the index, its payload, and the bytes of its files.
fn encode_group(
    segments: &[Segment],
    order: &Order,
    prior: Option<&Prior>,
    done: &(dyn Fn() + Sync),
) -> Result<(Group, Vec<u8>, usize), TokensError> {
    let mut model = model(order, prior, segments.iter().map(|segment| segment.npy.tokens.len()).sum());
    let mut encoder = Encoder::default();
    let mut entries = Vec::with_capacity(segments.len());
    let mut file_bytes = 0;
    for Segment { name, npy } in segments {
        let codes: Vec<u16> = npy.tokens.iter().map(|&token| order.code(token)).collect();
        model.code(&mut encoder, grid(npy), codes.len(), &codes).map_err(|_| UNWRITABLE)?;
        let file = npy.to_bytes();
        file_bytes += file.len();
        entries.push(Entry {
            name: name.clone(),
            dtype: npy.dtype,
            shape: npy.shape,
            header: npy.header.clone(),
            checksum: crc32fast::hash(&file),
        });
        done();
    }
    let payload = encoder.finish();
    let group = Group { length: payload.len(), checksum: crc32fast::hash(&payload), entries };
    Ok((group, payload, file_bytes))
}

/// Learns a prior from `count` segments, one after the other, and gives it as the bytes of a file. `counts`: with all counts,
/// which take megabytes, or only with what is small and general.
pub fn train<E: From<TokensError> + Send>(
    count: usize,
    load: &Load<'_, E>,
    counts: bool,
    done: &dyn Fn(usize),
) -> Result<Vec<u8>, E> {
    let survey = Survey::new(count, load)?;
    let order = survey.order(None)?;
    let mut model = model(&order, None, survey.tokens);
    for i in 0..count {
        let npy = survey.check(i, load(i)?, order.bits())?.npy;
        let codes: Vec<u16> = npy.tokens.iter().map(|&token| order.code(token)).collect();
        model.code(&mut mixing::Counter::default(), grid(&npy), codes.len(), &codes).map_err(|_| UNWRITABLE)?;
        done(i + 1);
    }
    Ok(Prior::write(model, &order, counts)?)
}

/// An archive whose checksums fit.
pub struct Archive<'a> {
    parts: Parts<'a>,
    order: Order,
    prior: Option<&'a Prior>,
}

impl<'a> Archive<'a> {
    /// Opens an archive; the prior is needed if it was made with one, and ignored otherwise.
    ///
    /// Bytes that were cut or changed are refused here, before anything is decoded.
    pub fn open(bytes: &'a [u8], prior: Option<&'a Prior>) -> Result<Self, TokensError> {
        let parts = format::split(bytes)?;
        let fits = |(group, payload): &(Group, &[u8])| crc32fast::hash(payload) == group.checksum;
        if !parts.groups.par_iter().all(fits) {
            return Err(TokensError::Damaged);
        }
        let bits = parts.header.bits;
        let (order, prior) = match parts.header.prior {
            None => {
                let order = Order::decode(&parts.header.order, bits);
                (order.map_err(|_| TokensError::Malformed("impossible order of the codebook"))?, None)
            }
            Some(id) => {
                let prior = prior.filter(|prior| prior.id() == id).ok_or(TokensError::PriorNeeded { id })?;
                (prior.order().clone(), Some(prior))
            }
        };
        if order.bits() != bits {
            return Err(TokensError::Malformed("order and tokens of different sizes"));
        }
        Ok(Self { parts, order, prior })
    }

    /// All files, in the order in which they were given.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.parts.groups.iter().flat_map(|(group, _)| &group.entries)
    }

    /// Decodes the files that are `wanted` and hands each to `sink`; a group is decoded as far as its last wanted file.
    /// `sink` is called from several threads.
    pub fn extract<E: From<TokensError> + Send>(
        &self,
        wanted: &(dyn Fn(&Entry) -> bool + Sync),
        sink: &Sink<'_, E>,
    ) -> Result<(), E> {
        self.parts.groups.par_iter().try_for_each(|(group, payload)| self.extract_group(group, payload, wanted, sink))
    }

    fn extract_group<E: From<TokensError>>(
        &self,
        group: &Group,
        payload: &[u8],
        wanted: &(dyn Fn(&Entry) -> bool + Sync),
        sink: &Sink<'_, E>,
    ) -> Result<(), E> {
        let Some(last) = group.entries.iter().rposition(wanted) else { return Ok(()) };
        let corrupt = |mixing::Corrupt| TokensError::Malformed("a payload is no encoder's");
        let mut decoder = Decoder::new(payload).map_err(corrupt)?;
        let mut model = model(&self.order, self.prior, group.entries.iter().map(Entry::tokens).sum());
        for entry in &group.entries[..=last] {
            let (height, width) = entry.shape.grid();
            let codes = model.code(&mut decoder, Grid { height, width }, entry.tokens(), &[]).map_err(corrupt)?;
            if wanted(entry) {
                sink(entry, self.file(entry, codes)?)?;
            }
        }
        if last + 1 == group.entries.len() { Ok(decoder.finish().map_err(corrupt)?) } else { Ok(()) }
    }

    /// The .npy file of an entry.
    fn file(&self, entry: &Entry, mut codes: Vec<u16>) -> Result<Vec<u8>, TokensError> {
        codes.iter_mut().for_each(|code| *code = self.order.token(*code));
        let Entry { dtype, shape, header, .. } = entry.clone();
        let file = Npy { dtype, shape, header, tokens: codes }.to_bytes();
        if crc32fast::hash(&file) == entry.checksum {
            Ok(file)
        } else {
            Err(TokensError::Checksum { name: entry.name.clone() })
        }
    }
}

/// Writes an archive of segments in memory.
pub fn encode(segments: &[Segment], options: &Options<'_>) -> Result<Vec<u8>, TokensError> {
    let mut bytes = Vec::new();
    let load = |i: usize| Ok::<_, TokensError>(segments[i].clone());
    compress(segments.len(), &load, options, &mut bytes, &|_| ())?;
    Ok(bytes)
}

/// Reads all files of an archive, names with contents, in the order in which they were given.
pub fn decode(bytes: &[u8], prior: Option<&Prior>) -> Result<Vec<(String, Vec<u8>)>, TokensError> {
    let archive = Archive::open(bytes, prior)?;
    let files = std::sync::Mutex::new(std::collections::HashMap::new());
    archive.extract(&|_| true, &|entry, file| -> Result<(), TokensError> {
        files.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(entry.name.clone(), file);
        Ok(())
    })?;
    let mut files = files.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    Ok(archive.entries().filter_map(|entry| files.remove_entry(entry.name())).collect())
}
