//! What anybody may look at.

use super::*;
use crate::api::control::{NotChanged, Reloaded, Soon};
use crate::api::keys::{FeedKey, KeyOrigin};
use crate::base::Mono;
use crate::channel::monitor::FeedReport;
use crate::channel::plan::StreamKey;
use crate::channel::recorder::{FlightStore, Note, Recorder};
use crate::channel::run::House;
use crate::channel::sequence::SequenceStore;
use crate::channel::status::{RungStatus, State as ChannelState};
use crate::channel::worker_process::WorkerProgram;
use crate::media::device::DeviceReport;
use crate::shelf::Shelves;
use axum::body::{Body, to_bytes};
use axum::http::header::ALLOW;
use axum::http::{HeaderMap, Method, Request};
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::runtime::Handle;
use tower::ServiceExt;

mod rights;

pub(super) fn board() -> Board {
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
            latency: None,
            quarantined: Vec::new(),
            look: Vec::new(),
            feeds: vec![FeedReport { name: "publisher".into(), bitrate_bps: 4_100_000, ..FeedReport::default() }],
        });
    }
    board
}

/// Answers that nothing is there.
#[derive(Debug)]
struct Idle;

impl Control for Idle {
    fn reload(self: Arc<Self>, _: bool) -> Soon<Reloaded> {
        Box::pin(async { Err(NotChanged::Closed) })
    }

    fn put_channel(self: Arc<Self>, name: String, _: String, _: bool) -> Soon<Reloaded> {
        Box::pin(async { Err(NotChanged::Unknown(name)) })
    }

    fn remove_channel(self: Arc<Self>, name: String) -> Soon<Reloaded> {
        Box::pin(async { Err(NotChanged::Unknown(name)) })
    }

    fn run_channel(self: Arc<Self>, name: String, _: bool) -> Soon<()> {
        Box::pin(async { Err(NotChanged::Unknown(name)) })
    }

    fn drain_channel(self: Arc<Self>, _: String, within: Duration) -> Soon<()> {
        Box::pin(async move { if within == Duration::from_secs(90) { Ok(()) } else { Err(NotChanged::Closed) } })
    }

    fn keys(self: Arc<Self>, name: String) -> Soon<Vec<FeedKey>> {
        let key = FeedKey { feed: "publisher".into(), key: StreamKey::new("a-secret"), origin: KeyOrigin::Api };
        Box::pin(async move { if name == "demo" { Ok(vec![key]) } else { Err(NotChanged::Unknown(name)) } })
    }

    fn another_key(self: Arc<Self>, name: String, _: String) -> Soon<FeedKey> {
        Box::pin(async { Err(NotChanged::KeyInFile(name)) })
    }
}

pub(super) fn ground(board: Board) -> Ground {
    let seats = SeatDesk::new(DeviceReport { absent: Some("no NVIDIA driver".into()), ..DeviceReport::default() }, Duration::ZERO);
    let folder = tempfile::tempdir().unwrap();
    let house = House {
        worker: WorkerProgram::at("/nowhere/headend-worker".into(), "text", "info"),
        board: board.clone(),
        sequences: SequenceStore::open(folder.path()).unwrap(),
        flights: FlightStore::open(folder.path()).unwrap(),
        cores: 2,
        seats: seats.clone(),
    };
    let directory = Arc::new(Directory::new(house, Shelves::default(), Handle::current()));
    let publishing = watch::channel(Publishing { rtmp_port: Some(1935), rtmps_port: None, default_keys: true, events: true }).1;
    Ground { board, seats, publishing, directory, control: Arc::new(Idle), stop: watch::channel(false).1 }
}

async fn fetch(board: Board, method: &str, path: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
    fetch_as(Some(Role::Viewer), board, method, path).await
}

async fn fetch_as(role: Option<Role>, board: Board, method: &str, path: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
    let caller = Caller { name: "somebody".into(), role, address: "192.0.2.7".parse().unwrap() };
    let request = Request::builder().method(method).uri(path).extension(caller).body(Body::empty()).unwrap();
    let response = routes(ground(board)).oneshot(request).await.unwrap();
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
    for (role, peer) in [(None, Value::Null), (Some(Role::Viewer), json!("192.0.2.9:40000")), (Some(Role::Admin), json!("192.0.2.9:40000"))]
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
        assert_eq!((status, kind.as_str(), &body["status"]), (StatusCode::NOT_FOUND, "application/problem+json", &json!(404)), "{path}");
    }
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

