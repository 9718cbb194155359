//! The .npy format: token videos as NumPy saves them (NumPy enhancement proposal 1).

use thiserror::Error;

/// First bytes of every .npy file.
const MAGIC: &[u8] = b"\x93NUMPY";
/// Most bytes of a header; real ones have 118.
const MAX_HEADER: usize = 1 << 16;
/// What header and magic are padded to.
const ALIGNMENT: usize = 64;
/// Most tokens of a frame.
pub(crate) const MAX_FRAME: usize = 1 << 20;
/// Most tokens of a file.
pub(crate) const MAX_TOKENS: usize = 1 << 28;

/// Why a file is no token video.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum NpyError {
    /// No bytes at all.
    #[error("the file is empty; save it again")]
    Empty,
    /// Something else, or cut within the header.
    #[error("not a .npy file, or cut off in its header")]
    NotNpy,
    /// The header's dictionary is not as NumPy writes it.
    #[error("the .npy header is malformed: {0}")]
    Header(&'static str),
    /// Not integers of 1, 2, 4 or 8 bytes.
    #[error(
        "dtype {0}: tokens must be integers (uint8, int16, uint16, int32, int64...); convert with .astype('int16')"
    )]
    Dtype(String),
    /// Columns first.
    #[error("the array is in Fortran order; save numpy.ascontiguousarray(tokens)")]
    Fortran,
    /// Not two or three dimensions, or too large.
    #[error(
        "shape {0}: expected (frames, height, width) or (frames, tokens), with 1 to 2^20 tokens a frame and at most 2^28 in all"
    )]
    Shape(String),
    /// The data does not have the length that the header says.
    #[error("{found} bytes of data where the header says {expected}: the file is cut off or has grown; save it again")]
    Length {
        /// By the header.
        expected: usize,
        /// In the file.
        found: usize,
    },
    /// Not a token.
    #[error("value {value} at index {index}: tokens are 0 to 65535")]
    Value {
        /// Counted over the whole array.
        index: usize,
        /// What stands there.
        value: i128,
    },
}

/// Integers as a .npy file stores them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dtype {
    signed: bool,
    big_endian: bool,
    /// Bytes are `2^size`, 0 to 3.
    size: u8,
}

impl Dtype {
    /// From NumPy's name for it.
    fn parse(descr: &str) -> Option<Self> {
        let (order, rest) = descr.split_at_checked(1)?;
        let (kind, bytes) = rest.split_at_checked(1)?;
        let big_endian = match order {
            "<" | "|" | "=" => false,
            ">" => true,
            _ => return None,
        };
        let signed = match kind {
            "i" => true,
            "u" => false,
            _ => return None,
        };
        let size = ["1", "2", "4", "8"].iter().position(|&known| known == bytes)? as u8;
        Some(Self { signed, big_endian: big_endian && size > 0, size })
    }

    /// NumPy's name for it.
    fn descr(self) -> String {
        let order = match (self.size, self.big_endian) {
            (0, _) => '|',
            (_, false) => '<',
            (_, true) => '>',
        };
        format!("{order}{}{}", if self.signed { 'i' } else { 'u' }, self.bytes())
    }

    /// Bytes of a value.
    pub fn bytes(self) -> usize {
        1 << self.size
    }

    /// As one number, 0 to 15.
    pub fn to_number(self) -> usize {
        usize::from(self.size) << 2 | usize::from(self.big_endian) << 1 | usize::from(self.signed)
    }

    /// From [`to_number`](Self::to_number).
    pub fn from_number(number: usize) -> Option<Self> {
        let dtype = Self { signed: number & 1 == 1, big_endian: number & 2 == 2, size: (number >> 2) as u8 };
        (dtype.size < 4 && !(dtype.size == 0 && dtype.big_endian)).then_some(dtype)
    }

    /// The value of `bytes`, as many as [`Dtype::bytes`].
    fn value(self, bytes: &[u8]) -> i128 {
        let fold = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        let value = if self.big_endian { bytes.iter().fold(0, fold) } else { bytes.iter().rev().fold(0, fold) };
        let unused = 64 - 8 * self.bytes() as u32;
        if self.signed { i128::from((value << unused) as i64 >> unused) } else { value.into() }
    }

    /// Appends `token` as this type.
    fn append(self, token: u16, out: &mut Vec<u8>) {
        let value = u64::from(token);
        let n = self.bytes();
        if self.big_endian {
            out.extend_from_slice(&value.to_be_bytes()[8 - n..]);
        } else {
            out.extend_from_slice(&value.to_le_bytes()[..n]);
        }
    }
}

