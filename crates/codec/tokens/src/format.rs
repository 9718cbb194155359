//! The container: header, groups, index, footer. `docs/tokens-format.md` writes it down.

use std::io::Read;
use std::path::{Component, Path};

use crate::error::TokensError;
use crate::model::MAX_BITS;
use crate::npy::{Dtype, Shape};
use crate::version::VERSION;

/// First bytes of every archive.
const MAGIC: [u8; 4] = *b"HTOK";
/// Bytes of the index's length.
const LENGTH: usize = 4;
/// Most bytes of the index, decompressed: some 400,000 files with names like commaVQ's. What it says takes ten times as much
/// memory, and few bytes can say it.
const MAX_INDEX: usize = 1 << 25;
/// Most bytes of a name, as for a path on Linux.
const MAX_NAME: usize = 4096;
/// Level at which the index is compressed.
const INDEX_LEVEL: i32 = 19;
/// Most bytes of an order's code: for 2^11 tokens they are 2.2 KB.
const MAX_ORDER: usize = 1 << 13;

/// What all segments share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Bits of a token, at least 1: were they free, an archive of a few bytes could hold tokens without end.
    pub bits: u32,
    /// The prior's CRC-32.
    pub prior: Option<u32>,
    /// The codebook's order, range-coded; empty with a prior, which has its own.
    pub order: Vec<u8>,
}

/// One file of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Shape,
    pub(crate) header: Option<Vec<u8>>,
    /// CRC-32 of the .npy file.
    pub(crate) checksum: u32,
}

impl Entry {
    /// The path of the file, relative, with `/` between folders.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Tokens in it.
    pub fn tokens(&self) -> usize {
        self.shape.count()
    }
}

/// Segments that are coded one after the other, each with what was learned from those before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// Bytes of the payload.
    pub length: usize,
    /// CRC-32 of the payload.
    pub checksum: u32,
    pub entries: Vec<Entry>,
}

/// The bytes before the groups.
pub(crate) fn header(header: &Header) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend([VERSION, header.bits as u8, u8::from(header.prior.is_some())]);
    bytes.extend(header.prior.into_iter().flat_map(u32::to_le_bytes));
    write_number(&mut bytes, header.order.len());
    bytes.extend_from_slice(&header.order);
    bytes
}

/// The bytes after the groups.
pub(crate) fn index(header: &[u8], groups: &[Group]) -> Result<Vec<u8>, TokensError> {
    let mut content = Vec::new();
    write_number(&mut content, groups.len());
    for group in groups {
        write_number(&mut content, group.length);
        content.extend(group.checksum.to_le_bytes());
        write_number(&mut content, group.entries.len());
        for entry in &group.entries {
            write_bytes(&mut content, entry.name.as_bytes());
            write_number(&mut content, entry.dtype.to_number());
            let dimensions = entry.shape.dimensions();
            write_number(&mut content, dimensions.len());
            dimensions.into_iter().for_each(|dimension| write_number(&mut content, dimension));
            write_bytes(&mut content, entry.header.as_deref().unwrap_or_default());
            content.extend(entry.checksum.to_le_bytes());
        }
    }
    if content.len() > MAX_INDEX {
        return Err(TokensError::TooMany);
    }
    let mut bytes = zstd::bulk::compress(&content, INDEX_LEVEL)?;
    bytes.extend((bytes.len() as u32).to_le_bytes());
    let checksum = frame_checksum(header, &bytes);
    bytes.extend(checksum.to_le_bytes());
    Ok(bytes)
}

/// CRC-32 of all but the groups and the checksum itself.
fn frame_checksum(header: &[u8], index: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    hasher.update(index);
    hasher.finalize()
}

/// An archive taken apart.
pub(crate) struct Parts<'a> {
    pub header: Header,
    pub groups: Vec<(Group, &'a [u8])>,
}

/// Takes an archive apart: the frame's checksum and all limits hold, names are safe; the groups' payloads have not been
/// looked at.
pub(crate) fn split(archive: &[u8]) -> Result<Parts<'_>, TokensError> {
    let frame = Frame::find(archive)?;
    if frame_checksum(frame.head, frame.index) != frame.checksum {
        return Err(TokensError::Damaged);
    }
    let mut payload = frame.payload;
    let groups = frame.groups()?;
    check_names(groups.iter().flat_map(|group| &group.entries).map(Entry::name))?;
    let mut parts = Vec::with_capacity(groups.len());
    for group in groups {
        let (bytes, rest) = payload.split_at_checked(group.length).ok_or(TokensError::Damaged)?;
        parts.push((group, bytes));
        payload = rest;
    }
    if payload.is_empty() { Ok(Parts { header: frame.header, groups: parts }) } else { Err(TokensError::Damaged) }
}

