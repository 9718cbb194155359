//! Other libraries' messages.

use std::error::Error;

/// A library's message and those of its causes, on one line of bearable length.
pub fn one_line(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source()).map(|error| error.to_string());
    let text = causes.collect::<Vec<_>>().join(": ").split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(300) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
