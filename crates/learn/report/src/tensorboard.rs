//! The figures of metrics.jsonl as an event file of TensorBoard.
//!
//! Records as in TensorFlow's `tensorflow/core/lib/io/record_writer.h`: length (u64), masked CRC-32C of the length (u32),
//! payload, masked CRC-32C of the payload (u32), integers little-endian. The payload is an `Event` of
//! `tensorflow/core/util/event.proto`, of which the messages here are the part in use.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use crate::epoch::EpochLine;
use crate::error::ReportError;

#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    /// Optional so that a zero is written too.
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// An event file with an event per epoch, its step the number of the epoch.
///
/// Wall time is that of training without interruptions, moved so that it goes on from now: a resumed run makes one line.
pub struct EventFile {
    path: PathBuf,
    /// When the training would have begun, in seconds since 1970.
    begin: f64,
}

impl EventFile {
    /// Writes the file anew with the events of `lines`, those that a resumed run keeps.
    pub fn create(path: PathBuf, lines: &[EpochLine]) -> Result<Self, ReportError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let begin = now - lines.last().map_or(0.0, |line| line.seconds);
        let version = Event { wall_time: begin, file_version: Some("brain.Event:2".into()), ..Default::default() };
        let mut bytes = record(&version.encode_to_vec());
        lines.iter().for_each(|line| bytes.extend(record(&event(begin, line).encode_to_vec())));
        output::write_whole(&path, &bytes)?;
        Ok(Self { path, begin })
    }

    /// Appends the event of one epoch.
    pub fn append(&mut self, line: &EpochLine) -> Result<(), ReportError> {
        let bytes = record(&event(self.begin, line).encode_to_vec());
        let append = || OpenOptions::new().append(true).create(true).open(&self.path)?.write_all(&bytes);
        append().map_err(|source| ReportError::Io { path: self.path.clone(), source })
    }
}

fn event(begin: f64, line: &EpochLine) -> Event {
    let score = line.score.as_ref();
    let figures = [
        ("loss", Some(line.loss)),
        ("learning_rate", Some(line.learning_rate)),
        ("seconds", Some(line.seconds)),
        ("training/psnr", line.psnr),
        ("training/segnet", line.segnet),
        ("training/posenet", line.posenet),
        ("quantized/psnr", line.quantized_psnr),
        ("quantized/segnet", score.map(|score| score.segnet)),
        ("quantized/posenet", score.map(|score| score.posenet)),
        ("quantized/archive_bytes", score.map(|score| score.archive_bytes as f64)),
        ("quantized/score", score.map(|score| score.score)),
    ];
    let value =
        |(tag, figure): (&str, Option<f64>)| Some(Value { tag: tag.into(), simple_value: Some(figure? as f32) });
    Event {
        wall_time: begin + line.seconds,
        step: line.epoch as i64,
        file_version: None,
        summary: Some(Summary { value: figures.into_iter().filter_map(value).collect() }),
    }
}

fn record(payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u64).to_le_bytes();
    [&length, masked(&length).to_le_bytes().as_slice(), payload, &masked(payload).to_le_bytes()].concat()
}

