//! Errors of codecs, with the class that policy looks at.

use crate::base::Fault;

/// What went wrong in a codec.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{component}: {detail}")]
pub struct CodecError {
    fault: Fault,
    component: &'static str,
    detail: String,
}

impl CodecError {
    /// An error of `component` (`h264 decoder`, `x264`), told in `detail` to a person.
    pub fn new(fault: Fault, component: &'static str, detail: impl Into<String>) -> CodecError {
        CodecError { fault, component, detail: detail.into() }
    }

    /// The class.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// Who says so.
    pub fn component(&self) -> &'static str {
        self.component
    }
}