/// Size of a token video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// (frames, height, width)
    Grid(usize, usize, usize),
    /// (frames, tokens)
    Flat(usize, usize),
}

impl Shape {
    /// From the dimensions, unless they are too many, too few or too large.
    pub fn new(dimensions: &[usize]) -> Option<Self> {
        let (shape, frame) = match *dimensions {
            [frames, height, width] => (Self::Grid(frames, height, width), height.checked_mul(width)?),
            [frames, tokens] => (Self::Flat(frames, tokens), tokens),
            _ => return None,
        };
        let count = dimensions[0].checked_mul(frame)?;
        ((1..=MAX_FRAME).contains(&frame) && count <= MAX_TOKENS).then_some(shape)
    }

    /// The dimensions, as NumPy has them.
    pub fn dimensions(self) -> Vec<usize> {
        match self {
            Self::Grid(frames, height, width) => vec![frames, height, width],
            Self::Flat(frames, tokens) => vec![frames, tokens],
        }
    }

    /// Tokens in all.
    pub fn count(self) -> usize {
        self.dimensions().iter().product()
    }

    /// Height and width of a frame. commaVQ's 128 tokens are known to be 8 x 16; other flat frames are taken for one row.
    pub fn grid(self) -> (usize, usize) {
        match self {
            Self::Grid(_, height, width) => (height, width),
            Self::Flat(_, 128) => (8, 16),
            Self::Flat(_, tokens) => (1, tokens),
        }
    }
}

/// A token video, and all that is needed to write the same .npy file again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Npy {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Shape,
    /// All bytes before the data, where they are not what NumPy would write.
    pub(crate) header: Option<Vec<u8>>,
    pub(crate) tokens: Vec<u16>,
}

impl Npy {
    /// Reads a .npy file.
    pub fn parse(bytes: &[u8]) -> Result<Self, NpyError> {
        if bytes.is_empty() {
            return Err(NpyError::Empty);
        }
        let rest = bytes.strip_prefix(MAGIC).ok_or(NpyError::NotNpy)?;
        let (start, length) = match *rest {
            [1, _, a, b, ..] => (10, usize::from(u16::from_le_bytes([a, b]))),
            [2 | 3, _, a, b, c, d, ..] => (12, u32::from_le_bytes([a, b, c, d]) as usize),
            _ => return Err(NpyError::NotNpy),
        };
        if length > MAX_HEADER {
            return Err(NpyError::Header("too long"));
        }
        let (header, data) = bytes.split_at_checked(start + length).ok_or(NpyError::NotNpy)?;
        let text = std::str::from_utf8(&header[start..]).map_err(|_| NpyError::Header("not text"))?;
        // The newest version came behind Python 2.
        let dictionary = Dictionary::parse(text, rest.first() < Some(&3))?;
        let dtype = dictionary.descr.as_deref().and_then(Dtype::parse).ok_or(NpyError::Dtype(dictionary.descr_text))?;
        if dictionary.fortran {
            return Err(NpyError::Fortran);
        }
        let shape = Shape::new(&dictionary.shape).ok_or_else(|| NpyError::Shape(tuple(&dictionary.shape)))?;
        let expected = shape.count() * dtype.bytes();
        if data.len() != expected {
            return Err(NpyError::Length { expected, found: data.len() });
        }
        let token = |(index, bytes)| {
            let value = dtype.value(bytes);
            u16::try_from(value).map_err(|_| NpyError::Value { index, value })
        };
        let tokens = data.chunks_exact(dtype.bytes()).enumerate().map(token).collect::<Result<_, _>>()?;
        let header = (header != usual_header(dtype, shape)).then(|| header.to_vec());
        Ok(Self { dtype, shape, header, tokens })
    }

    /// The file, byte for byte.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.header.clone().unwrap_or_else(|| usual_header(self.dtype, self.shape));
        bytes.reserve_exact(self.tokens.len() * self.dtype.bytes());
        self.tokens.iter().for_each(|&token| self.dtype.append(token, &mut bytes));
        bytes
    }

    /// All tokens, frame after frame, each row after row.
    pub fn tokens(&self) -> &[u16] {
        &self.tokens
    }

    /// Height and width of a frame, in tokens.
    pub fn grid(&self) -> (usize, usize) {
        self.shape.grid()
    }
}

