//! What an operator ([`super::auth`]) may do to a running channel.
//!
//! Bodies are `application/json`, which a page from elsewhere cannot send without asking first, and it is not allowed to.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::only_for;
use super::{no_channel, openapi, problem};
use crate::channel::directory::{Directory, NotAsked};
use crate::channel::programme::MoveTo;
use crate::channel::seats::SOFTWARE;
use crate::config::Role;

/// The calls, for operators only.
pub(super) fn calls(directory: Arc<Directory>) -> OpenApiRouter {
    only_for(Role::Operator, OpenApiRouter::new().routes(routes!(feed)).routes(routes!(move_worker)).with_state(directory))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FeedWish)]
struct Wish {
    /// A feed's name, or `auto`.
    feed: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SeatWish)]
struct Seat {
    /// `auto`, `software` or the UUID of a GPU; the seat where it is, where nothing is said.
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

/// Puts a feed on the air
///
/// It stays as long as it delivers; `auto` leaves the choice to the policy.
#[utoipa::path(post, path = "/api/v1/channels/{name}/feed", tag = "feeds", operation_id = "switch_feed", params(openapi::Name), request_body = Wish,
    responses((status = 202, description = "The channel was told"), (status = 503, description = "The channel is busy; try again")))]
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

/// Changes the channel's worker for another one
///
/// Without a trace where the seat is the same. In another seat the channel stays as long as it works there; `auto` leaves the choice to the policy.
#[utoipa::path(post, path = "/api/v1/channels/{name}/move", tag = "channels", operation_id = "move_worker", params(openapi::Name),
    request_body = Seat,
    responses((status = 202, description = "It is under way"), (status = 409, description = "It cannot be moved; the detail says why")))]
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

pub(super) fn understood<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Box<Response>> {
    body.map(|Json(body)| body).map_err(|cause| Box::new(problem(cause.status(), cause.body_text())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_called_by_the_names_that_the_api_shows() {
        let meant = |seat: Option<&str>| Seat { seat: seat.map(str::to_owned) }.meant();
        assert!(matches!(meant(None), Ok(MoveTo::Same)));
        assert!(matches!(meant(Some("auto")), Ok(MoveTo::Auto)));
        assert!(matches!(meant(Some(SOFTWARE)), Ok(MoveTo::Software)));
        assert!(matches!(meant(Some("GPU-5d2c1a90")), Ok(MoveTo::Gpu(uuid)) if uuid == "GPU-5d2c1a90"));
        for wrong in ["", "GPU-", "gpu-5d2c1a90", "cuda:0", "anywhere"] {
            assert!(meant(Some(wrong)).is_err_and(|detail| detail.contains("/api/v1/devices")), "{wrong}");
        }
    }
}
