//! What changes the configuration of a running appliance: for operators, and for admins ([`super::auth`]) what makes or removes channels.
//!
//! | request | effect |
//! |---|---|
//! | `POST /api/v1/reload` with `{}` | the file is read again and takes effect; [`Reloaded`] says what is different. `{"dry_run": true}` only says it |
//! | `POST /api/v1/channels` with a channel | a new channel, kept in the state directory |
//! | `PUT /api/v1/channels/NAME` with a channel | another plan for it |
//! | `DELETE /api/v1/channels/NAME` | it is removed |
//! | `POST /api/v1/channels/NAME/start`, `.../stop` with `{}` | it runs, or does not, over restarts too; asking twice changes nothing |
//!
//! A channel is written with the keys of `[[channel]]`: as a JSON object (`application/json`), or as TOML (`application/toml`) with or without
//! the header. Channels of the configuration file are changed there, and not here.

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{post, put};
use axum::{Json, Router};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::auth::only_for;
use super::channel_text::{Wrong, channel_text};
use super::{json, problem};
use crate::config::{Difference, Role};

/// What came of a change.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
}

/// The routes, beside those of [`super::router`] at the same paths: for operators, and for admins what makes or removes channels.
pub fn router(control: Arc<dyn Control>) -> Router {
    let operated = Router::new()
        .route("/api/v1/reload", post(reload))
        .route("/api/v1/channels/{name}/start", post(start))
        .route("/api/v1/channels/{name}/stop", post(stop))
        .with_state(Arc::clone(&control));
    let made = Router::new().route("/api/v1/channels", post(create)).route("/api/v1/channels/{name}", put(replace).delete(remove));
    only_for(Role::Operator, operated).merge(only_for(Role::Admin, made.with_state(control)))
}

type Controlled = Arc<dyn Control>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct How {
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn reload(State(controlled): State<Controlled>, how: Result<Json<How>, JsonRejection>) -> Response {
    match how {
        Ok(Json(how)) => told(controlled.reload(how.dry_run).await, StatusCode::OK),
        Err(cause) => problem(cause.status(), cause.body_text()),
    }
}

async fn create(State(controlled): State<Controlled>, headers: HeaderMap, body: Result<Bytes, BytesRejection>) -> Response {
    match written(&headers, body, None) {
        Ok((name, text)) => told(controlled.put_channel(name, text, false).await, StatusCode::CREATED),
        Err(answer) => *answer,
    }
}

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

async fn remove(State(controlled): State<Controlled>, Path(name): Path<String>) -> Response {
    told(controlled.remove_channel(name).await, StatusCode::OK)
}

async fn start(State(controlled): State<Controlled>, Path(name): Path<String>, body: Result<Json<Nothing>, JsonRejection>) -> Response {
    run(controlled, name, body, true).await
}

async fn stop(State(controlled): State<Controlled>, Path(name): Path<String>, body: Result<Json<Nothing>, JsonRejection>) -> Response {
    run(controlled, name, body, false).await
}

async fn run(controlled: Controlled, name: String, body: Result<Json<Nothing>, JsonRejection>, runs: bool) -> Response {
    if let Err(cause) = body {
        return problem(cause.status(), cause.body_text());
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

fn not_changed(cause: &NotChanged) -> Response {
    let status = match cause {
        NotChanged::Config(_) => StatusCode::UNPROCESSABLE_ENTITY,
        NotChanged::Build(_) | NotChanged::Exists(_) | NotChanged::InFile(_) => StatusCode::CONFLICT,
        NotChanged::Closed => StatusCode::FORBIDDEN,
        NotChanged::Unknown(_) => StatusCode::NOT_FOUND,
        NotChanged::State(_) => StatusCode::INSUFFICIENT_STORAGE,
    };
    problem(status, cause.to_string())
}