async fn send(role: Role, method: &str, path: &str, body: &str) -> (StatusCode, HeaderMap, Value) {
    let caller = Caller { name: "somebody".into(), role: Some(role), address: "192.0.2.7".parse().unwrap() };
    let request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, "application/json").extension(caller);
    let response = routes(ground(board())).oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, headers, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn keys_are_for_admins_and_kept_by_nobody() {
    let path = "/api/v1/channels/demo/keys";
    assert_eq!(send(Role::Operator, "GET", path, "").await.0, StatusCode::FORBIDDEN);
    let (status, headers, body) = send(Role::Admin, "GET", path, "").await;
    assert_eq!((status, headers[CACHE_CONTROL].to_str().unwrap()), (StatusCode::OK, "no-store"));
    assert_eq!(body, json!([{"feed": "publisher", "key": "a-secret", "origin": "api"}]));
    assert_eq!(send(Role::Admin, "POST", path, r#"{"feed": "publisher"}"#).await.0, StatusCode::CONFLICT);
    assert_eq!(send(Role::Admin, "POST", path, r#"{"key": "mine"}"#).await.0, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_drain_takes_a_span_that_makes_sense() {
    let path = "/api/v1/channels/demo/drain";
    assert_eq!(send(Role::Viewer, "POST", path, "{}").await.0, StatusCode::FORBIDDEN);
    assert_eq!(send(Role::Operator, "POST", path, r#"{"within": "90s"}"#).await.0, StatusCode::ACCEPTED);
    for wrong in ["2h", "soon", "-1s", "30"] {
        let (status, _, body) = send(Role::Operator, "POST", path, &json!({ "within": wrong }).to_string()).await;
        let told = body["detail"].as_str().unwrap_or_default().to_owned();
        assert!(status == StatusCode::UNPROCESSABLE_ENTITY && told.contains(wrong), "{wrong}: {status} {told}");
    }
}

async fn document() -> Value {
    let (status, _, document) = send(Role::Viewer, "GET", "/api/v1/openapi.json", "").await;
    assert_eq!(status, StatusCode::OK);
    document
}

/// The methods of an address as the document has them.
fn described(document: &Value, path: &str) -> BTreeSet<String> {
    let methods = document["paths"][path].as_object().unwrap().keys().map(|method| method.to_uppercase());
    let mut methods: BTreeSet<String> = methods.filter(|method| method.parse::<Method>().is_ok() && method != "PARAMETERS").collect();
    if methods.contains("GET") {
        methods.insert("HEAD".to_owned());
    }
    methods
}

#[tokio::test]
async fn every_address_has_the_methods_of_the_document_and_says_so() {
    let document = document().await;
    for path in document["paths"].as_object().unwrap().keys() {
        let (status, headers, body) = send(Role::Admin, "PATCH", &path.replace("{name}", "demo"), "").await;
        assert_eq!(
            (status, headers[CONTENT_TYPE].to_str().unwrap()),
            (StatusCode::METHOD_NOT_ALLOWED, "application/problem+json"),
            "{path}: {body}"
        );
        let allowed: BTreeSet<String> = headers[ALLOW].to_str().unwrap().split(',').map(|method| method.trim().to_owned()).collect();
        assert_eq!(allowed, described(&document, path), "{path}");
    }
}

/// A route beside the described ones would be in no document.
#[test]
fn no_call_is_served_that_is_not_described() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() || path.ends_with("tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let bare: Vec<&str> = text.lines().filter(|line| line.contains(".route(") && !line.contains("\"/api/{*rest}\"")).collect();
        assert!(bare.is_empty(), "{}: use routes!: {bare:?}", path.display());
    }
}

#[tokio::test]
async fn the_document_says_who_may_and_how_it_is_refused() {
    let document = document().await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    let keys = &document["paths"]["/api/v1/channels/{name}/keys"]["post"];
    assert_eq!(keys["security"], json!([{}, {"bearer": ["admin"]}]));
    assert!(keys["description"].as_str().unwrap().ends_with("For admins."), "{keys:#}");
    for status in ["400", "401", "403", "404", "409", "413", "415", "422"] {
        let kind = &keys["responses"][status]["content"]["application/problem+json"]["schema"]["$ref"];
        assert_eq!(kind, "#/components/schemas/Problem", "{status}");
    }
    assert_eq!(document["paths"]["/api/v1/channels"]["get"]["security"], json!([{}, {"bearer": []}]));
    let text = document.to_string();
    assert!(!text.contains("::"), "words of the source code: {}", &text[text.find("::").unwrap_or(0).saturating_sub(100)..][..200]);
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in described(&document, path).iter().filter(|method| *method != "HEAD") {
            let call = &item[method.to_lowercase()];
            assert!(names.insert(call["operationId"].to_string()), "{path}: two calls are called {}", call["operationId"]);
            assert!(call["summary"].is_string() && call["tags"][0].is_string(), "{method} {path}: {call:#}");
        }
    }
    references_lead_somewhere(&document, &document);
}

fn references_lead_somewhere(document: &Value, part: &Value) {
    match part {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
            }
            members.values().for_each(|member| references_lead_somewhere(document, member));
        }
        Value::Array(list) => list.iter().for_each(|one| references_lead_somewhere(document, one)),
        _ => {}
    }
}
