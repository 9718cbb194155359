//! What a perception stack says of the original clip.

use metric::{NetworkHashes, SampleOutputs};

/// What a perception stack says of the original clip, and which networks it ran.
#[derive(Clone, Debug, PartialEq)]
pub struct OriginalOutputs {
    /// Those that were asked.
    pub networks: NetworkHashes,
    /// One entry a sample.
    pub samples: Vec<SampleOutputs>,
}
