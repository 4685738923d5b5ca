//! The JSON API. Read-only; errors are `application/problem+json` (RFC 9457).
//!
//! | request | answer |
//! |---|---|
//! | `GET /api/v1/channels` | every channel's [`ChannelStatus`](crate::channel::status::ChannelStatus), by name |
//! | `GET /api/v1/channels/NAME` | one of them, or 404 |
//! | `GET /api/v1/publishing` | where to publish: [`Publishing`] |
//!
//! Stream keys never appear in any answer.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use crate::channel::status::Board;

/// What a person needs to know to publish, beside the host, which the page knows, and the key, which it must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Publishing {
    /// Port of the RTMP listener; none without one.
    pub rtmp_port: Option<u16>,
    /// Whether channels may have their names as keys (loopback listeners only).
    pub default_keys: bool,
}

/// The routes under `/api/`.
pub fn router(board: Board, publishing: Publishing) -> Router {
    Router::new()
        .route("/api/v1/channels", get(channels))
        .route("/api/v1/channels/{name}", get(channel))
        .route("/api/v1/publishing", get(async move || json(&publishing)))
        .route("/api/{*rest}", get(unknown))
        .method_not_allowed_fallback(not_allowed)
        .with_state(board)
}

async fn channels(State(board): State<Board>) -> Response {
    let all = board.all();
    json(&all.iter().map(|status| &**status).collect::<Vec<_>>())
}

async fn channel(State(board): State<Board>, Path(name): Path<String>) -> Response {
    match board.all().iter().find(|status| status.name == name) {
        Some(status) => json(&**status),
        None => problem(StatusCode::NOT_FOUND, format!("no channel is named {name:?}; GET /api/v1/channels lists them")),
    }
}

async fn unknown(uri: Uri) -> Response {
    problem(StatusCode::NOT_FOUND, format!("the API has no {}; it has /api/v1/channels", uri.path()))
}

async fn not_allowed() -> Response {
    let response = problem(StatusCode::METHOD_NOT_ALLOWED, "the API is read-only: use GET".to_owned());
    ([(ALLOW, "GET, HEAD")], response).into_response()
}

fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], body).into_response(),
        Err(cause) => problem(StatusCode::INTERNAL_SERVER_ERROR, format!("the answer could not be written: {cause}")),
    }
}

/// The members of RFC 9457 section 3.1; `type` is absent, which means `about:blank`.
#[derive(Serialize)]
struct Problem<'a> {
    title: &'a str,
    status: u16,
    detail: String,
}

fn problem(status: StatusCode, detail: String) -> Response {
    let problem = Problem { title: status.canonical_reason().unwrap_or("Error"), status: status.as_u16(), detail };
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    (status, [(CONTENT_TYPE, "application/problem+json"), (CACHE_CONTROL, "no-store")], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::status::{ChannelStatus, RungStatus, State as ChannelState};
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use serde_json::{Value, json};
    use tower::ServiceExt;

    fn board() -> Board {
        let board = Board::default();
        for name in ["sports", "demo"] {
            board.post(ChannelStatus {
                name: name.into(),
                state: ChannelState::Live,
                feed: "publisher".into(),
                peer: None,
                source: Some("H.264 1280x720, AAC 48 kHz".into()),
                rate: Some("25".into()),
                rungs: vec![RungStatus {
                    name: "720p".into(),
                    width: 1280,
                    height: 720,
                    bitrate: 2_800_000,
                    measured_bitrate: 2_650_000,
                    codecs: "avc1.64001f".into(),
                }],
                formats: vec!["hls".into()],
                newest_segment: Some(7),
                worker_restarts: 0,
                quarantined: Vec::new(),
            });
        }
        board
    }

    async fn ask(method: &str, path: &str) -> (StatusCode, String, Value) {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let router = router(board(), Publishing { rtmp_port: Some(1935), default_keys: true });
        let response = router.oneshot(request).await.unwrap();
        let (status, kind) = (response.status(), response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned());
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, kind, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn channels_are_listed_by_name_with_the_promised_members() {
        let (status, kind, body) = ask("GET", "/api/v1/channels").await;
        assert_eq!((status, kind.as_str()), (StatusCode::OK, "application/json"));
        assert_eq!(body[0]["name"], "demo");
        assert_eq!(body[1]["state"], "live");
        assert_eq!(body[1]["feed"], "publisher");
        assert_eq!(
            body[1]["rungs"][0],
            json!({"name": "720p", "width": 1280, "height": 720, "bitrate": 2_800_000, "measured_bitrate": 2_650_000, "codecs": "avc1.64001f"})
        );
    }

    #[tokio::test]
    async fn one_channel_is_found_by_its_name() {
        let (status, _, body) = ask("GET", "/api/v1/channels/de%6Do").await;
        assert_eq!((status, &body["name"]), (StatusCode::OK, &json!("demo")));
    }

    #[tokio::test]
    async fn what_is_not_there_is_a_problem_in_json() {
        for path in ["/api/v1/channels/other", "/api/v2/channels", "/api/v1/channels/"] {
            let (status, kind, body) = ask("GET", path).await;
            assert_eq!(
                (status, kind.as_str(), &body["status"]),
                (StatusCode::NOT_FOUND, "application/problem+json", &json!(404)),
                "{path}"
            );
        }
        assert_eq!(ask("POST", "/api/v1/channels").await.0, StatusCode::METHOD_NOT_ALLOWED);
    }

    #[tokio::test]
    async fn where_to_publish_names_a_port_and_no_key() {
        let (_, _, body) = ask("GET", "/api/v1/publishing").await;
        assert_eq!(body, json!({"rtmp_port": 1935, "default_keys": true}));
    }
}
