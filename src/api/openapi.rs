//! `GET /api/v1/openapi.json`: the document that describes every call (OpenAPI 3.1), made of what stands beside the calls themselves.
//!
//! What all calls have in common is added here: who may use them, by the rule that the guard goes by, and how they refuse.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, Content, Info, License, OpenApi, Ref, RefOr, ResponseBuilder, Tag};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::needed_role;
use super::problem::Problem;
use crate::config::Role;

/// The name of the security scheme.
const BEARER: &str = "bearer";

/// A channel's name in an address.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "only its description is used")]
pub(super) struct Name {
    /// The channel's name.
    #[param(pattern = "^[a-z0-9_-]{1,64}$", min_length = 1, max_length = 64)]
    name: String,
}

/// The route of the document, which describes itself too.
pub(super) fn router(document: OpenApi) -> Router {
    let (_, own) = OpenApiRouter::<Served>::new().routes(routes!(openapi)).split_for_parts();
    let mut document = document;
    document.merge(own);
    let served = Served(Bytes::from(described(document).to_json().unwrap_or_default()));
    OpenApiRouter::new().routes(routes!(openapi)).with_state(served).into()
}

#[derive(Clone)]
struct Served(Bytes);

/// This document
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "machine", operation_id = "show_openapi",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value)))]
async fn openapi(axum::extract::State(served): axum::extract::State<Served>) -> Response {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], served.0).into_response()
}

/// Adds what all calls have in common.
fn described(mut document: OpenApi) -> OpenApi {
    let mut info = Info::new("headend", env!("CARGO_PKG_VERSION"));
    info.description = Some(ABOUT.to_owned());
    info.license = Some(License::new(env!("CARGO_PKG_LICENSE")));
    document.info = info;
    document.tags = Some(TAGS.iter().map(|(name, about)| tag(name, about)).collect());
    let components = document.components.get_or_insert_with(Components::new);
    components.schemas.insert(Problem::name().into_owned(), Problem::schema());
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(TOKENS)).build();
    components.add_security_scheme(BEARER, SecurityScheme::Http(scheme));
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            complete(operation, &method, path);
        }
    }
    document
}

const ABOUT: &str = "A live-transcode appliance. Errors are problems (RFC 9457), with what to do in `detail`. Times are UTC. Requests that may change \
    something are written to the audit log. On this machine, over a loopback listener, no token is needed unless `api.loopback_tokens` is set; \
    from elsewhere a token is taken over TLS only.";

const TOKENS: &str = "A token of `headend token new NAME --role viewer|operator|admin`. A role may do what the lesser ones may.";

const TAGS: [(&str, &str); 5] = [
    ("channels", "What is on the air, and how it is made."),
    ("feeds", "What comes in."),
    ("keys", "Who may publish."),
    ("events", "What happens."),
    ("machine", "The appliance itself."),
];

fn tag(name: &str, about: &str) -> Tag {
    let mut tag = Tag::new(name);
    tag.description = Some(about.to_owned());
    tag
}

/// The operations of an address, with their methods.
pub(super) fn operations(item: &mut PathItem) -> Vec<(Method, &mut Operation)> {
    let all = [
        (Method::GET, item.get.as_mut()),
        (Method::POST, item.post.as_mut()),
        (Method::PUT, item.put.as_mut()),
        (Method::DELETE, item.delete.as_mut()),
        (Method::PATCH, item.patch.as_mut()),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation?))).collect()
}

fn complete(operation: &mut Operation, method: &Method, path: &str) {
    let role = needed_role(method, path);
    let whom = match role {
        None => "For everybody.".to_owned(),
        Some(role) => format!("For {}s.", role.label()),
    };
    let said = operation.description.take().unwrap_or_default();
    operation.description = Some(if said.is_empty() { whom } else { format!("{said}\n\n{whom}") });
    operation.security = Some(secured(role));
    for (status, meaning) in refusals(operation, method, path) {
        operation.responses.responses.entry(status.as_str().to_owned()).or_insert_with(|| RefOr::T(refusal(meaning)));
    }
    // Those that stand beside the call say what they mean, and not that they are problems.
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && status.starts_with(['4', '5'])
            && response.content.is_empty()
        {
            response.content = refusal("").content;
        }
    }
}

/// Without a token at all it works on this machine, and where nothing is needed.
fn secured(role: Option<Role>) -> Vec<SecurityRequirement> {
    let roles: Vec<&str> = role.iter().map(|role| role.label()).collect();
    vec![SecurityRequirement::default(), SecurityRequirement::new(BEARER, roles)]
}

/// How any call of this kind may be refused.
fn refusals(operation: &Operation, method: &Method, path: &str) -> Vec<(StatusCode, &'static str)> {
    let mut found = vec![
        (StatusCode::UNAUTHORIZED, "A token is needed, or this one is not known"),
        (StatusCode::FORBIDDEN, "The token's role is not enough, it came in the clear, or the request is another site's"),
        (StatusCode::TOO_MANY_REQUESTS, "Too many wrong tokens came from this address"),
    ];
    if path.contains('{') {
        found.push((StatusCode::BAD_REQUEST, "The address or the body cannot be read"));
        found.push((StatusCode::NOT_FOUND, "There is none of that name"));
    }
    if *method != Method::GET {
        found.push((StatusCode::REQUEST_TIMEOUT, "The body did not come in time"));
        found.push((StatusCode::PAYLOAD_TOO_LARGE, "The body is too long"));
    }
    if operation.request_body.is_some() {
        found.push((StatusCode::BAD_REQUEST, "The address or the body cannot be read"));
        found.push((StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is of another media type"));
        found.push((StatusCode::UNPROCESSABLE_ENTITY, "What is in the body cannot be done; the detail says why"));
    }
    found
}

fn refusal(meaning: &str) -> utoipa::openapi::Response {
    let schema = Ref::from_schema_name(Problem::name());
    ResponseBuilder::new().description(meaning).content("application/problem+json", Content::new(Some(schema))).build()
}
