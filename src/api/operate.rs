//! What an operator ([`super::auth`]) may do to a running channel.
//!
//! | request | effect |
//! |---|---|
//! | `POST /api/v1/channels/NAME/feed` with `{"feed": "backup"}` | this feed is on the air as long as it delivers; `"auto"` leaves the choice to the policy |
//! | `POST /api/v1/channels/NAME/move` with `{}` | the worker is changed for another one in the same seat, without a trace |
//! | the same with `{"seat": "software"}` or `{"seat": "GPU-..."}` | in that seat, and the channel stays there as long as it works; `"auto"` leaves the choice to the policy |
//!
//! Bodies are `application/json`, which a page from elsewhere cannot send without asking first, and it is not allowed to.

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;

use super::auth::only_for;
use super::{no_channel, problem};
use crate::channel::directory::{Directory, NotAsked};
use crate::channel::programme::MoveTo;
use crate::channel::seats::SOFTWARE;
use crate::config::Role;

/// The routes, for operators only.
pub fn router(directory: Arc<Directory>) -> Router {
    let routes = Router::new()
        .route("/api/v1/channels/{name}/feed", post(feed))
        .route("/api/v1/channels/{name}/move", post(move_worker))
        .with_state(directory);
    only_for(Role::Operator, routes)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    feed: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Seat {
    seat: Option<String>,
}

impl Seat {
    fn meant(self) -> Result<MoveTo, String> {
        match self.seat.as_deref() {
            None => Ok(MoveTo::Same),
            Some("auto") => Ok(MoveTo::Auto),
            Some(SOFTWARE) => Ok(MoveTo::Software),
            Some(uuid) if uuid.len() > 4 && uuid.starts_with("GPU-") => Ok(MoveTo::Gpu(uuid.to_owned())),
            Some(other) => Err(format!("no seat is called {other:?}: use auto, {SOFTWARE}, or a uuid of GET /api/v1/devices")),
        }
    }
}

async fn feed(State(directory): State<Arc<Directory>>, Path(name): Path<String>, wish: Result<Json<Wish>, JsonRejection>) -> Response {
    let wish = match understood(wish) {
        Ok(wish) => wish,
        Err(answer) => return *answer,
    };
    match directory.ask_feed(&name, &wish.feed) {
        Ok(()) => {
            tracing::info!(channel = name, feed = wish.feed, "an operator asks for a feed");
            StatusCode::ACCEPTED.into_response()
        }
        Err(NotAsked::Channel) => no_channel(&name),
        Err(cause @ NotAsked::Feed(_)) => problem(StatusCode::UNPROCESSABLE_ENTITY, cause.to_string()),
        Err(cause @ NotAsked::Busy) => problem(StatusCode::SERVICE_UNAVAILABLE, cause.to_string()),
    }
}

async fn move_worker(
    State(directory): State<Arc<Directory>>,
    Path(name): Path<String>,
    body: Result<Json<Seat>, JsonRejection>,
) -> Response {
    let to = match understood(body).map(Seat::meant) {
        Ok(Ok(to)) => to,
        Ok(Err(detail)) => return problem(StatusCode::UNPROCESSABLE_ENTITY, detail),
        Err(answer) => return *answer,
    };
    match directory.move_worker(&name, to).await {
        Some(Ok(())) => StatusCode::ACCEPTED.into_response(),
        Some(Err(cause)) => problem(StatusCode::CONFLICT, cause.to_string()),
        None => no_channel(&name),
    }
}

fn understood<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Box<Response>> {
    body.map(|Json(body)| body).map_err(|cause| Box::new(problem(cause.status(), cause.body_text())))
}
