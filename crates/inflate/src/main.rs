//! The `inflate` command.

fn main() {}
