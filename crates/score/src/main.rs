//! The `score` command.

fn main() {}
