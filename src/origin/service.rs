//! From a request to an answer.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::{Body, Incoming};
use tower::Service;

use super::body::OriginBody;
use super::gate::Room;
use super::live::{answer, refusal};
use super::tally::{Asked, tally};
use super::traffic::Traffic;
use crate::base::{Arrival, Mono, clock};
use crate::shelf::Shelves;

/// Everything that is served on a listener. Clones share it.
#[derive(Clone, Debug)]
pub struct Origin {
    shelves: Shelves,
    router: Router,
    room: Arc<Room>,
}

impl Origin {
    /// Serves `shelves` under `/live/` and `router` elsewhere; what the router does not know is 404.
    pub fn new(shelves: Shelves, router: Router) -> Origin {
        let router = router.fallback(async || (StatusCode::NOT_FOUND, [("cache-control", "no-store")], "Nothing is here.\n"));
        Origin { shelves, router, room: Room::without_end() }
    }

    /// With so much room for the connections of all its listeners together.
    pub fn within(self, room: Arc<Room>) -> Origin {
        Origin { room, ..self }
    }

    pub(super) fn room(&self) -> Arc<Room> {
        Arc::clone(&self.room)
    }

    /// Answers one request. The body of the request is not read.
    pub(super) fn answer(&self, mut request: Request<Incoming>, arrival: Arrival, max_target_bytes: usize) -> Answer {
        let since = clock::mono();
        let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
        if target > max_target_bytes {
            return too_long(request.uri().path(), since);
        }
        if let Some(path) = request.uri().path().strip_prefix("/live/") {
            let (asked, response) = answer(&self.shelves, request.method(), path, request.headers());
            return Answer::at_once(asked, since, response);
        }
        let asked = Asked::of(request.uri().path());
        request.extensions_mut().insert(arrival);
        let answering = self.router.clone().call(request);
        Answer::Routed(Box::pin(async move {
            let Ok(response) = answering.await;
            let mut response = response.map(OriginBody::Routed);
            response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            counted(asked, since, response)
        }))
    }
}

/// An answer: there at once from a shelf, later from the router.
pub(super) enum Answer {
    AtOnce(Ready<Result<Response<OriginBody>, Infallible>>),
    Routed(Pin<Box<dyn Future<Output = Response<OriginBody>> + Send>>),
}

impl Answer {
    fn at_once(asked: Asked, since: Mono, response: Response<OriginBody>) -> Answer {
        Answer::AtOnce(ready(Ok(counted(asked, since, response))))
    }
}

impl Future for Answer {
    type Output = Result<Response<OriginBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Answer::AtOnce(response) => Pin::new(response).poll(context),
            Answer::Routed(response) => response.as_mut().poll(context).map(Ok),
        }
    }
}

/// The API's errors are problems in JSON (RFC 9457), this one too.
fn too_long(path: &str, since: Mono) -> Answer {
    let asked = Asked::of(path);
    if asked != Asked::Api {
        return Answer::at_once(Asked::Other, since, refusal(StatusCode::URI_TOO_LONG, "The address is too long.\n"));
    }
    let mut response = refusal(StatusCode::URI_TOO_LONG, r#"{"title":"URI Too Long","status":414,"detail":"the address is too long"}"#);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    Answer::at_once(asked, since, response)
}

fn counted(asked: Asked, since: Mono, response: Response<OriginBody>) -> Response<OriginBody> {
    let bytes = response.body().size_hint().exact().unwrap_or(0);
    tally().count(asked, response.status(), bytes);
    tally().took(asked, clock::mono().since(since));
    response
}

/// The service of one connection.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) origin: Arc<Origin>,
    pub(super) arrival: Arrival,
    pub(super) traffic: Arc<Traffic>,
    pub(super) max_target_bytes: usize,
}

impl hyper::service::Service<Request<Incoming>> for Connected {
    type Response = Response<OriginBody>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        self.traffic.dispatched(request.version() == Version::HTTP_2);
        self.origin.answer(request, self.arrival, self.max_target_bytes)
    }
}