/// A CRC of bytes that hold CRCs themselves would be weak, hence the mask (`tensorflow/core/lib/hash/crc32c.h`).
fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use metric::Score;

    /// CRC-32C bit by bit.
    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1)))
        })
    }

    fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
        let (head, tail) = bytes.split_at(count);
        *bytes = tail;
        head
    }

    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = take(bytes, 1)[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }

    /// Number and content of a message's fields; varints as eight bytes.
    fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let content = match key & 7 {
                0 => varint(&mut bytes).to_le_bytes().to_vec(),
                1 => take(&mut bytes, 8).to_vec(),
                2 => {
                    let length = varint(&mut bytes) as usize;
                    take(&mut bytes, length).to_vec()
                }
                5 => take(&mut bytes, 4).to_vec(),
                other => panic!("wire type {other}"),
            };
            found.push((key >> 3, content));
        }
        found
    }

    fn field(message: &[u8], number: u64) -> Option<Vec<u8>> {
        fields(message).into_iter().find(|(found, _)| *found == number).map(|(_, content)| content)
    }

    type Scalars = Vec<(String, f32)>;

    /// Step, wall time and scalars of each event after the first, which must tell the version.
    fn read(mut file: &[u8]) -> Vec<(u64, f64, Scalars)> {
        let mut payloads = Vec::new();
        let check = |bytes: &[u8], stored: &[u8]| {
            let expected = ((crc(bytes) >> 15) | (crc(bytes) << 17)).wrapping_add(0xa282_ead8);
            assert_eq!(stored, expected.to_le_bytes());
        };
        while !file.is_empty() {
            let length = take(&mut file, 8);
            check(length, take(&mut file, 4));
            let payload = take(&mut file, u64::from_le_bytes(length.try_into().unwrap()) as usize);
            check(payload, take(&mut file, 4));
            payloads.push(payload);
        }
        assert_eq!(field(payloads.remove(0), 3).unwrap(), b"brain.Event:2");
        let event = |payload: &[u8]| {
            let step = u64::from_le_bytes(field(payload, 2).unwrap().try_into().unwrap());
            let time = f64::from_le_bytes(field(payload, 1).unwrap().try_into().unwrap());
            let scalar = |(_, value): (u64, Vec<u8>)| {
                let number = f32::from_le_bytes(field(&value, 2).unwrap().try_into().unwrap());
                (String::from_utf8(field(&value, 1).unwrap()).unwrap(), number)
            };
            (step, time, fields(&field(payload, 5).unwrap()).into_iter().map(scalar).collect())
        };
        payloads.into_iter().map(event).collect()
    }

    fn line(epoch: usize, seconds: f64) -> EpochLine {
        EpochLine {
            epoch,
            stage: "pixels".into(),
            loss: 0.5,
            psnr: Some(20.0),
            segnet: None,
            posenet: None,
            learning_rate: 0.0,
            quantized_psnr: None,
            score: None,
            seconds,
        }
    }

    #[test]
    fn an_independent_reader_finds_every_figure_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.out.tfevents.0");
        let (first, second) = (line(1, 10.0), line(2, 20.0));
        let mut file = EventFile::create(path.clone(), &[]).unwrap();
        file.append(&first).unwrap();
        file.append(&second).unwrap();

        // The second epoch is trained again after a resumption.
        let mut file = EventFile::create(path.clone(), std::slice::from_ref(&first)).unwrap();
        let score = Score { segnet: 0.25, posenet: 0.5, archive_bytes: 70_001, score: 30.5 };
        let again = EpochLine { score: Some(score), quantized_psnr: Some(19.5), segnet: Some(0.125), ..second };
        file.append(&again).unwrap();

        let events = read(&std::fs::read(&path).unwrap());
        let steps: Vec<u64> = events.iter().map(|(step, ..)| *step).collect();
        assert_eq!(steps, [1, 2]);
        assert!((events[1].1 - events[0].1 - 10.0).abs() < 1e-6);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        assert!((events[0].1 - now).abs() < 60.0);
        let scalars = |list: &[(&str, f32)]| list.iter().map(|(tag, value)| (tag.to_string(), *value)).collect();
        let expected: Scalars =
            scalars(&[("loss", 0.5), ("learning_rate", 0.0), ("seconds", 10.0), ("training/psnr", 20.0)]);
        assert_eq!(events[0].2, expected);
        let expected: Scalars = scalars(&[
            ("loss", 0.5),
            ("learning_rate", 0.0),
            ("seconds", 20.0),
            ("training/psnr", 20.0),
            ("training/segnet", 0.125),
            ("quantized/psnr", 19.5),
            ("quantized/segnet", 0.25),
            ("quantized/posenet", 0.5),
            ("quantized/archive_bytes", 70_001.0),
            ("quantized/score", 30.5),
        ]);
        assert_eq!(events[1].2, expected);
    }

    #[test]
    fn the_checksum_is_castagnoli_s() {
        assert_eq!(crc(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
    }
}
