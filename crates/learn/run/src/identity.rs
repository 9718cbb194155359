//! What a run began with, so that nothing else goes on with it.

use blake3::Hash;
use metric::NetworkHashes;
use serde::{Deserialize, Serialize};

/// What a run began with, by content: hashes of BLAKE3.
#[derive(Clone, Debug, PartialEq)]
pub struct RunIdentity {
    /// Of the recipe's lines, but for where clip and evaluators lie.
    pub recipe: Hash,
    /// Of what training sees of the clip, see [`Dataset::content_hash`](dataset::Dataset::content_hash).
    pub clip: Hash,
    /// Of the evaluators' files, where there are evaluators.
    pub networks: Option<NetworkHashes>,
}

impl RunIdentity {
    /// Of a recipe, as TOML, on a clip.
    pub fn new(config: &str, clip: Hash, networks: Option<NetworkHashes>) -> Self {
        Self { recipe: Self::hash_of(config), clip, networks }
    }

    /// Of a recipe's lines.
    pub(crate) fn hash_of(config: &str) -> Hash {
        let mut hasher = blake3::Hasher::new();
        without_places(config).for_each(|line| {
            hasher.update(line.as_bytes()).update(b"\n");
        });
        hasher.finalize()
    }
}

/// The same as JSON has it: hashes as hexadecimal digits.
#[derive(Serialize, Deserialize)]
pub(crate) struct IdentityHeader {
    recipe: String,
    clip: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    segnet: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    posenet: Option<String>,
}

impl From<&RunIdentity> for IdentityHeader {
    fn from(identity: &RunIdentity) -> Self {
        let hex = |hash: [u8; 32]| Hash::from(hash).to_hex().to_string();
        Self {
            recipe: hex(identity.recipe.into()),
            clip: hex(identity.clip.into()),
            segnet: identity.networks.map(|networks| hex(networks.segnet)),
            posenet: identity.networks.map(|networks| hex(networks.posenet)),
        }
    }
}

impl TryFrom<IdentityHeader> for RunIdentity {
    type Error = blake3::HexError;

    fn try_from(header: IdentityHeader) -> Result<Self, Self::Error> {
        let hash = |text: String| Hash::from_hex(text);
        let network = |text: String| hash(text).map(Into::into);
        let networks = header.segnet.zip(header.posenet);
        let networks = networks.map(|(segnet, posenet)| {
            Ok::<_, Self::Error>(NetworkHashes { segnet: network(segnet)?, posenet: network(posenet)? })
        });
        Ok(Self { recipe: hash(header.recipe)?, clip: hash(header.clip)?, networks: networks.transpose()? })
    }
}

/// A recipe's lines without where clip and evaluators lie: that may change between starts; what they are is compared by content.
pub(crate) fn without_places(config: &str) -> impl Iterator<Item = &str> {
    let places = ["path =", "source =", "segnet =", "posenet ="];
    config.lines().filter(move |line| !places.iter().any(|key| line.starts_with(key)))
}
