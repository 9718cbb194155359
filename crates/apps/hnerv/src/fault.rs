//! Whose fault an error is: the exit code tells it.

use anyhow::Error;
use dataset::DatasetError;
use decoder::DecoderError;
use encode::{EncodeError, ResumeError};
use run::RunError;

/// A command's error as `cli` tells it by its exit code: an interruption is none, and what no user can mend is the program's own.
pub fn told(error: Error) -> Error {
    let interrupted = |error: &DatasetError| matches!(error, DatasetError::Interrupted);
    if error.downcast_ref().is_some_and(interrupted)
        || matches!(error.downcast_ref(), Some(RunError::Dataset(error)) if interrupted(error))
    {
        return cli::Interrupted.into();
    }
    let internal = error.downcast_ref().is_some_and(RunError::is_internal)
        || error.downcast_ref().is_some_and(EncodeError::is_internal)
        || matches!(error.downcast_ref(), Some(ResumeError::Encode(error)) if error.is_internal())
        || error.downcast_ref().is_some_and(DatasetError::is_internal)
        // Every representation can be decoded: it was checked when it was made.
        || error.is::<DecoderError>();
    if internal { cli::Internal(format!("{error:#}")).into() } else { error }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use anyhow::anyhow;
    use decoder::DecoderError;

    use super::*;

    #[test]
    fn what_no_user_can_mend_is_internal() {
        let sample = || DecoderError::Sample { index: 7, samples: 3 };
        let frames = || DatasetError::Samples { found: 3, frames: 1 };
        let internal: [Error; 6] = [
            RunError::Decoder(sample()).into(),
            RunError::Dataset(frames()).into(),
            EncodeError::Source.into(),
            Error::new(ResumeError::Encode(EncodeError::Decoder(sample()))).context("a.bin"),
            frames().into(),
            sample().into(),
        ];
        for error in internal {
            let text = format!("{error:#}");
            let told = told(error);
            assert!(told.is::<cli::Internal>() && told.to_string().contains(&text), "{told}");
        }
        let mended: [Error; 4] = [
            RunError::Exists(PathBuf::from("run")).into(),
            EncodeError::Unreachable { target: 1, least: 2 }.into(),
            DatasetError::NoDecoder { path: PathBuf::from("clip") }.into(),
            anyhow!("a file is missing"),
        ];
        for error in mended {
            let text = error.to_string();
            let told = told(error);
            assert!(!told.is::<cli::Internal>() && told.to_string() == text, "{told}");
        }
        for error in [DatasetError::Interrupted.into(), RunError::Dataset(DatasetError::Interrupted).into()] {
            assert!(told(error).is::<cli::Interrupted>());
        }
    }
}
