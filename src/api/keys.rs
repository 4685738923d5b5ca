//! Stream keys, for admins ([`super::auth`]): who may publish. The only answers that have keys in them; nobody keeps them on the way
//! (`Cache-Control: no-store`), and they are in no log.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::only_for;
use super::control::{Control, not_changed};
use super::operate::understood;
use super::{json, openapi};
use crate::channel::plan::StreamKey;
use crate::config::Role;

/// Where a key comes from, and so what changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyOrigin {
    /// It stands in the configuration file, and is changed there.
    File,
    /// It was made at the first start, since none was configured.
    Generated,
    /// It stands in a channel that was made over the API.
    Api,
    /// None was set: it is the channel's name. Only where nobody but this machine can publish.
    Name,
}

/// The key of a feed that is pushed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FeedKey {
    /// The feed.
    pub feed: String,
    /// Its key: RTMP's stream name, SRT's stream id.
    #[serde(serialize_with = "revealed")]
    #[schema(value_type = String)]
    pub key: StreamKey,
    /// Where it comes from.
    pub origin: KeyOrigin,
}

fn revealed<S: Serializer>(key: &StreamKey, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(key.reveal())
}

/// The calls.
pub(super) fn calls(control: Arc<dyn Control>) -> OpenApiRouter {
    only_for(Role::Admin, OpenApiRouter::new().routes(routes!(keys, another_key)).with_state(control))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WhichFeed)]
struct Which {
    /// The feed that is to have another key.
    feed: String,
}

/// The stream keys of a channel
///
/// One for each feed that is pushed; what is fetched has none.
#[utoipa::path(get, path = "/api/v1/channels/{name}/keys", tag = "keys", operation_id = "list_keys", params(openapi::Name),
    responses((status = 200, description = "By preference of the feeds", body = Vec<FeedKey>)))]
async fn keys(State(control): State<Arc<dyn Control>>, Path(name): Path<String>) -> Response {
    match control.keys(name).await {
        Ok(keys) => json(&keys),
        Err(cause) => not_changed(&cause),
    }
}

/// Makes another key for a feed
///
/// It holds at once, and over restarts. Whoever publishes with the one before stays until they leave; nobody comes in with it any more. A key
/// of the configuration file is changed there.
#[utoipa::path(post, path = "/api/v1/channels/{name}/keys", tag = "keys", operation_id = "make_key", params(openapi::Name), request_body = Which,
    responses((status = 201, description = "The new key", body = FeedKey),
        (status = 409, description = "The key stands in the configuration file"),
        (status = 507, description = "The state directory cannot keep it")))]
async fn another_key(
    State(control): State<Arc<dyn Control>>,
    Path(name): Path<String>,
    which: Result<Json<Which>, JsonRejection>,
) -> Response {
    let which = match understood(which) {
        Ok(which) => which,
        Err(answer) => return *answer,
    };
    match control.another_key(name, which.feed).await {
        Ok(key) => (StatusCode::CREATED, json(&key)).into_response(),
        Err(cause) => not_changed(&cause),
    }
}
