//! Emptying a channel or the appliance, for operators ([`super::auth`]): nobody new is let in, and publishers that can are asked to connect anew,
//! which takes them elsewhere where there is an elsewhere.

use std::sync::Arc;
use std::time::Duration;

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
use super::control::{Control, Nothing, not_changed};
use super::operate::understood;
use super::{json, openapi, problem};
use crate::channel::directory::{Directory, Drain};
use crate::config::{self, Role};

/// How long publishers have, where the request does not say.
const USUAL_WAIT: Duration = Duration::from_secs(30);
/// What is longer was meant otherwise.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// The calls.
pub(super) fn calls(directory: Arc<Directory>, control: Arc<dyn Control>) -> OpenApiRouter {
    let of_channel = OpenApiRouter::new().routes(routes!(drain_channel)).with_state(control);
    let of_all = OpenApiRouter::new().routes(routes!(drain, undrain)).with_state(Arc::clone(&directory));
    let looking = OpenApiRouter::new().routes(routes!(drained)).with_state(directory);
    only_for(Role::Operator, of_channel.merge(of_all)).merge(looking)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DrainWithin)]
struct Within {
    /// How long publishers have until the channel stops: `30s`, up to `1h`.
    #[schema(pattern = "^[0-9]+(ms|s|m|h)$", example = "30s")]
    within: Option<String>,
}

impl Within {
    fn wait(&self) -> Result<Duration, String> {
        let Some(text) = &self.within else { return Ok(USUAL_WAIT) };
        let span = config::duration(text).map_err(|cause| format!("within = {text:?}: {cause}"))?;
        let wait = Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(0));
        if wait > LONGEST_WAIT { Err(format!("within = {text:?}: must be at most 1h; stop the channel when it is time")) } else { Ok(wait) }
    }
}

/// Empties a channel and stops it
///
/// Nobody new is let in. Publishers that said that they can (enhanced RTMP) are asked to reconnect; the others are served on. When the last one has
/// gone, at the latest after `within`, the channel is stopped as by `stop`, over restarts too; feeds that headend fetches itself are not waited
/// for. `start` takes it back. Asking twice changes nothing.
#[utoipa::path(post, path = "/api/v1/channels/{name}/drain", tag = "channels", operation_id = "drain_channel", params(openapi::Name),
    request_body = Within, responses((status = 202, description = "It has begun")))]
async fn drain_channel(
    State(control): State<Arc<dyn Control>>,
    Path(name): Path<String>,
    within: Result<Json<Within>, JsonRejection>,
) -> Response {
    let wait = match understood(within).map(|within| within.wait()) {
        Ok(Ok(wait)) => wait,
        Ok(Err(detail)) => return problem(StatusCode::UNPROCESSABLE_ENTITY, detail),
        Err(answer) => return *answer,
    };
    match control.drain_channel(name, wait).await {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(cause) => not_changed(&cause),
    }
}

/// Lets no publisher into the appliance any more
///
/// `/readyz` answers 503, publishers that can are asked to reconnect, new ones are refused. Channels go on: they show what they show without a
/// publisher, and viewers are served. It ends with `DELETE`, or with the process. Asking twice changes nothing.
#[utoipa::path(post, path = "/api/v1/drain", tag = "machine", operation_id = "drain", request_body = Nothing,
    responses((status = 202, description = "It has begun", body = Drain)))]
async fn drain(State(directory): State<Arc<Directory>>, body: Result<Json<Nothing>, JsonRejection>) -> Response {
    if let Err(answer) = understood(body) {
        return *answer;
    }
    directory.drain_all(true);
    (StatusCode::ACCEPTED, json(&directory.drain_of_all())).into_response()
}

/// Lets publishers in again
#[utoipa::path(delete, path = "/api/v1/drain", tag = "machine", operation_id = "undrain",
    responses((status = 200, description = "The appliance is as it was", body = Drain)))]
async fn undrain(State(directory): State<Arc<Directory>>) -> Response {
    directory.drain_all(false);
    json(&directory.drain_of_all())
}

/// Whether the appliance is being drained, and how many publishers it has
#[utoipa::path(get, path = "/api/v1/drain", tag = "machine", operation_id = "show_drain",
    responses((status = 200, description = "With none left it can be restarted", body = Drain)))]
async fn drained(State(directory): State<Arc<Directory>>) -> Response {
    json(&directory.drain_of_all())
}