/// The same archive with checksums of frame and groups that fit, so that tests and fuzzers get past them; nothing where not
/// even the index can be found.
#[doc(hidden)]
pub fn mend(archive: &[u8]) -> Option<Vec<u8>> {
    let frame = Frame::find(archive).ok()?;
    let mut payload = frame.payload;
    let mut groups = frame.groups().ok()?;
    for group in &mut groups {
        let (bytes, rest) = payload.split_at_checked(group.length)?;
        group.checksum = crc32fast::hash(bytes);
        payload = rest;
    }
    Some([frame.head, frame.payload, &index(frame.head, &groups).ok()?].concat())
}

/// Where the parts of an archive are, by its own lengths.
struct Frame<'a> {
    header: Header,
    /// The header's bytes.
    head: &'a [u8],
    payload: &'a [u8],
    /// The compressed index and its length.
    index: &'a [u8],
    checksum: u32,
}

impl<'a> Frame<'a> {
    fn find(archive: &'a [u8]) -> Result<Self, TokensError> {
        let mut reader = Reader(archive.strip_prefix(&MAGIC).ok_or(TokensError::NotAnArchive)?);
        match reader.byte() {
            Some(VERSION) => {}
            Some(found) => return Err(TokensError::Version { found }),
            None => return Err(TokensError::Damaged),
        }
        let mut find = || {
            let header = reader.header()?;
            let (head, rest) = archive.split_at_checked(archive.len() - reader.0.len())?;
            let (rest, checksum) = rest.split_last_chunk()?;
            let (_, length) = rest.split_last_chunk()?;
            let length = LENGTH + usize::try_from(u32::from_le_bytes(*length)).ok()?;
            let (payload, index) = rest.split_at_checked(rest.len().checked_sub(length)?)?;
            Some(Self { header, head, payload, index, checksum: u32::from_le_bytes(*checksum) })
        };
        find().ok_or(TokensError::Damaged)
    }

    fn groups(&self) -> Result<Vec<Group>, TokensError> {
        if !(1..=MAX_BITS).contains(&self.header.bits) {
            return Err(TokensError::Malformed("tokens of no bits or of more than 16"));
        }
        let index = self.index.get(..self.index.len() - LENGTH).and_then(|index| decompress(index, MAX_INDEX));
        let index = index.ok_or(TokensError::Malformed("no index"))?;
        let mut reader = Reader(&index);
        let groups = reader.groups().ok_or(TokensError::Malformed("impossible index"))?;
        if reader.0.is_empty() { Ok(groups) } else { Err(TokensError::Malformed("index with a rest")) }
    }
}

/// Decompresses at most `limit` bytes.
fn decompress(bytes: &[u8], limit: usize) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    zstd::Decoder::new(bytes).ok()?.take(limit as u64 + 1).read_to_end(&mut content).ok()?;
    (content.len() <= limit).then_some(content)
}

/// Checks that every name is a relative path below the folder that it is restored to, and that no two meet there.
pub(crate) fn check_names<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), TokensError> {
    let mut names: Vec<&str> = names.collect();
    for name in &names {
        let plain = |component| matches!(component, Component::Normal(_));
        // What `Path` takes for the same path must be the same text, or a duplicate could hide.
        let text: Vec<_> =
            Path::new(name).components().map(|component| component.as_os_str().to_string_lossy()).collect();
        if name.is_empty()
            || name.len() > MAX_NAME
            || name.contains(['\\', '\0'])
            || !Path::new(name).components().all(plain)
            || text.join("/") != *name
        {
            return Err(TokensError::Name { name: (*name).into() });
        }
    }
    // Part by part: right behind a name comes what would be below it if it were a folder.
    names.sort_unstable_by(|a, b| a.split('/').cmp(b.split('/')));
    let meet =
        |pair: &&[&str]| pair[1].strip_prefix(pair[0]).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    match names.windows(2).find(meet) {
        Some(pair) => Err(TokensError::Duplicate { name: pair[0].into() }),
        None => Ok(()),
    }
}

