//! The report on disk: written at a run's end, read when the page is made anew.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use base64::Engine;

use crate::data::RunReport;
use crate::error::ReportError;
use crate::folder::RunFolder;
use crate::lock::RunLock;
use crate::page::{Shown, page};
use crate::pictures::{FRAMES, MAPS, Subject};

/// Largest report that is read: days of video, thousands of epochs.
const MAX_REPORT: u64 = 1 << 30;
/// Largest image that is read: no PNG of an evaluator's input is larger.
const MAX_IMAGE: u64 = 8 << 20;

/// Stores the report and the images of `subjects` in the run folder, and makes the page of them.
pub fn write(folder: &RunFolder, mut report: RunReport, subjects: &[Subject]) -> Result<(), ReportError> {
    report.pictures.clear();
    for subject in subjects {
        let (picture, images) = subject.draw()?;
        for (image, png) in images {
            output::write_whole(folder.image(&picture.file(image)), &png)?;
        }
        report.pictures.push(picture);
    }
    let json = serde_json::to_string_pretty(&report).map_err(ReportError::drawing)?;
    output::write_whole(folder.report_json(), json.as_bytes())?;
    make_page(folder)
}

/// Makes the page anew from the stored report: no clip, no evaluator, no decoder is needed. Nobody else may be at work in the
/// folder.
pub fn remake(folder: &RunFolder) -> Result<(), ReportError> {
    if !folder.report_json().exists() {
        return Err(ReportError::Absent(folder.report_json()));
    }
    let _lock = RunLock::claim(folder)?;
    make_page(folder)
}

fn make_page(folder: &RunFolder) -> Result<(), ReportError> {
    let path = folder.report_json();
    output::keep_apart(&folder.report_html(), [&path])?;
    let text = read(&path, MAX_REPORT)?;
    let report: RunReport = serde_json::from_slice(&text)
        .map_err(|error| ReportError::Invalid { path: path.clone(), detail: error.to_string() })?;
    let mut shown = Vec::new();
    for picture in &report.pictures {
        let image = |name: &str| -> Result<String, ReportError> {
            let png = read(&folder.image(&picture.file(name)), MAX_IMAGE)?;
            Ok(base64::engine::general_purpose::STANDARD.encode(png))
        };
        let [original, reconstruction] = [image(FRAMES[0])?, image(FRAMES[1])?];
        let maps = match picture.class_pixels {
            Some(_) => Some([image(MAPS[0])?, image(MAPS[1])?]),
            None => None,
        };
        shown.push(Shown { picture, original, reconstruction, maps });
    }
    Ok(output::write_whole(folder.report_html(), page(&report, &shown)?.as_bytes())?)
}

/// A file of the report, of at most `limit` bytes.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, ReportError> {
    let failed = |cause: std::io::Error| match cause.kind() {
        ErrorKind::NotFound => ReportError::Absent(path.into()),
        _ => ReportError::Read { path: path.into(), cause },
    };
    let length = fs::metadata(path).map_err(failed)?.len();
    if length > limit {
        let detail = format!("{length} bytes, at most {limit} are possible");
        return Err(ReportError::Invalid { path: path.into(), detail });
    }
    fs::read(path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use archive::Budget;
    use frames::{Planes, RgbFrame};
    use metric::{INPUT_HEIGHT, INPUT_WIDTH, PIXELS};

    use super::*;
    use crate::data::PairFigures;
    use crate::fixture;
    use crate::pictures::ClassMaps;

    fn report() -> RunReport {
        RunReport {
            clip: "clip".into(),
            frames: 2,
            samples: 1,
            parameters: 99,
            gflop_per_pair: 1.0,
            original_bytes: NonZeroU64::MIN,
            archive_bytes: 10,
            metric: None,
            psnr: f64::INFINITY,
            mean_frame_psnr: 18.0,
            training_seconds: 90.0,
            pairs: vec![PairFigures { psnr: 30.0, seen: None }],
            pictures: Vec::new(),
            budget: Budget { bytes: 10, shares: Vec::new() },
            epochs: Vec::new(),
            config: fixture::recipe(),
        }
    }

    #[test]
    fn the_page_is_made_of_what_was_stored() {
        let place = tempfile::tempdir().unwrap();
        let folder = RunFolder::new(place.path().join("run"));
        assert!(matches!(remake(&folder), Err(ReportError::Absent(_))));
        let planes = || Planes::new(3, 4, 6, vec![7.0; 72]).unwrap();
        let seen = RgbFrame::new(INPUT_WIDTH, INPUT_HEIGHT, vec![9; 3 * PIXELS]).unwrap();
        let maps = ClassMaps { original: vec![1; PIXELS], reconstruction: vec![2; PIXELS], seen };
        let subject =
            Subject { label: "Best", sample: 0, original: planes(), reconstruction: planes(), classes: Some(maps) };
        write(&folder, report(), &[subject]).unwrap();
        let page = fs::read(folder.report_html()).unwrap();
        assert_eq!(String::from_utf8_lossy(&page).matches("data:image/png").count(), 4);
        fs::remove_file(folder.report_html()).unwrap();
        let lock = RunLock::claim(&folder).unwrap();
        assert!(matches!(remake(&folder), Err(ReportError::Busy(_))));
        drop(lock);
        remake(&folder).unwrap();
        assert_eq!(fs::read(folder.report_html()).unwrap(), page);

        fs::remove_file(folder.image("pair-0-classes.png")).unwrap();
        let message = remake(&folder).unwrap_err().to_string();
        assert!(message.contains("pair-0-classes.png"), "{message}");
        fs::write(folder.report_json(), b"{}").unwrap();
        let message = remake(&folder).unwrap_err().to_string();
        assert!(message.contains("report.json") && message.contains("clip"), "{message}");
    }
}
