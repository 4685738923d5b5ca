//! The JSON API. Errors are `application/problem+json` (RFC 9457).
//!
//! Every call is described where it is served: [`openapi`] makes the document of those descriptions, `GET /api/v1/openapi.json` serves it, and
//! docs/api.md is for people.
//!
//! | part | calls |
//! |---|---|
//! | here, [`feeds`] | looking: channels, feeds, devices, plan |
//! | [`events`] | what happens |
//! | [`operate`], [`drain`] | a running channel or the appliance: feed, worker, drain |
//! | [`control`], [`keys`] | the configuration: reload, channels, stream keys |
//! | [`auth`] | who may do what |
//!
//! Stream keys appear in the answers of [`keys`] and nowhere else.

pub mod auth;
mod channel_text;
pub mod control;
pub mod drain;
pub mod events;
pub mod feeds;
pub mod keys;
pub mod openapi;
pub mod operate;
mod plan;
mod problem;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use problem::{Problem, problem};

use auth::Caller;
use control::Control;

use crate::base::clock;
use crate::channel::directory::Directory;
use crate::channel::seats::{DeviceList, SeatDesk};
use crate::channel::status::{Board, ChannelStatus};
use crate::config::Role;
use crate::placement::report::Report;

/// What a person needs to know to publish, beside the host, which the page knows, and the key, which it must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
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

/// What the API stands on.
#[derive(Clone, Debug)]
pub struct Ground {
    /// What channels say of themselves.
    pub board: Board,
    /// Who sits where.
    pub seats: SeatDesk,
    /// Where to publish.
    pub publishing: watch::Receiver<Publishing>,
    /// The channels.
    pub directory: Arc<Directory>,
    /// Who changes the configuration.
    pub control: Arc<dyn Control>,
    /// Turns true when the appliance stops.
    pub stop: watch::Receiver<bool>,
}

/// All routes under `/api/`, with the document that describes them.
pub fn routes(ground: Ground) -> Router {
    let Ground { board, seats, publishing, directory, control, stop } = ground;
    let calls = looking(Look { board: board.clone(), seats, publishing })
        .merge(feeds::calls(Arc::clone(&directory), board))
        .merge(events::calls(stop))
        .merge(operate::calls(Arc::clone(&directory)))
        .merge(drain::calls(directory, Arc::clone(&control)))
        .merge(control::calls(Arc::clone(&control)))
        .merge(keys::calls(control));
    let (router, document) = calls.split_for_parts();
    // Which methods an address has, the router knows: it adds the Allow header.
    router.merge(openapi::router(document)).method_not_allowed_fallback(not_allowed).route("/api/{*rest}", any(unknown))
}

/// What the calls here look at.
#[derive(Clone, Debug)]
struct Look {
    board: Board,
    seats: SeatDesk,
    publishing: watch::Receiver<Publishing>,
}

fn looking(look: Look) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(channels))
        .routes(routes!(channel))
        .routes(routes!(thumbnail))
        .routes(routes!(flight))
        .routes(routes!(devices))
        .routes(routes!(plan))
        .routes(routes!(publishing))
        .with_state(look)
}

/// Whether somebody may see who publishes.
fn sees_peers(caller: Option<&Extension<Caller>>) -> bool {
    caller.is_some_and(|Extension(caller)| caller.may(Role::Viewer))
}

/// A channel with what is known of its input's picture.
#[derive(Serialize, ToSchema)]
#[schema(as = Channel)]
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

/// Every channel that runs, by name
#[utoipa::path(get, path = "/api/v1/channels", tag = "channels", operation_id = "list_channels",
    responses((status = 200, description = "All of them; the publishers' addresses are shown to viewers only", body = Vec<Shown>)))]
async fn channels(State(look): State<Look>, caller: Option<Extension<Caller>>) -> Response {
    let with_peers = sees_peers(caller.as_ref());
    json(&look.board.all().iter().map(|status| Shown::of(status, &look.board, with_peers)).collect::<Vec<_>>())
}

/// One channel
#[utoipa::path(get, path = "/api/v1/channels/{name}", tag = "channels", operation_id = "show_channel", params(openapi::Name),
    responses((status = 200, description = "What it is doing", body = Shown)))]
