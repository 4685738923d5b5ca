//! What changes the configuration of a running appliance: for operators, and for admins ([`super::auth`]) what makes or removes channels.
//!
//! A channel is written with the keys of `[[channel]]`: as a JSON object (`application/json`), or as TOML (`application/toml`) with or without
//! the header. Channels of the configuration file are changed there, and not here.

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::only_for;
use super::channel_text::{Wrong, channel_text};
use super::keys::FeedKey;
use super::operate::understood;
use super::{json, openapi, problem};
use crate::config::{Difference, Role};

/// What came of a change.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Reloaded {
    /// Whether it has taken effect, as far as it can without a restart of the process.
    pub applied: bool,
    /// What is different, and when it takes effect.
    pub differences: Vec<Difference>,
    /// Keys that wait for a restart of the process.
    pub needs_restart: BTreeSet<&'static str>,
}

/// Why nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotChanged {
    /// The configuration is wrong; everything that is wrong with it, a line each.
    #[error("{0}")]
    Config(String),
    /// Something new could not be built.
    #[error("{0}")]
    Build(String),
    /// The configuration says that channels are not changed over the API.
    #[error("api_changes = false: channels are changed in the configuration file only")]
    Closed,
    /// There is one of this name.
    #[error("there is a channel {0} already; PUT changes one that was made over the API")]
    Exists(String),
    /// There is none of this name.
    #[error("no channel is named {0:?}; GET /api/v1/channels lists them")]
    Unknown(String),
    /// It is in the configuration file.
    #[error("channel {0} is in the configuration file: change it there and reload")]
    InFile(String),
    /// It has no such feed that is pushed, but these.
    #[error("no such feed with a key; those of this channel: {}", .0.join(", "))]
    Feed(Vec<String>),
    /// Its key is in the configuration file.
    #[error("the key of channel {0} is in the configuration file: change its stream_key there and reload")]
    KeyInFile(String),
    /// The state directory does not take it.
    #[error("the state directory cannot keep it: {0}")]
    State(String),
}

/// An answer that takes its time.
pub type Soon<T> = Pin<Box<dyn Future<Output = Result<T, NotChanged>> + Send>>;

/// Whoever changes the configuration. Each change is whole or nothing, and one at a time.
pub trait Control: Send + Sync + fmt::Debug {
    /// Reads the configuration again; `dry_run` only says what is different.
    fn reload(self: Arc<Self>, dry_run: bool) -> Soon<Reloaded>;
    /// Makes a channel of this name out of a `[[channel]]` in TOML, or with `replace` gives the one that was made so another plan.
    fn put_channel(self: Arc<Self>, name: String, text: String, replace: bool) -> Soon<Reloaded>;
    /// Removes a channel that was made so.
    fn remove_channel(self: Arc<Self>, name: String) -> Soon<Reloaded>;
    /// Starts or stops a channel.
    fn run_channel(self: Arc<Self>, name: String, runs: bool) -> Soon<()>;
    /// Lets nobody new into a channel, and stops it when its last publisher has gone or this long has passed; the answer comes when that has begun.
    fn drain_channel(self: Arc<Self>, name: String, within: Duration) -> Soon<()>;
    /// The keys of a channel's feeds that are pushed.
    fn keys(self: Arc<Self>, name: String) -> Soon<Vec<FeedKey>>;
    /// Makes another key for one of them, unless it is in the configuration file.
    fn another_key(self: Arc<Self>, name: String, feed: String) -> Soon<FeedKey>;
}

/// The calls: for operators, and for admins what makes or removes channels.
pub(super) fn calls(control: Arc<dyn Control>) -> OpenApiRouter {
    let operated =
        OpenApiRouter::new().routes(routes!(reload)).routes(routes!(start)).routes(routes!(stop)).with_state(Arc::clone(&control));
    let made = OpenApiRouter::new().routes(routes!(create)).routes(routes!(replace, remove)).with_state(control);
    only_for(Role::Operator, operated).merge(only_for(Role::Admin, made))
}

type Controlled = Arc<dyn Control>;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReloadHow)]
struct How {
    /// Only say what is different.
    #[serde(default)]
    dry_run: bool,
}

/// An empty object, which a page from elsewhere cannot send.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// A channel: the keys of `[[channel]]` in the configuration, tables as objects (docs/configuration.md). Everything that is wrong is said at once.
#[derive(ToSchema)]
#[schema(as = ChannelText)]
#[allow(dead_code, reason = "only its description is used")]
struct WrittenChannel {
    /// Its name; the address's, where there is one.
    #[schema(pattern = "^[a-z0-9_-]{1,64}$")]
    name: Option<String>,
    /// `copy`, `auto`, or the name of a ladder.
    ladder: Option<String>,
    /// RTMP's stream name, SRT's stream id.
    stream_key: Option<String>,
    /// Length of segments, such as `4s`.
    segment: Option<String>,
    /// How much of the past playlists list, such as `60s`.
    window: Option<String>,
}

/// Reads the configuration again
///
/// Whole or not at all, as `headend reload` and SIGHUP do; with `dry_run` it only says what is different.
#[utoipa::path(post, path = "/api/v1/reload", tag = "machine", operation_id = "reload", request_body = How,
    responses((status = 200, description = "What is different, and when it takes effect", body = Reloaded),
        (status = 409, description = "Something new could not be opened"),
        (status = 507, description = "The state directory cannot be read")))]
