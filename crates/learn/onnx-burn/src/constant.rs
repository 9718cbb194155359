//! Constant tensors, as stored in a file and as computed at load.

use half::f16;
use ops::frozen::elements;

use crate::proto;

/// A constant: everything of floating point is f32 here, all integers and truth values are i64.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// Dimensions, none for a scalar.
    pub shape: Vec<usize>,
    /// Values, row-major, as many as `shape` has.
    pub data: Data,
}

/// Values of a [`Constant`].
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Of floating point.
    Float(Vec<f32>),
    /// Integers; truth values are 0 and 1.
    Int(Vec<i64>),
}

impl Constant {
    /// A list of integers, rank 1.
    pub fn ints(values: Vec<i64>) -> Self {
        Self { shape: vec![values.len()], data: Data::Int(values) }
    }

    /// The integers, if they are some.
    pub fn as_ints(&self) -> Option<&[i64]> {
        match &self.data {
            Data::Int(values) => Some(values),
            Data::Float(_) => None,
        }
    }

    /// The values of floating point, if they are some.
    pub fn as_floats(&self) -> Option<&[f32]> {
        match &self.data {
            Data::Float(values) => Some(values),
            Data::Int(_) => None,
        }
    }

    /// The value of floating point, if there is just one, whatever the rank.
    pub fn as_scalar(&self) -> Option<f32> {
        match self.as_floats() {
            Some(&[value]) => Some(value),
            _ => None,
        }
    }

    /// From a file; the error says what is wrong.
    pub fn read(tensor: &proto::Tensor) -> Result<Self, String> {
        let named = |detail: &str| format!("tensor '{}' {detail}", tensor.name);
        let dims: Option<Vec<usize>> = tensor.dims.iter().map(|&dim| usize::try_from(dim).ok()).collect();
        let shape = dims.ok_or_else(|| named("has a negative dimension"))?;
        let count = elements(&shape).ok_or_else(|| named("is too large"))?;
        if tensor.data_location != 0 {
            return Err(named("is in another file (external data); save the model with its weights inside"));
        }
        let raw = tensor.raw_data.as_deref();
        let data = match DataType::of(tensor.data_type) {
            Some(DataType::Float) => {
                Data::Float(raw.map_or_else(|| tensor.float_data.clone(), |raw| le(raw, f32::from_le_bytes)))
            }
            Some(DataType::Double) => {
                let values = raw.map_or_else(|| tensor.double_data.clone(), |raw| le(raw, f64::from_le_bytes));
                Data::Float(values.into_iter().map(|value| value as f32).collect())
            }
            Some(DataType::Float16) => Data::Float(match raw {
                Some(raw) => le(raw, |bytes| f16::from_le_bytes(bytes).to_f32()),
                None => tensor.int32_data.iter().map(|&bits| f16::from_bits(bits as u16).to_f32()).collect(),
            }),
            Some(DataType::Int64) => {
                Data::Int(raw.map_or_else(|| tensor.int64_data.clone(), |raw| le(raw, i64::from_le_bytes)))
            }
            Some(DataType::Int32) => Data::Int(match raw {
                Some(raw) => le(raw, |bytes| i32::from_le_bytes(bytes).into()),
                None => tensor.int32_data.iter().map(|&value| value.into()).collect(),
            }),
            Some(DataType::Bool) => Data::Int(match raw {
                Some(raw) => raw.iter().map(|&byte| (byte != 0).into()).collect(),
                None => tensor.int32_data.iter().map(|&value| (value != 0).into()).collect(),
            }),
            None => {
                return Err(named("is neither float, double, float16, int64, int32 nor bool"));
            }
        };
        let found = match &data {
            Data::Float(values) => values.len(),
            Data::Int(values) => values.len(),
        };
        if found != count || raw.is_some_and(|raw| raw.len() != count * width(tensor.data_type)) {
            return Err(named("has more or fewer values than its dimensions say"));
        }
        Ok(Self { shape, data })
    }
}

/// The types of elements that are understood, with their numbers in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataType {
    /// f32.
    Float = 1,
    /// i32.
    Int32 = 6,
    /// i64.
    Int64 = 7,
    /// A byte that is 0 or not.
    Bool = 9,
    /// IEEE half precision.
    Float16 = 10,
    /// f64.
    Double = 11,
}

impl DataType {
    /// By its number in a file.
    pub fn of(number: i32) -> Option<Self> {
        [Self::Float, Self::Int32, Self::Int64, Self::Bool, Self::Float16, Self::Double]
            .into_iter()
            .find(|&known| known as i32 == number)
    }

