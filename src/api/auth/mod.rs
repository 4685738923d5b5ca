//! Who may do what over HTTP.
//!
//! | who comes | may |
//! |---|---|
//! | anybody | see what is on the air |
//! | this machine, over a loopback listener | everything, unless `api.loopback_tokens` is set |
//! | a bearer token (RFC 6750) over TLS, or through a trusted proxy that was spoken to over TLS | what its role lets it |
//!
//! [`Guard::over`] puts the rule in front of a router and leaves a [`Caller`] in each request's extensions. Every operating
//! call leaves a line in the log, target `audit`: who, from where, what, and how it ended.

mod book;
mod judge;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{HOST, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use tokio::time::timeout;
use utoipa_axum::router::OpenApiRouter;

pub use book::{TokenBook, TokenFileError, hex};

use self::judge::{Asking, Denial, Need, Rules, judge};
use super::problem::{mended, problem};
use crate::base::attempts::Attempts;
use crate::base::metrics::metrics;
use crate::base::{Arrival, clock};
use crate::config::{AccessPlan, Role};

/// What the audit log calls somebody who came over a loopback listener without a token.
const LOCAL: &str = "local";
const NOBODY: &str = "-";
/// How much of a request's body is read; a channel is a page of text.
const LONGEST_BODY_BYTES: usize = 64 << 10;
/// How long the body of somebody who was let in is waited for.
const BODY_WAIT: Duration = Duration::from_secs(10);
/// The same, of somebody who was not.
const DENIED_BODY_WAIT: Duration = Duration::from_secs(2);

/// Who a request is from. A request without one came past no guard, and may do nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The token's name, `local`, or `-` for nobody in particular.
    pub name: String,
    /// What it may do; nothing but look, where there is none.
    pub role: Option<Role>,
    /// Where the request began: the peer, or what a trusted proxy says.
    pub address: IpAddr,
}

impl Caller {
    /// Whether it has this role or a higher one.
    pub fn may(&self, role: Role) -> bool {
        self.role.is_some_and(|own| own >= role)
    }
}

/// The rule in front of a router. Clones share tokens and the count of failures.
#[derive(Clone, Debug)]
pub struct Guard {
    rules: Arc<RwLock<Rules>>,
    book: Arc<TokenBook>,
    attempts: Arc<Mutex<Attempts>>,
}

impl Guard {
    /// A guard that knows the tokens of `book`.
    pub fn new(access: &AccessPlan, book: Arc<TokenBook>) -> Guard {
        let guard = Guard { rules: Arc::default(), book, attempts: Arc::default() };
        guard.change(access);
        guard
    }

    /// From the next request on this holds.
    pub fn change(&self, access: &AccessPlan) {
        let rules = Rules { loopback_tokens: access.loopback_tokens, trusted_proxies: access.trusted_proxies.clone() };
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
        self.book.configure(access.tokens.clone());
    }

    /// Guards the routes that `router` has now.
    pub fn over(self, router: Router) -> Router {
        router.layer(from_fn_with_state(self, guarded))
    }

    fn judged(&self, request: &Request) -> Result<Caller, Denial> {
        let Some(arrival) = request.extensions().get::<Arrival>().copied() else { return Err(Denial::Unknown) };
        let (method, headers) = (request.method(), request.headers());
        let host =
            headers.get(HOST).map_or_else(|| request.uri().authority().map(Authority::as_str), |host| host.to_str().ok().or(Some("")));
        let asking = Asking { need: Need::of(method, request.uri().path()), changes: !is_safe(method), arrival, host, headers };
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        judge(&rules, &self.book, &mut attempts, &asking, clock::mono())
    }
}

/// The role that a call takes; none where anybody may.
pub(super) fn needed_role(method: &Method, path: &str) -> Option<Role> {
    match Need::of(method, path) {
        Need::Nothing => None,
        Need::Role(role) => Some(role),
    }
}

/// RFC 9110 section 9.2.1.
fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

async fn guarded(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let arrival = request.extensions().get::<Arrival>().copied();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let is_api = judge::is_api(&path);
    let (caller, response) = match guard.judged(&request) {
        Ok(caller) => {
            request.extensions_mut().insert(caller.clone());
            let response = match read(request).await {
                Ok(request) => next.run(request).await,
                Err(response) => *response,
            };
            (Ok(caller), response)
        }
        Err(denial) => {
            metrics().api_denials.with_label_values(&[denial.label()]).inc();
            let _ = timeout(DENIED_BODY_WAIT, to_bytes(request.into_body(), LONGEST_BODY_BYTES)).await;
            let response = denied(&denial);
            (Err(denial), response)
        }
    };
    // Denials that cost a caller nothing are counted; they do not get to fill the log. Guesses are limited.
    let is_told = matches!(caller, Ok(_) | Err(Denial::WrongToken | Denial::Role { .. }));
    // Who looks at keys is as interesting as who changes something.
    let is_operating = !is_safe(&method) || Need::of(&method, &path) == Need::Role(Role::Admin);
    if is_api && is_operating && is_told {
        audit(&method, &path, arrival, &caller, response.status());
    }
    if is_api { mended(response).await } else { response }
}

/// The request with its body in memory, whoever answers it. An answer before the end of a body resets the stream in HTTP/2, and the client may
/// drop the answer with it.
async fn read(request: Request) -> Result<Request, Box<Response>> {
    if is_safe(request.method()) {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    match timeout(BODY_WAIT, to_bytes(body, LONGEST_BODY_BYTES)).await {
        Ok(Ok(bytes)) => Ok(Request::from_parts(parts, Body::from(bytes))),
        Ok(Err(_)) => {
            let detail = format!("the body broke off, or is longer than {} KiB", LONGEST_BODY_BYTES >> 10);
            Err(Box::new(problem(StatusCode::PAYLOAD_TOO_LARGE, detail)))
        }
        Err(_) => Err(Box::new(problem(StatusCode::REQUEST_TIMEOUT, format!("the body did not come within {} s", BODY_WAIT.as_secs())))),
    }
}

fn audit(method: &Method, path: &str, arrival: Option<Arrival>, caller: &Result<Caller, Denial>, status: StatusCode) {
    let peer = arrival.map_or_else(|| NOBODY.to_owned(), |arrival| arrival.peer.to_string());
    let over_tls = arrival.is_some_and(|arrival| arrival.over_tls);
    let status = status.as_u16();
    match caller {
        Ok(Caller { name, role, address }) => {
            let role = role.map_or(NOBODY, Role::label);
            tracing::info!(target: "audit", %method, path, status, caller = name, role, client = %address, peer, over_tls, "operating call");
        }
        Err(denial) => {
            tracing::warn!(target: "audit", %method, path, status, cause = %denial, peer, over_tls, "operating call denied");
        }
    }
}

fn denied(denial: &Denial) -> Response {
    let mut response = problem(denial.status(), format!("{denial}; {}", denial.remedy()));
    let headers = response.headers_mut();
    if let Some(challenge) = denial.challenge() {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    if let Denial::TooMany(wait) = denial {
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    }
    response
}

/// Lets nobody through to `calls` who has not `role`, even where no guard is in front of it.
pub fn only_for(role: Role, calls: OpenApiRouter) -> OpenApiRouter {
    calls.route_layer(from_fn(move |request: Request, next: Next| async move {
        match request.extensions().get::<Caller>() {
            Some(caller) if caller.may(role) => next.run(request).await,
            Some(_) => denied(&Denial::Role { needed: role }),
            None => denied(&Denial::Unknown),
        }
    }))
}
