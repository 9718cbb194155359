//! What the tests of several files report on.

use recipe::tables::RecipeTable;

/// A recipe of one epoch.
pub fn recipe() -> RecipeTable {
    let text = "
        clip = { path = 'clip.mkv' }
        decoder = { latent_dim = 4, stem = { channels = 4, height = 6, width = 8 }, layers = [] }
        [[stage]]
        name = 's'
        epochs = 1
        learning_rate = 1e-3
        loss = { l1 = 1.0 }";
    toml::from_str(text).unwrap()
}
