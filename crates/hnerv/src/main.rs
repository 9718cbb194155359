//! The `hnerv` command.

fn main() {}
