//! The JSON API. Errors are `application/problem+json` (RFC 9457).
//!
//! | request | answer |
//! |---|---|
//! | `GET /api/v1/channels` | every channel's [`ChannelStatus`](crate::channel::status::ChannelStatus), by name |
//! | `GET /api/v1/channels/NAME` | one of them, or 404 |
//! | `GET /api/v1/channels/NAME/thumbnail.jpg` | a small picture of its input, or 404; `thumbnail` in its status is the number of the newest |
//! | `GET /api/v1/channels/NAME/flight` | what the flight recorder holds, as JSON lines; for viewers ([`auth`]) |
//! | `GET /api/v1/devices` | the machine's GPUs: [`DeviceList`](crate::channel::seats::DeviceList) |
//! | `GET /api/v1/plan` | who sits where, what is in use, who was refused: [`Report`](crate::placement::report::Report) |
//! | `GET /api/v1/publishing` | where to publish: [`Publishing`] |
//!
//! What happens is told by [`events`]. What changes anything is in [`operate`] and [`control`], who may do what in [`auth`].
//!
//! Stream keys never appear in any answer.

pub mod auth;
mod channel_text;
pub mod control;
pub mod events;
pub mod operate;
mod plan;
mod problem;

use axum::Router;
use axum::extract::{Extension, Path, State};
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use tokio::sync::watch;

pub use problem::problem;

use auth::Caller;

use crate::base::clock;
use crate::channel::seats::SeatDesk;
use crate::channel::status::{Board, ChannelStatus};
use crate::config::Role;

/// What a person needs to know to publish, beside the host, which the page knows, and the key, which it must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Publishing {
    /// Port of the RTMP listener; none without one.
    pub rtmp_port: Option<u16>,
    /// Port of the one through TLS; none without one.
    pub rtmps_port: Option<u16>,
    /// Whether channels may have their names as keys (loopback listeners only).
    pub default_keys: bool,
    /// Whether what happens is told at `/api/v1/events`.
    pub events: bool,
}

/// The routes under `/api/`.
pub fn router(board: Board, seats: SeatDesk, publishing: watch::Receiver<Publishing>) -> Router {
    let (asked, planned) = (board.clone(), seats.clone());
    Router::new()
        .route("/api/v1/channels", get(channels))
        .route("/api/v1/channels/{name}", get(channel))
        .route("/api/v1/channels/{name}/thumbnail.jpg", get(thumbnail))
        .route("/api/v1/channels/{name}/flight", get(flight))
        .route("/api/v1/devices", get(async move || json(&seats.list(clock::mono()))))
        .route("/api/v1/plan", get(async move || json(&plan::live(&asked, &planned))))
        .route("/api/v1/publishing", get(async move || json(&*publishing.borrow())))
        .route("/api/{*rest}", get(unknown))
        .method_not_allowed_fallback(not_allowed)
        .with_state(board)
}

/// Whether somebody may see who publishes.
fn sees_peers(caller: Option<&Extension<Caller>>) -> bool {
    caller.is_some_and(|Extension(caller)| caller.may(Role::Viewer))
}

/// A status with what the board holds beside it, as somebody may see it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    status: ChannelStatus,
    /// Number of the newest picture of its input, where there is one.
    thumbnail: Option<u64>,
}

impl Shown {
    fn of(status: &ChannelStatus, board: &Board, with_peer: bool) -> Shown {
        let thumbnail = board.thumbnail(&status.name).map(|thumbnail| thumbnail.number);
        Shown { status: ChannelStatus { peer: status.peer.clone().filter(|_| with_peer), ..status.clone() }, thumbnail }
    }
}

async fn channels(State(board): State<Board>, caller: Option<Extension<Caller>>) -> Response {
    let with_peers = sees_peers(caller.as_ref());
    json(&board.all().iter().map(|status| Shown::of(status, &board, with_peers)).collect::<Vec<_>>())
}

async fn channel(State(board): State<Board>, Path(name): Path<String>, caller: Option<Extension<Caller>>) -> Response {
    match board.one(&name) {
        Some(status) => json(&Shown::of(&status, &board, sees_peers(caller.as_ref()))),
        None => no_channel(&name),
    }
}