    /// Whether values of this type are kept as [`Data::Float`].
    pub fn is_float(self) -> bool {
        matches!(self, Self::Float | Self::Float16 | Self::Double)
    }
}

/// Bytes of an element.
fn width(number: i32) -> usize {
    match DataType::of(number) {
        Some(DataType::Bool) | None => 1,
        Some(DataType::Float16) => 2,
        Some(DataType::Float | DataType::Int32) => 4,
        Some(DataType::Double | DataType::Int64) => 8,
    }
}

/// Little-endian values; bytes left over are left out.
fn le<const N: usize, T>(bytes: &[u8], value: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&chunk| value(chunk)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(data_type: DataType, dims: &[i64]) -> proto::Tensor {
        proto::Tensor { dims: dims.into(), data_type: data_type as i32, name: "w".into(), ..Default::default() }
    }

    fn floats(values: &[f32]) -> Constant {
        Constant { shape: vec![values.len()], data: Data::Float(values.into()) }
    }

    #[test]
    fn every_type_is_read_from_bytes_and_from_its_typed_field() {
        let raw =
            |data_type, bytes: Vec<u8>, count| proto::Tensor { raw_data: Some(bytes), ..stored(data_type, &[count]) };
        let expected = floats(&[1.5, -2.0]);
        let halves = [f16::from_f32(1.5), f16::from_f32(-2.0)];
        let cases = [
            raw(DataType::Float, [1.5f32, -2.0].map(f32::to_le_bytes).concat(), 2),
            raw(DataType::Double, [1.5f64, -2.0].map(f64::to_le_bytes).concat(), 2),
            raw(DataType::Float16, halves.map(f16::to_le_bytes).concat(), 2),
            proto::Tensor { float_data: vec![1.5, -2.0], ..stored(DataType::Float, &[2]) },
            proto::Tensor { double_data: vec![1.5, -2.0], ..stored(DataType::Double, &[2]) },
            proto::Tensor { int32_data: halves.map(|h| h.to_bits().into()).into(), ..stored(DataType::Float16, &[2]) },
        ];
        for case in cases {
            assert_eq!(Constant::read(&case).unwrap(), expected, "{case:?}");
        }
        let cases = [
            raw(DataType::Int64, [3i64, -1].map(i64::to_le_bytes).concat(), 2),
            raw(DataType::Int32, [3i32, -1].map(i32::to_le_bytes).concat(), 2),
            proto::Tensor { int64_data: vec![3, -1], ..stored(DataType::Int64, &[2]) },
            proto::Tensor { int32_data: vec![3, -1], ..stored(DataType::Int32, &[2]) },
        ];
        for case in cases {
            assert_eq!(Constant::read(&case).unwrap(), Constant::ints(vec![3, -1]), "{case:?}");
        }
        for case in [
            raw(DataType::Bool, vec![0, 7], 2),
            proto::Tensor { int32_data: vec![0, 1], ..stored(DataType::Bool, &[2]) },
        ] {
            assert_eq!(Constant::read(&case).unwrap(), Constant::ints(vec![0, 1]));
        }
        let scalar = proto::Tensor { float_data: vec![4.0], ..stored(DataType::Float, &[]) };
        assert_eq!(Constant::read(&scalar).unwrap().as_scalar(), Some(4.0));
    }

    #[test]
    fn what_does_not_fit_is_refused_before_anything_is_allocated() {
        let refused = |tensor: proto::Tensor| Constant::read(&tensor).unwrap_err();
        assert!(refused(stored(DataType::Float, &[-1])).contains("'w' has a negative"));
        assert!(refused(stored(DataType::Float, &[i64::MAX, 4])).contains("too large"));
        assert!(refused(stored(DataType::Float, &[1 << 20, 1 << 20])).contains("too large"));
        assert!(refused(stored(DataType::Float, &[1 << 20])).contains("more or fewer"));
        let bytes = proto::Tensor { raw_data: Some(vec![0; 9]), ..stored(DataType::Float, &[2]) };
        assert!(refused(bytes).contains("more or fewer"));
        assert!(refused(proto::Tensor { data_type: 8, ..stored(DataType::Float, &[0]) }).contains("neither"));
        let external = proto::Tensor { data_location: 1, ..stored(DataType::Float, &[2]) };
        assert!(refused(external).contains("weights inside"));
    }
}