/// `(1200, 8, 16)`
fn tuple(dimensions: &[usize]) -> String {
    match dimensions {
        [one] => format!("({one},)"),
        _ => format!("({})", dimensions.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// Magic and header as NumPy writes them.
fn usual_header(dtype: Dtype, shape: Shape) -> Vec<u8> {
    let (descr, shape) = (dtype.descr(), tuple(&shape.dimensions()));
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    let padding = ALIGNMENT - (MAGIC.len() + 4 + text.len() + 1) % ALIGNMENT;
    text.extend(std::iter::repeat_n(' ', padding));
    text.push('\n');
    let length = (text.len() as u16).to_le_bytes();
    [MAGIC, &[1, 0], &length, text.as_bytes()].concat()
}

/// What a header says.
struct Dictionary {
    /// A simple type's name.
    descr: Option<String>,
    /// The type as it is written.
    descr_text: String,
    fortran: bool,
    shape: Vec<usize>,
}

impl Dictionary {
    /// Reads a Python dictionary with the keys `descr`, `fortran_order` and `shape` in any order; where it may be Python 2's, as
    /// NumPy does: numbers of the shape may be long integers, `20L`.
    fn parse(text: &str, python2: bool) -> Result<Self, NpyError> {
        let malformed = NpyError::Header("no dictionary of descr, fortran_order and shape");
        let body = text.trim().strip_prefix('{').and_then(|text| text.strip_suffix('}')).ok_or(malformed)?;
        let value = |key: &'static str| -> Option<&str> {
            let at = ['\'', '"'].iter().find_map(|quote| body.find(&format!("{quote}{key}{quote}")))?;
            let rest = body[at + key.len() + 2..].trim_start().strip_prefix(':')?.trim_start();
            let mut depth = 0;
            let ends = |c: char| {
                depth += i32::from("([".contains(c)) - i32::from(")]".contains(c));
                c == ',' && depth == 0
            };
            Some(rest[..rest.find(ends).unwrap_or(rest.len())].trim())
        };
        let descr_text = value("descr").ok_or(NpyError::Header("no descr"))?.to_string();
        let unquoted = |quote| descr_text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
        let descr = unquoted('\'').or_else(|| unquoted('"')).map(str::to_string);
        let fortran = match value("fortran_order") {
            Some("False") => false,
            Some("True") => true,
            _ => return Err(NpyError::Header("fortran_order is neither True nor False")),
        };
        let shape = value("shape").ok_or(NpyError::Header("no shape"))?;
        let inner = shape.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
        let numbers = inner.ok_or(NpyError::Header("shape is no tuple"))?.split(',').map(str::trim);
        let numbers = numbers.filter(|number| !number.is_empty()).map(|number| match number.strip_suffix('L') {
            Some(digits) if python2 => digits.trim_end(),
            _ => number,
        });
        let shape = numbers.map(str::parse).collect::<Result<_, _>>();
        let shape = shape.map_err(|_| NpyError::Header("shape holds no numbers"))?;
        Ok(Self { descr, descr_text, fortran, shape })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A file with the given dictionary and data.
    fn file(dictionary: &str, data: &[u8]) -> Vec<u8> {
        [MAGIC, &[1, 0], &(dictionary.len() as u16).to_le_bytes(), dictionary.as_bytes(), data].concat()
    }

    fn dictionary(descr: &str, fortran: &str, shape: &str) -> String {
        format!("{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}")
    }

    #[test]
    fn what_is_no_token_video_is_refused_by_name() {
        let parse = |descr, fortran, shape, data: &[u8]| {
            Npy::parse(&file(&dictionary(descr, fortran, shape), data)).unwrap_err()
        };
        assert_eq!(Npy::parse(&[]), Err(NpyError::Empty));
        assert_eq!(Npy::parse(b"\x93NUMPY\x01\x00\xff"), Err(NpyError::NotNpy));
        assert_eq!(Npy::parse(&file("{'descr': '<i2'", &[])[..12]), Err(NpyError::NotNpy));
        assert_eq!(Npy::parse(b"PK\x03\x04"), Err(NpyError::NotNpy));
        assert_eq!(parse("'<f4'", "False", "(1, 1)", &[0; 4]), NpyError::Dtype("'<f4'".into()));
        assert_eq!(parse("'|O'", "False", "(1, 1)", &[0; 8]), NpyError::Dtype("'|O'".into()));
        let structured = parse("[('a', '<i2')]", "False", "(1, 1)", &[0; 2]);
        assert_eq!(structured, NpyError::Dtype("[('a', '<i2')]".into()));
        assert_eq!(parse("'<i2'", "True", "(1, 1)", &[0; 2]), NpyError::Fortran);
        assert_eq!(
            parse("'<i2'", "maybe", "(1, 1)", &[0; 2]),
            NpyError::Header("fortran_order is neither True nor False")
        );
        for shape in ["(2,)", "()", "(1, 1, 1, 2)", "(3, 0)", "(1, 99999999)", "(9999999999, 9999999999, 9)"] {
            let fails = parse("'<i2'", "False", shape, &[0; 4]);
            assert_eq!(fails, NpyError::Shape(shape.into()), "{shape}");
        }
        assert_eq!(parse("'<i2'", "False", "(2, 2)", &[0; 6]), NpyError::Length { expected: 8, found: 6 });
        assert_eq!(parse("'<i2'", "False", "(1, 2)", &[0, 0, 255, 255]), NpyError::Value { index: 1, value: -1 });
        let large = u64::MAX.to_le_bytes();
        assert_eq!(parse("'<u8'", "False", "(1, 1)", &large), NpyError::Value { index: 0, value: u64::MAX.into() });
    }

    #[test]
    fn numpys_own_header_is_not_stored() {
        let numpy = file(&format!("{:<117}\n", dictionary("'<i8'", "False", "(1, 8, 16)")), &[0; 1024]);
        let npy = Npy::parse(&numpy).unwrap();
        assert_eq!((npy.header.as_ref(), npy.grid()), (None, (8, 16)));
        assert_eq!(npy.to_bytes(), numpy);
    }

    #[test]
    fn a_header_of_python_2_is_read_and_kept() {
        let shape = "(2L, 1L, 3 L)";
        let bytes = file(&dictionary("'<i2'", "False", shape), &[7, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0]);
        let npy = Npy::parse(&bytes).unwrap();
        assert_eq!((npy.shape, npy.tokens()), (Shape::Grid(2, 1, 3), &[7, 1, 2, 3, 4, 5][..]));
        assert_eq!(npy.to_bytes(), bytes);
        // Version 3 is younger than Python 3.
        let text = dictionary("'<i2'", "False", "(1L, 1L)");
        let length = (text.len() as u32).to_le_bytes();
        let young = [MAGIC, &[3, 0], &length, text.as_bytes(), &[0; 2]].concat();
        assert_eq!(Npy::parse(&young), Err(NpyError::Header("shape holds no numbers")));
        for shape in ["(2LL, 1)", "(L, 2)", "(0x2L, 1)"] {
            let fails = Npy::parse(&file(&dictionary("'<i2'", "False", shape), &[0; 4]));
            assert_eq!(fails, Err(NpyError::Header("shape holds no numbers")), "{shape}");
        }
    }

    proptest! {
        #[test]
        fn files_come_back(
            kind in 0usize..16, flat: bool, frames in 0usize..5, h in 1usize..4, w in 1usize..5, odd: bool,
            seed in prop::collection::vec(any::<u16>(), 60),
        ) {
            let Some(dtype) = Dtype::from_number(kind) else { return Ok(()) };
            prop_assert_eq!(dtype.to_number(), kind);
            let dimensions = if flat { vec![frames, h * w] } else { vec![frames, h, w] };
            let shape = tuple(&dimensions);
            let text = dictionary(&format!("'{}'", dtype.descr()), "False", &shape);
            let text = if odd { text.replace(' ', "") } else { text };
            let mut data = Vec::new();
            let largest = match (dtype.size, dtype.signed) {
                (0, true) => 0x7f,
                (0, false) => 0xff,
                (1, true) => 0x7fff,
                _ => 0xffff,
            };
            let tokens: Vec<u16> = seed[..frames * h * w].iter().map(|&token| token & largest).collect();
            tokens.iter().for_each(|&token| dtype.append(token, &mut data));
            let bytes = file(&text, &data);
            let npy = Npy::parse(&bytes).unwrap();
            prop_assert_eq!(npy.tokens(), &tokens[..]);
            prop_assert_eq!(npy.to_bytes(), bytes);
        }

        #[test]
        fn no_header_makes_it_panic(text in "[{}'\"a-z:(), \\[\\]0-9_<|éF]*", data in prop::collection::vec(any::<u8>(), 0..20)) {
            let _ = Npy::parse(&file(&text, &data));
            let _ = Npy::parse(&[MAGIC, &data].concat());
        }
    }
}
