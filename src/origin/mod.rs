//! The HTTP origin: serves the shelves to players and carries the routes of the page and the API.
//!
//! ```text
//! TcpListener -> serve (caps, TLS, deadlines, drain) -> hyper -> Origin -+- /live/CHANNEL/PATH  straight from the shelf
//!                                                                   +- everything else     axum Router
//! ```
//!
//! Playlists and segments do not pass through the router: that path allocates headers and nothing else.
//!
//! A channel that exists but has nothing yet is answered with 503 and Retry-After, anything else that is not there with 404:
//! hls.js, shaka and caches retry 5xx and give up (or remember) on 4xx.

mod body;
mod conditional;
mod encoding;
mod gate;
mod limits;
mod live;
mod pages;
mod path;
mod range;
mod serve;
mod service;
mod tally;
#[cfg(test)]
mod tests;
mod traffic;

pub use body::OriginBody;
pub use limits::HttpLimits;
pub use pages::{Readiness, iso8601, routes};
pub use serve::{serve, serve_until};
pub use service::Origin;
