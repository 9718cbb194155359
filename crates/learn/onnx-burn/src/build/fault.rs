//! Why a node of the file cannot be used.

/// Why a node cannot be used; which one is added later.
#[derive(Debug)]
pub enum Fault {
    /// Its operation is not known.
    Unknown,
    /// What is wrong.
    Detail(String),
}

impl From<String> for Fault {
    fn from(detail: String) -> Self {
        Self::Detail(detail)
    }
}

impl From<&str> for Fault {
    fn from(detail: &str) -> Self {
        Self::Detail(detail.into())
    }
}

/// What building a node gives.
pub type Result<T> = std::result::Result<T, Fault>;