async fn reload(State(controlled): State<Controlled>, how: Result<Json<How>, JsonRejection>) -> Response {
    match understood(how) {
        Ok(how) => told(controlled.reload(how.dry_run).await, StatusCode::OK),
        Err(answer) => *answer,
    }
}

/// Makes a channel
///
/// It is kept in `channels.d` below the state directory. JSON, or the same in TOML with or without the header `[[channel]]`.
#[utoipa::path(post, path = "/api/v1/channels", tag = "channels", operation_id = "create_channel",
    request_body(content((WrittenChannel = "application/json"), (String = "application/toml"))),
    responses((status = 201, description = "It is there", body = Reloaded),
        (status = 409, description = "There is one of that name, or something new could not be opened"),
        (status = 507, description = "The state directory cannot keep it")))]
async fn create(State(controlled): State<Controlled>, headers: HeaderMap, body: Result<Bytes, BytesRejection>) -> Response {
    match written(&headers, body, None) {
        Ok((name, text)) => told(controlled.put_channel(name, text, false).await, StatusCode::CREATED),
        Err(answer) => *answer,
    }
}

/// Changes a channel that was made over the API
///
/// What is not said has its default, as in a new one. Channels of the configuration file are changed there.
#[utoipa::path(put, path = "/api/v1/channels/{name}", tag = "channels", operation_id = "change_channel", params(openapi::Name),
    request_body(content((WrittenChannel = "application/json"), (String = "application/toml"))),
    responses((status = 200, description = "What is different, and when it takes effect", body = Reloaded),
        (status = 409, description = "It is in the configuration file, or something new could not be opened"),
        (status = 507, description = "The state directory cannot keep it")))]
async fn replace(
    State(controlled): State<Controlled>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    match written(&headers, body, Some(&name)) {
        Ok((name, text)) => told(controlled.put_channel(name, text, true).await, StatusCode::OK),
        Err(answer) => *answer,
    }
}

/// Removes a channel that was made over the API
#[utoipa::path(delete, path = "/api/v1/channels/{name}", tag = "channels", operation_id = "delete_channel", params(openapi::Name),
    responses((status = 200, description = "It is gone", body = Reloaded),
        (status = 409, description = "It is in the configuration file"),
        (status = 422, description = "The configuration is wrong without it"),
        (status = 507, description = "The state directory does not let it go")))]
async fn remove(State(controlled): State<Controlled>, Path(name): Path<String>) -> Response {
    told(controlled.remove_channel(name).await, StatusCode::OK)
}

/// Starts a channel, or takes back that it is drained
///
/// Over restarts too. Asking twice changes nothing.
#[utoipa::path(post, path = "/api/v1/channels/{name}/start", tag = "channels", operation_id = "start_channel", params(openapi::Name),
    request_body = Nothing,
    responses((status = 204, description = "It runs"), (status = 507, description = "The state directory cannot keep it")))]
async fn start(State(controlled): State<Controlled>, Path(name): Path<String>, body: Result<Json<Nothing>, JsonRejection>) -> Response {
    run(controlled, name, body, true).await
}

/// Stops a channel at once
///
/// Over restarts too. Its publishers are sent away and its files are taken down. Asking twice changes nothing.
#[utoipa::path(post, path = "/api/v1/channels/{name}/stop", tag = "channels", operation_id = "stop_channel", params(openapi::Name),
    request_body = Nothing,
    responses((status = 204, description = "It does not run"), (status = 507, description = "The state directory cannot keep it")))]
async fn stop(State(controlled): State<Controlled>, Path(name): Path<String>, body: Result<Json<Nothing>, JsonRejection>) -> Response {
    run(controlled, name, body, false).await
}

async fn run(controlled: Controlled, name: String, body: Result<Json<Nothing>, JsonRejection>, runs: bool) -> Response {
    if let Err(answer) = understood(body) {
        return *answer;
    }
    match controlled.run_channel(name, runs).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(cause) => not_changed(&cause),
    }
}

/// The channel's name and its text.
fn written(headers: &HeaderMap, body: Result<Bytes, BytesRejection>, name: Option<&str>) -> Result<(String, String), Box<Response>> {
    let body = body.map_err(|cause| Box::new(problem(cause.status(), cause.body_text())))?;
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    channel_text(&kind, &body, name).map_err(|wrong| {
        let status = match wrong {
            Wrong::Kind => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Wrong::Text(_) => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Box::new(problem(status, wrong.to_string()))
    })
}

fn told(outcome: Result<Reloaded, NotChanged>, status: StatusCode) -> Response {
    match outcome {
        Ok(reloaded) => (status, json(&reloaded)).into_response(),
        Err(cause) => not_changed(&cause),
    }
}

pub(super) fn not_changed(cause: &NotChanged) -> Response {
    let status = match cause {
        NotChanged::Config(_) | NotChanged::Feed(_) => StatusCode::UNPROCESSABLE_ENTITY,
        NotChanged::Build(_) | NotChanged::Exists(_) | NotChanged::InFile(_) | NotChanged::KeyInFile(_) => StatusCode::CONFLICT,
        NotChanged::Closed => StatusCode::FORBIDDEN,
        NotChanged::Unknown(_) => StatusCode::NOT_FOUND,
        NotChanged::State(_) => StatusCode::INSUFFICIENT_STORAGE,
    };
    problem(status, cause.to_string())
}
