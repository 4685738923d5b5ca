//! What comes in: the feeds of all channels, connected or not.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Caller;
use super::{json, no_channel, openapi, sees_peers};
use crate::channel::directory::{Directory, FeedKind, FeedPlace};
use crate::channel::monitor::FeedReport;
use crate::channel::status::Board;

/// A feed of a channel.
#[derive(Debug, Serialize, ToSchema)]
struct Feed {
    /// The channel.
    channel: String,
    /// The feed's name.
    name: String,
    /// Whether it is pushed, or fetched by headend.
    kind: FeedKind,
    /// Whether somebody delivers it.
    connected: bool,
    /// Whether it is what the channel shows.
    on_air: bool,
    /// Who delivers it; for viewers only.
    peer: Option<String>,
    /// What is measured of it while it is connected.
    measured: Option<FeedReport>,
}

#[derive(Clone, Debug)]
struct Look {
    directory: Arc<Directory>,
    board: Board,
}

/// The calls.
pub(super) fn calls(directory: Arc<Directory>, board: Board) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(all)).routes(routes!(of_channel)).with_state(Look { directory, board })
}

/// Every feed of every channel that runs
///
/// By channel, then by preference; connected or not.
#[utoipa::path(get, path = "/api/v1/feeds", tag = "feeds", operation_id = "list_feeds",
    responses((status = 200, description = "All of them; addresses are shown to viewers only", body = Vec<Feed>)))]
async fn all(State(look): State<Look>, caller: Option<Extension<Caller>>) -> Response {
    json(&look.feeds(None, sees_peers(caller.as_ref())))
}

/// The feeds of a channel
#[utoipa::path(get, path = "/api/v1/channels/{name}/feeds", tag = "feeds", operation_id = "list_feeds_of_channel", params(openapi::Name),
    responses((status = 200, description = "By preference; addresses are shown to viewers only", body = Vec<Feed>)))]
async fn of_channel(State(look): State<Look>, Path(name): Path<String>, caller: Option<Extension<Caller>>) -> Response {
    // Every channel has a feed.
    match look.feeds(Some(&name), sees_peers(caller.as_ref())) {
        feeds if feeds.is_empty() => no_channel(&name),
        feeds => json(&feeds),
    }
}

impl Look {
    fn feeds(&self, channel: Option<&str>, with_peers: bool) -> Vec<Feed> {
        self.directory.feeds(channel).into_iter().map(|place| self.feed(place, with_peers)).collect()
    }

    fn feed(&self, place: FeedPlace, with_peers: bool) -> Feed {
        let FeedPlace { channel, name, kind, peer } = place;
        let status = self.board.one(&channel).filter(|_| peer.is_some());
        let measured = status.as_ref().and_then(|status| status.feeds.iter().find(|feed| feed.name == name).cloned());
        Feed {
            connected: peer.is_some(),
            on_air: status.is_some_and(|status| status.feed == name),
            peer: peer.filter(|_| with_peers).map(|peer| peer.to_string()),
            channel,
            name,
            kind,
            measured,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{board, ground};
    use super::*;

    #[tokio::test]
    async fn who_delivers_a_feed_is_shown_to_viewers_only() {
        let look = Look { directory: ground(board()).directory, board: board() };
        let place = |peer: Option<&str>| FeedPlace {
            channel: "demo".into(),
            name: "publisher".into(),
            kind: FeedKind::Publish,
            peer: peer.map(|peer| peer.parse().unwrap()),
        };
        let shown = look.feed(place(Some("192.0.2.9:40000")), true);
        assert_eq!((shown.peer.as_deref(), shown.connected, shown.on_air), (Some("192.0.2.9:40000"), true, true));
        assert!(shown.measured.is_some_and(|measured| measured.bitrate_bps == 4_100_000));
        let hidden = look.feed(place(Some("192.0.2.9:40000")), false);
        assert_eq!((hidden.peer, hidden.connected), (None, true));
        let nobody = look.feed(place(None), true);
        assert!(!nobody.connected && !nobody.on_air && nobody.measured.is_none(), "{nobody:?}");
    }
}