/// Seven bits a byte, the lowest first; the top bit says that more follow.
fn write_number(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_number(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    fn number(&mut self) -> Option<usize> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return usize::try_from(value).ok();
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(length)
    }

    fn checksum(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*bytes))
    }

    fn header(&mut self) -> Option<Header> {
        let bits = self.byte()?.into();
        let prior = match self.byte()? {
            0 => None,
            1 => Some(self.checksum()?),
            _ => return None,
        };
        let order = self.bytes()?;
        (order.len() <= MAX_ORDER).then(|| Header { bits, prior, order: order.to_vec() })
    }

    fn groups(&mut self) -> Option<Vec<Group>> {
        let count = self.number()?;
        (0..count).map(|_| self.group()).collect()
    }

    fn group(&mut self) -> Option<Group> {
        let (length, checksum, count) = (self.number()?, self.checksum()?, self.number()?);
        let entries = (0..count).map(|_| self.entry()).collect::<Option<Vec<_>>>()?;
        (!entries.is_empty()).then_some(Group { length, checksum, entries })
    }

    fn entry(&mut self) -> Option<Entry> {
        let name = std::str::from_utf8(self.bytes()?).ok()?.to_string();
        let dtype = Dtype::from_number(self.number()?)?;
        let count = self.number().filter(|&count| count <= 3)?;
        let dimensions = (0..count).map(|_| self.number()).collect::<Option<Vec<_>>>()?;
        let shape = Shape::new(&dimensions)?;
        let header = Some(self.bytes()?.to_vec()).filter(|header| !header.is_empty());
        Some(Entry { name, dtype, shape, header, checksum: self.checksum()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: String) -> Entry {
        let (dtype, shape) = (Dtype::from_number(5).unwrap(), Shape::new(&[0, 8, 16]).unwrap());
        Entry { name, dtype, shape, header: None, checksum: 0 }
    }

    /// An archive whose checksums fit, of groups without payload.
    fn archive(bits: u32, groups: Vec<Vec<Entry>>) -> Result<Vec<u8>, TokensError> {
        let head = header(&Header { bits, prior: None, order: Vec::new() });
        let group = |entries| Group { length: 0, checksum: crc32fast::hash(&[]), entries };
        let index = index(&head, &groups.into_iter().map(group).collect::<Vec<_>>())?;
        Ok([head, index].concat())
    }

    #[test]
    fn what_no_encoder_writes_is_refused_behind_fitting_checksums() {
        let one = || vec![vec![entry("a.npy".into())]];
        assert_eq!(split(&archive(1, one()).unwrap()).unwrap().groups[0].0.entries, one()[0]);
        for bits in [0, 17, 255] {
            assert!(matches!(split(&archive(bits, one()).unwrap()), Err(TokensError::Malformed(_))), "{bits} bits");
        }
        assert!(matches!(split(&archive(1, vec![vec![]]).unwrap()), Err(TokensError::Malformed(_))), "an empty group");
        for name in ["", "/a", "../a", "a/..", "a//b", "./a", &"a".repeat(MAX_NAME + 1)] {
            let bytes = archive(1, vec![vec![entry(name.into())]]).unwrap();
            assert!(matches!(split(&bytes), Err(TokensError::Name { .. })), "{name:?}");
        }
        for pair in [["a", "a"], ["a/b", "a"], ["a", "a/b/c"]] {
            // Between the two in the order of their bytes.
            let names = [pair[0], "a-b", "a.b/c", "a0", pair[1]];
            let bytes = archive(1, vec![names.map(|name| entry(name.into())).to_vec()]).unwrap();
            assert!(matches!(split(&bytes), Err(TokensError::Duplicate { .. })), "{pair:?}");
        }
    }

    #[test]
    fn an_index_has_its_limit_both_ways() {
        let names = (0..).map(|i| format!("{i:0>width$}", width = MAX_NAME));
        let entries: Vec<_> = names.map(entry).take(MAX_INDEX / MAX_NAME).collect();
        assert!(matches!(archive(1, vec![entries]), Err(TokensError::TooMany)));

        // Few bytes that decompress to many.
        let head = header(&Header { bits: 1, prior: None, order: Vec::new() });
        let mut bytes = zstd::bulk::compress(&vec![0; MAX_INDEX + 1], INDEX_LEVEL).unwrap();
        assert!(bytes.len() < 10_000);
        bytes.extend((bytes.len() as u32).to_le_bytes());
        bytes.extend(frame_checksum(&head, &bytes).to_le_bytes());
        assert!(matches!(split(&[head, bytes].concat()), Err(TokensError::Malformed("no index"))));
    }

    #[test]
    fn deep_names_take_no_longer_than_flat_ones() {
        let deep = |i: usize| entry(format!("{}{i}", "a/".repeat(2000)));
        let bytes = archive(1, vec![(0..2000).map(deep).collect()]).unwrap();
        assert_eq!(split(&bytes).unwrap().groups[0].0.entries.len(), 2000);
    }
}
