//! How much the model looks at.

/// Contexts that count.
pub(super) const CONTEXTS: usize = 19;
/// Codes that vote for themselves.
pub(super) const CANDIDATES: usize = 24;
/// Neighbours that the regression on classes looks at.
pub(super) const SLOTS: usize = 24;