async fn channel(State(look): State<Look>, Path(name): Path<String>, caller: Option<Extension<Caller>>) -> Response {
    match look.board.one(&name) {
        Some(status) => json(&Shown::of(&status, &look.board, sees_peers(caller.as_ref()))),
        None => no_channel(&name),
    }
}

/// A small picture of a channel's input
///
/// `thumbnail` of the channel is the number of the newest: another number is another picture.
#[utoipa::path(get, path = "/api/v1/channels/{name}/thumbnail.jpg", tag = "channels", operation_id = "show_thumbnail", params(openapi::Name),
    responses((status = 200, description = "The picture", body = String, content_type = "image/jpeg")))]
async fn thumbnail(State(look): State<Look>, Path(name): Path<String>) -> Response {
    match look.board.thumbnail(&name) {
        Some(thumbnail) => {
            let headers = [(CONTENT_TYPE, "image/jpeg"), (CACHE_CONTROL, "no-store"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
            (headers, thumbnail.jpeg).into_response()
        }
        None if look.board.one(&name).is_none() => no_channel(&name),
        None => problem(StatusCode::NOT_FOUND, format!("channel {name} has no input to see")),
    }
}

/// What came in on a channel and was decided in the last 30 s
#[utoipa::path(get, path = "/api/v1/channels/{name}/flight", tag = "channels", operation_id = "show_flight", params(openapi::Name),
    responses((status = 200, description = "One JSON object per line", body = String, content_type = "application/jsonl")))]
async fn flight(State(look): State<Look>, Path(name): Path<String>, caller: Option<Extension<Caller>>) -> Response {
    if !sees_peers(caller.as_ref()) {
        return problem(StatusCode::FORBIDDEN, "flight recordings name publishers: ask with a viewer's token");
    }
    match look.board.recorder(&name) {
        Some(recorder) => {
            let lines = recorder.recording(clock::mono()).json_lines(&name, "asked", clock::wall());
            ([(CONTENT_TYPE, "application/jsonl"), (CACHE_CONTROL, "no-store")], lines).into_response()
        }
        None if look.board.one(&name).is_none() => no_channel(&name),
        None => problem(StatusCode::NOT_FOUND, format!("nothing of channel {name} is recorded")),
    }
}

/// The machine's GPUs
///
/// What the probe found, what they are taken for and why, and who is on them.
#[utoipa::path(get, path = "/api/v1/devices", tag = "machine", operation_id = "list_devices",
    responses((status = 200, description = "All that the driver lists", body = DeviceList)))]
async fn devices(State(look): State<Look>) -> Response {
    json(&look.seats.list(clock::mono()))
}

/// Who sits where, what is in use, who was refused and why
#[utoipa::path(get, path = "/api/v1/plan", tag = "machine", operation_id = "show_plan",
    responses((status = 200, description = "As `headend plan --json` prints it beforehand", body = Report)))]
async fn plan(State(look): State<Look>) -> Response {
    json(&plan::live(&look.board, &look.seats))
}

/// Where to publish
#[utoipa::path(get, path = "/api/v1/publishing", tag = "machine", operation_id = "show_publishing",
    responses((status = 200, description = "Ports, and no key", body = Publishing)))]
async fn publishing(State(look): State<Look>) -> Response {
    json(&*look.publishing.borrow())
}

fn no_channel(name: &str) -> Response {
    problem(StatusCode::NOT_FOUND, format!("no channel is named {name:?}; GET /api/v1/channels lists them"))
}

async fn unknown(uri: Uri) -> Response {
    problem(StatusCode::NOT_FOUND, format!("the API has no {}; GET /api/v1/openapi.json lists what it has", uri.path()))
}

async fn not_allowed() -> Response {
    problem(StatusCode::METHOD_NOT_ALLOWED, "the address takes other methods; the Allow header lists them")
}

fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], body).into_response(),
        Err(cause) => problem(StatusCode::INTERNAL_SERVER_ERROR, format!("the answer could not be written: {cause}")),
    }
}

#[cfg(test)]
mod tests;
