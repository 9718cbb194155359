//! Whole clips decode to known frames, anything else is one named error. `tests/assets/make.py` makes the small clips.

use std::fs;
use std::path::{Path, PathBuf};

use frames::RgbFrame;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::tempdir;
use video::{Clip, VideoError};

fn asset(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/assets").join(name)
}

fn hex(digest: impl AsRef<[u8]>) -> String {
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All frames of the first track, or the error that opening or any frame gave.
fn decode(path: &Path) -> Result<Vec<RgbFrame>, VideoError> {
    Clip::open(path, 0)?.collect()
}

/// Decodes `bytes` as a file named like the asset they come from.
fn decode_bytes(name: &str, bytes: &[u8]) -> Result<Vec<RgbFrame>, VideoError> {
    let folder = tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    decode(&path)
}

/// The error's one line, which must name the file.
fn line(error: &VideoError, name: &str) -> String {
    let text = error.to_string();
    assert!(text.contains(name) && text.contains("; ") && !text.contains('\n'), "{text}");
    text
}

#[test]
fn every_codec_and_container_decodes_to_its_frames() {
    let expected: Value = serde_json::from_str(include_str!("assets/frames.json")).unwrap();
    for (name, expected) in expected.as_object().unwrap() {
        let clip = Clip::open(asset(name), 0).unwrap();
        let size = [clip.width(), clip.height()];
        assert_eq!(
            size.map(|side| side as u64),
            ["width", "height"].map(|key| expected[key].as_u64().unwrap()),
            "{name}"
        );
        let mut hash = Sha256::new();
        let mut count = 0;
        for frame in clip {
            hash.update(frame.unwrap().data());
            count += 1;
        }
        assert_eq!(
            (count, hex(hash.finalize())),
            (expected["frames"].as_u64().unwrap(), expected["sha256"].as_str().unwrap().into()),
            "{name}"
        );
    }
}

#[test]
fn the_reference_clips_give_the_official_frames() {
    let Some(golden) = testdata::shared("golden/frames.json") else { return };
    let golden: Value = serde_json::from_slice(&fs::read(golden).unwrap()).unwrap();
    for (name, golden) in golden.as_object().unwrap() {
        let Some(path) = testdata::shared(&format!("clips/{name}.mkv")) else { return };
        let (mut all, mut some, mut count) = (Sha256::new(), Vec::new(), 0);
        for frame in Clip::open(path, 0).unwrap() {
            let frame = frame.unwrap();
            all.update(frame.data());
            if [0, 1, 110, 219].contains(&count) {
                some.push(hex(Sha256::digest(frame.data())));
            }
            count += 1;
        }
        assert_eq!(golden["frames"], count, "{name}");
        assert_eq!(golden["frame_sha256"], Value::from(some), "{name}");
        assert_eq!(golden["sha256_rgb"], hex(all.finalize()), "{name}");
    }
}

#[test]
fn the_first_track_is_taken_or_the_one_that_is_asked_for() {
    let path = asset("tracks.mp4");
    assert_eq!(
        Clip::open(&path, 1).unwrap().collect::<Result<Vec<_>, _>>().unwrap(),
        decode(&asset("hevc.mkv")).unwrap()
    );
    // The cover is no track.
    let error = Clip::open(&path, 2).err().unwrap();
    assert!(matches!(error, VideoError::Track { track: 2, tracks: 2, .. }), "{error}");
    assert!(line(&error, "tracks.mp4").contains("--track 0 to 1"));
    assert!(matches!(Clip::open(asset("audio.mkv"), 1), Err(VideoError::NoVideoStream { .. })));
}

/// `bytes` with the last `from` in it made `to`.
fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).rposition(|place| place == from).unwrap();
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

