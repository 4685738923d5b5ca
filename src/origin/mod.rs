//! The HTTP origin: serves the shelves to players and carries the routes of the page and the API.
//!
//! ```text
//! TcpListener -> serve (caps, TLS, deadlines, drain) -> hyper -> Origin -+- /live/CHANNEL/PATH  straight from the shelf
//!                                                                   +- everything else     axum Router
//! ```
//!
//! [`serve_control`] serves the same on a socket of the file system, to whoever may open that.
//!
//! Playlists and segments do not pass through the router: that path allocates headers and nothing else.
//!
//! A channel that exists but has nothing yet is answered with 503 and Retry-After, anything else that is not there with 404:
//! hls.js, shaka and caches retry 5xx and give up (or remember) on 4xx.

mod body;
mod conditional;
mod control;
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
pub use control::serve_control;
pub use gate::Room;
pub use limits::HttpLimits;
pub use pages::{Readiness, iso8601, routes};
pub use serve::{serve, serve_until};
pub use service::Origin;
