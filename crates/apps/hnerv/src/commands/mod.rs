//! One module per subcommand.

pub mod encode;
pub mod frames;
pub mod import;
pub mod inspect;
pub mod report;
pub mod targets;
pub mod tokens;
pub mod train;