#[test]
fn what_follows_the_samples_of_an_mp4_does_not_matter() {
    for name in ["h264.mp4", "h264-index-first.mp4"] {
        let (bytes, whole) = (fs::read(asset(name)).unwrap(), decode(&asset(name)).unwrap());
        let noise: Vec<u8> = (0..3000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let too_long = [&[0, 0, 0xff, 0xff], &b"free"[..], &[0; 9]].concat();
        for trailer in [&[0; 40][..], b"x", b"trailer", &noise, &too_long, &[0, 0, 0, 1], &[0xff; 16]] {
            assert_eq!(decode_bytes(name, &[&bytes, trailer].concat()).unwrap(), whole, "{name}, {trailer:x?}");
        }
        // QuickTime of old times begins otherwise.
        assert_eq!(decode_bytes(name, &replace(&bytes, b"ftyp", b"wide")).unwrap(), whole, "{name}");
    }
    // The last box holds the samples, and claims more than there is.
    let bytes = fs::read(asset("h264-index-first.mp4")).unwrap();
    let at = bytes.windows(4).position(|kind| kind == b"mdat").unwrap() - 4;
    let mut claims = bytes.clone();
    claims[at..at + 4].copy_from_slice(&0x7fff_ffffu32.to_be_bytes());
    assert_eq!(decode_bytes("claims.mp4", &claims).unwrap(), decode(&asset("h264.mp4")).unwrap());
    let error = decode_bytes("claims.mp4", &claims[..claims.len() - 1]).unwrap_err();
    assert!(line(&error, "claims.mp4").contains("cut off"), "{error}");
}

#[test]
fn a_codec_that_ffmpeg_does_not_know_is_called_what_the_container_calls_it() {
    let bytes = fs::read(asset("h264.mp4")).unwrap();
    let error = decode_bytes("odd.mp4", &replace(&bytes, b"avc1", b"qx\x019")).unwrap_err();
    assert!(line(&error, "odd.mp4").contains(r#"the codec "qx\x019", unknown to FFmpeg"#), "{error}");
}

#[test]
fn colour_tags_are_ignored() {
    assert_eq!(decode(&asset("h264-full-range.mkv")).unwrap().len(), 12);
}

#[test]
fn a_clip_can_move_to_another_thread_and_has_any_file_name() {
    use std::os::unix::ffi::OsStringExt;
    let folder = tempdir().unwrap();
    for name in [b"not utf-8 \xff.mkv".to_vec(), b"http:x.mkv".to_vec(), b"%d.mkv".to_vec()] {
        let path = folder.path().join(std::ffi::OsString::from_vec(name));
        fs::copy(asset("hevc.mkv"), &path).unwrap();
        let clip = Clip::open(path, 0).unwrap();
        assert_eq!(std::thread::spawn(move || clip.count()).join().unwrap(), 12);
    }
}

#[test]
fn a_missing_file_and_a_folder_cannot_be_read() {
    let error = decode(Path::new("no such clip.mkv")).unwrap_err();
    assert!(matches!(error, VideoError::Read { .. }), "{error}");
    assert!(line(&error, "no such clip.mkv").contains("No such file"));
    assert!(matches!(decode(&asset("")), Err(VideoError::Read { .. })));
}

#[test]
fn what_is_not_a_video_is_refused() {
    let text = "#EXTM3U\n/etc/passwd\n".repeat(50).into_bytes();
    let noise: Vec<u8> = (0..5000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90\x77\x53\xde".to_vec();
    let listing = b"ffconcat version 1.0\nfile hevc.mkv\n".to_vec();
    for bytes in [text, noise, png, listing, vec![], vec![0; 4096]] {
        let error = decode_bytes("other.mkv", &bytes).unwrap_err();
        assert!(matches!(error, VideoError::NotAVideo { .. }), "{error}");
        line(&error, "other.mkv");
    }
}

#[test]
fn a_file_without_video_or_with_another_codec_is_refused() {
    let audio = decode(&asset("audio.mkv")).unwrap_err();
    assert!(matches!(audio, VideoError::NoVideoStream { .. }), "{audio}");
    line(&audio, "audio.mkv");
    let codec = decode(&asset("mpeg4.mp4")).unwrap_err();
    assert!(matches!(codec, VideoError::Codec { codec: ref name, .. } if name == "mpeg4"), "{codec}");
    line(&codec, "mpeg4.mp4");
}

#[test]
fn other_pixel_formats_are_refused_by_name() {
    for (name, expected) in [("ten-bit.mkv", "yuv420p10le"), ("yuv444.mp4", "yuv444p")] {
        let error = decode(&asset(name)).unwrap_err();
        assert!(matches!(error, VideoError::PixelFormat { format, .. } if format == expected), "{error}");
        assert!(line(&error, name).contains(expected));
    }
}

#[test]
fn headers_alone_are_no_clip() {
    let bytes = fs::read(asset("h264-fragments.mp4")).unwrap();
    let first_fragment = bytes.windows(4).position(|kind| kind == b"moof").unwrap() - 4;
    let error = decode_bytes("empty.mp4", &bytes[..first_fragment]).unwrap_err();
    assert!(matches!(error, VideoError::NoFrames { .. }), "{error}");
    line(&error, "empty.mp4");
}

#[test]
fn a_frame_of_another_size_ends_the_clip_with_an_error() {
    let mut clip = Clip::open(asset("size-change.hevc"), 0).unwrap();
    let frames: Vec<_> = clip.by_ref().take_while(Result::is_ok).collect();
    assert_eq!(frames.len(), 12);
    let error = decode(&asset("size-change.hevc")).unwrap_err();
    assert!(matches!(error, VideoError::SizeChange { frame: 12, from: (64, 48), to: (96, 64), .. }), "{error}");
    line(&error, "size-change.hevc");
    assert!(clip.next().is_none());
}

#[test]
fn a_clip_cut_off_anywhere_is_an_error() {
    let whole = |name: &str| fs::read(asset(name)).unwrap();
    let index_first = whole("h264-index-first.mp4");
    let mut clips =
        ["hevc.mkv", "h264.mp4", "av1-odd.mkv", "h264-open-gop.mkv"].map(|name| (name, whole(name))).to_vec();
    clips.push(("no-ftyp.mov", replace(&index_first, b"ftyp", b"skip")));
    clips.push(("index-first.mp4", index_first));
    // Behind its frames an AVI has another index, which nobody needs.
    let mut avi = whole("h264.avi");
    avi.truncate(avi.windows(4).position(|kind| kind == b"idx1").unwrap());
    assert_eq!(decode_bytes("h264.avi", &avi).unwrap().len(), 12);
    clips.push(("h264.avi", avi));
    for (name, bytes) in clips {
        for length in (1..bytes.len()).step_by(5).chain(bytes.len() - 40..bytes.len()) {
            match decode_bytes(name, &bytes[..length]) {
                Err(VideoError::CutOff { .. }) => {}
                Err(VideoError::NotAVideo { .. }) if length < 12 => {}
                other => panic!("{name}, {length} of {} bytes: {:?}", bytes.len(), other.map(|frames| frames.len())),
            }
        }
    }
}

#[test]
fn a_transport_stream_lacks_no_packet() {
    let bytes = fs::read(asset("h264.ts")).unwrap();
    for length in (1..bytes.len()).filter(|length| length % 188 != 0).step_by(7) {
        let error = decode_bytes("cut.ts", &bytes[..length]).unwrap_err();
        assert!(matches!(error, VideoError::CutOff { .. }) || length < 400, "{length} bytes: {error}");
    }
    let is_video = |packet: &[u8]| packet[1] & 0x1f == 1 && packet[2] == 0;
    let packets: Vec<&[u8]> = bytes.chunks(188).collect();
    let start = packets.iter().position(|packet| is_video(packet)).unwrap();
    let stop = packets.iter().rposition(|packet| is_video(packet)).unwrap();
    for missing in start + 1..stop {
        let holed = [&packets[..missing], &packets[missing + 1..]].concat().concat();
        match decode_bytes("holed.ts", &holed) {
            Err(error @ VideoError::Gap { .. }) => _ = line(&error, "holed.ts"),
            other => assert!(!is_video(packets[missing]) && other.unwrap().len() == 12, "packet {missing}"),
        }
    }
}

#[test]
fn a_cut_off_recording_without_a_stated_size_never_gives_part_of_a_frame() {
    // Live Matroska and fragmented MP4 may end between two elements, which nothing in the file contradicts.
    for name in ["hevc-live.mkv", "h264-fragments.mp4", "av1-annexb.obu"] {
        let whole = decode(&asset(name)).unwrap();
        let bytes = fs::read(asset(name)).unwrap();
        let mut accepted = 0;
        for length in 1..bytes.len() {
            if let Ok(frames) = decode_bytes(name, &bytes[..length]) {
                assert_eq!(frames, whole[..frames.len()], "{name}, {length} bytes");
                accepted += 1;
            }
        }
        assert!(accepted <= 12, "{name}: {accepted} lengths accepted");
    }
}

#[test]
fn hevc_begins_with_a_picture_that_needs_no_other() {
    // Without its first frame the stream begins with pictures that refer to it, until the key picture that is frame 6.
    let bytes = fs::read(asset("hevc.ts")).unwrap();
    let packets: Vec<&[u8]> = bytes.chunks(188).collect();
    let mut starts = (0..packets.len()).filter(|&at| packets[at][1..3] == [0x41, 0]);
    let (first, second) = (starts.next().unwrap(), starts.next().unwrap());
    let frames = decode_bytes("late.ts", &[&packets[..first], &packets[second..]].concat().concat()).unwrap();
    assert!(frames == decode(&asset("hevc.mkv")).unwrap()[6..], "{} frames", frames.len());
}

#[test]
fn a_cut_off_flv_or_transport_stream_gives_whole_frames_alone() {
    for name in ["h264.flv", "h264.ts"] {
        let whole = decode(&asset(name)).unwrap();
        let bytes = fs::read(asset(name)).unwrap();
        for length in (1..bytes.len()).filter(|length| name != "h264.ts" || length % 188 == 0) {
            if let Ok(frames) = decode_bytes(name, &bytes[..length]) {
                // Those that a missing one would stand between come later in the file.
                assert!(frames.iter().all(|frame| whole.contains(frame)), "{name}, {length} bytes");
            }
        }
    }
}

#[test]
fn sizes_beyond_the_limit_are_refused() {
    let error = decode(&asset("too-wide.mkv")).unwrap_err();
    assert!(matches!(error, VideoError::Size { width: 8194, height: 16, .. }), "{error}");
    line(&error, "too-wide.mkv");
}

#[test]
fn a_hole_in_the_stream_is_an_error() {
    // Offsets of slice headers; a hole behind one decodes to wrong pixels that nothing contradicts.
    for (name, offset) in
        [("hevc.mkv", 1473), ("hevc.hevc", 1130), ("h264.mp4", 1726), ("av1-odd.mkv", 957), ("h264-open-gop.mkv", 2000)]
    {
        let mut bytes = fs::read(asset(name)).unwrap();
        bytes[offset..offset + 8].fill(0);
        match decode_bytes(name, &bytes) {
            Err(error @ VideoError::Damaged { .. }) => _ = line(&error, name),
            other => panic!("{name}: {:?}", other.map(|frames| frames.len())),
        }
    }
}

#[test]
fn a_frame_that_the_decoder_passes_over_is_missed() {
    // The hole turns a frame's NAL unit into one of a type that decoders ignore.
    let mut bytes = fs::read(asset("hevc.mkv")).unwrap();
    bytes[1478..1486].fill(0);
    let error = decode_bytes("hevc.mkv", &bytes).unwrap_err();
    assert!(matches!(error, VideoError::LostFrames { lost: 1, .. }), "{error}");
    line(&error, "hevc.mkv");
}

#[test]
fn damage_never_panics() {
    for name in [
        "hevc.mkv",
        "hevc.hevc",
        "h264.mp4",
        "h264-fragments.mp4",
        "av1-odd.mkv",
        "h264-open-gop.mkv",
        "h264.ts",
        "h264.avi",
        "h264.flv",
        "av1-annexb.obu",
    ] {
        let bytes = fs::read(asset(name)).unwrap();
        for at in (0..bytes.len()).step_by(17) {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << (at % 8);
            if let Err(error) = decode_bytes(name, &bytes) {
                line(&error, name);
            }
        }
    }
}
