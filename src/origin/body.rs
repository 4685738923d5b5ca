//! The body of an answer: nothing, shared bytes, or what the router made.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

/// A body that is sent without copying.
#[derive(Debug)]
pub enum OriginBody {
    /// No bytes, or all of them sent.
    Empty,
    /// One run of shared bytes.
    Full(Bytes),
    /// A body of the router.
    Routed(Body),
}

impl OriginBody {
    /// Bytes that will be sent, as far as known.
    pub fn bytes(&self) -> u64 {
        match self {
            OriginBody::Empty => 0,
            OriginBody::Full(bytes) => bytes.len() as u64,
            OriginBody::Routed(body) => body.size_hint().exact().unwrap_or(0),
        }
    }
}

impl From<Bytes> for OriginBody {
    fn from(bytes: Bytes) -> OriginBody {
        if bytes.is_empty() { OriginBody::Empty } else { OriginBody::Full(bytes) }
    }
}

impl From<&'static str> for OriginBody {
    fn from(text: &'static str) -> OriginBody {
        OriginBody::from(Bytes::from_static(text.as_bytes()))
    }
}

impl HttpBody for OriginBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut *self {
            OriginBody::Empty => Poll::Ready(None),
            OriginBody::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = OriginBody::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            OriginBody::Routed(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            OriginBody::Empty => true,
            OriginBody::Full(_) => false,
            OriginBody::Routed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            OriginBody::Empty => SizeHint::with_exact(0),
            OriginBody::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            OriginBody::Routed(body) => body.size_hint(),
        }
    }
}