async fn thumbnail(State(board): State<Board>, Path(name): Path<String>) -> Response {
    match board.thumbnail(&name) {
        Some(thumbnail) => {
            let headers = [(CONTENT_TYPE, "image/jpeg"), (CACHE_CONTROL, "no-store"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
            (headers, thumbnail.jpeg).into_response()
        }
        None if board.one(&name).is_none() => no_channel(&name),
        None => problem(StatusCode::NOT_FOUND, format!("channel {name} has no input to see")),
    }
}

async fn flight(State(board): State<Board>, Path(name): Path<String>, caller: Option<Extension<Caller>>) -> Response {
    if !sees_peers(caller.as_ref()) {
        return problem(StatusCode::FORBIDDEN, "flight recordings name publishers: ask with a viewer's token");
    }
    match board.recorder(&name) {
        Some(recorder) => {
            let lines = recorder.recording(clock::mono()).json_lines(&name, "asked", clock::wall());
            ([(CONTENT_TYPE, "application/jsonl"), (CACHE_CONTROL, "no-store")], lines).into_response()
        }
        None if board.one(&name).is_none() => no_channel(&name),
        None => problem(StatusCode::NOT_FOUND, format!("nothing of channel {name} is recorded")),
    }
}

fn no_channel(name: &str) -> Response {
    problem(StatusCode::NOT_FOUND, format!("no channel is named {name:?}; GET /api/v1/channels lists them"))
}

async fn unknown(uri: Uri) -> Response {
    problem(StatusCode::NOT_FOUND, format!("the API has no {}; it has /api/v1/channels", uri.path()))
}

async fn not_allowed() -> Response {
    let response = problem(StatusCode::METHOD_NOT_ALLOWED, "the table of the API says which methods its addresses take");
    ([(ALLOW, "GET, HEAD")], response).into_response()
}

fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], body).into_response(),
        Err(cause) => problem(StatusCode::INTERNAL_SERVER_ERROR, format!("the answer could not be written: {cause}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Mono;
    use crate::channel::monitor::FeedReport;
    use crate::channel::recorder::{Note, Recorder};
    use crate::channel::status::{RungStatus, State as ChannelState};
    use crate::media::device::DeviceReport;
    use axum::body::{Body, to_bytes};
    use axum::http::{HeaderMap, Request};
    use bytes::Bytes;
    use serde_json::{Value, json};
    use std::time::Duration;
    use tower::ServiceExt;

    fn board() -> Board {
        let board = Board::default();
        for name in ["sports", "demo"] {
            board.post(ChannelStatus {
                name: name.into(),
                state: ChannelState::Live,
                feed: "publisher".into(),
                peer: Some("192.0.2.9:40000".into()),
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
                seat: None,
                fallback: None,
                overload: None,
                quarantined: Vec::new(),
                look: Vec::new(),
                feeds: vec![FeedReport { name: "publisher".into(), bitrate_bps: 4_100_000, ..FeedReport::default() }],
            });
        }
        board
    }

    async fn fetch(board: Board, method: &str, path: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
        fetch_as(Some(Role::Viewer), board, method, path).await
    }

    async fn fetch_as(role: Option<Role>, board: Board, method: &str, path: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
        let caller = Caller { name: "somebody".into(), role, address: "192.0.2.7".parse().unwrap() };
        let request = Request::builder().method(method).uri(path).extension(caller).body(Body::empty()).unwrap();
        let seats = SeatDesk::new(DeviceReport { absent: Some("no NVIDIA driver".into()), ..DeviceReport::default() }, Duration::ZERO);
        let router = router(
            board,
            seats,
            watch::channel(Publishing { rtmp_port: Some(1935), rtmps_port: None, default_keys: true, events: true }).1,
        );
        let response = router.oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        (status, headers, to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec())
    }

    async fn ask(method: &str, path: &str) -> (StatusCode, String, Value) {
        let (status, headers, body) = fetch(board(), method, path).await;
        (status, headers[CONTENT_TYPE].to_str().unwrap().to_owned(), serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn channels_are_listed_by_name_with_the_promised_members() {
        let (status, kind, body) = ask("GET", "/api/v1/channels").await;
        assert_eq!((status, kind.as_str()), (StatusCode::OK, "application/json"));
        assert_eq!(body[0]["name"], "demo");
        assert_eq!(body[1]["state"], "live");
        assert_eq!(body[1]["feed"], "publisher");
        assert_eq!((&body[1]["feeds"][0]["name"], &body[1]["feeds"][0]["bitrate_bps"]), (&json!("publisher"), &json!(4_100_000)));
        assert_eq!(
            body[1]["rungs"][0],
            json!({"name": "720p", "width": 1280, "height": 720, "bitrate": 2_800_000, "measured_bitrate": 2_650_000, "codecs": "avc1.64001f"})
        );
    }

    #[tokio::test]
    async fn the_plan_has_what_is_lent_and_the_channels_that_have_not_asked() {
        let (status, kind, body) = ask("GET", "/api/v1/plan").await;
        assert_eq!((status, kind.as_str()), (StatusCode::OK, "application/json"));
        assert_eq!((&body["channels"][1]["channel"], &body["channels"][1]["verdict"]), (&json!("sports"), &json!("idle")));
        assert_eq!((&body["cores"]["used"], &body["cores"]["lent"], &body["admission"]), (&json!(0.0), &Value::Null, &json!("warn")));
    }

    #[tokio::test]
    async fn one_channel_is_found_by_its_name() {
        let (status, _, body) = ask("GET", "/api/v1/channels/de%6Do").await;
        assert_eq!((status, &body["name"]), (StatusCode::OK, &json!("demo")));
    }

    #[tokio::test]
    async fn a_picture_of_the_input_is_there_while_there_is_one_and_is_numbered() {
        let board = board();
        let path = "/api/v1/channels/demo/thumbnail.jpg";
        assert_eq!(fetch(board.clone(), "GET", path).await.0, StatusCode::NOT_FOUND);
        for jpeg in [&b"one"[..], b"two"] {
            board.post_thumbnail("demo", Bytes::from_static(jpeg));
        }
        let (status, headers, body) = fetch(board.clone(), "GET", path).await;
        assert_eq!((status, &body[..]), (StatusCode::OK, &b"two"[..]));
        assert!(headers[CONTENT_TYPE] == "image/jpeg" && headers[CACHE_CONTROL] == "no-store", "{headers:?}");
        let told: Value = serde_json::from_slice(&fetch(board.clone(), "GET", "/api/v1/channels/demo").await.2).unwrap();
        assert_eq!(told["thumbnail"], 1);
        board.remove("demo");
        assert_eq!(fetch(board, "GET", path).await.0, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn who_publishes_is_shown_to_viewers_only() {
        for (role, peer) in
            [(None, Value::Null), (Some(Role::Viewer), json!("192.0.2.9:40000")), (Some(Role::Admin), json!("192.0.2.9:40000"))]
        {
            let told: Value = serde_json::from_slice(&fetch_as(role, board(), "GET", "/api/v1/channels").await.2).unwrap();
            assert_eq!(told[0]["peer"], peer, "{role:?}");
            let told: Value = serde_json::from_slice(&fetch_as(role, board(), "GET", "/api/v1/channels/demo").await.2).unwrap();
            assert_eq!(told["peer"], peer, "{role:?}");
        }
        assert_eq!(fetch_as(None, board(), "GET", "/api/v1/channels/demo/flight").await.0, StatusCode::FORBIDDEN);
    }

    #[tokio::test]
    async fn a_flight_recorder_is_read_while_its_channel_has_one() {
        let board = board();
        let path = "/api/v1/channels/demo/flight";
        let (status, _, body) = fetch(board.clone(), "GET", path).await;
        assert!(status == StatusCode::NOT_FOUND && String::from_utf8_lossy(&body).contains("recorded"));
        let recorder = Recorder::default();
        recorder.note(Note::State("slate"), Mono::default());
        board.post_recorder("demo", recorder);
        let (status, headers, body) = fetch(board, "GET", path).await;
        let text = String::from_utf8(body).unwrap();
        assert!(status == StatusCode::OK && headers[CONTENT_TYPE] == "application/jsonl", "{status} {headers:?}");
        assert!(text.lines().count() == 2 && text.contains(r#""what":"state","kind":"slate""#), "{text}");
    }

    #[tokio::test]
    async fn what_is_not_there_is_a_problem_in_json() {
        for path in ["/api/v1/channels/other", "/api/v1/channels/other/flight", "/api/v2/channels", "/api/v1/channels/"] {
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
    async fn a_machine_without_a_device_says_why() {
        let (status, _, body) = ask("GET", "/api/v1/devices").await;
        assert_eq!((status, &body["absent"], &body["gpus"]), (StatusCode::OK, &json!("no NVIDIA driver"), &json!([])));
    }

    #[tokio::test]
    async fn where_to_publish_names_a_port_and_no_key() {
        let (_, _, body) = ask("GET", "/api/v1/publishing").await;
        assert_eq!(body, json!({"rtmp_port": 1935, "rtmps_port": null, "default_keys": true, "events": true}));
    }
}
