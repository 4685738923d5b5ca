//! Answers under `/live/`: from the shelf to the wire.

use axum::http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, HeaderName, LAST_MODIFIED, RANGE, RETRY_AFTER, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use bytes::Bytes;

use super::body::OriginBody;
use super::conditional::{Verdict, range_counts, verdict};
use super::encoding::accepts_gzip;
use super::path::{BadPath, split};
use super::range::{Wanted, wanted};
use super::tally::Asked;
use crate::shelf::{Item, Shelves};

/// Any page may play what is here; nothing depends on who asks.
const ANY_ORIGIN: HeaderValue = HeaderValue::from_static("*");

/// What scripts may read beside the safelisted headers.
const EXPOSED: HeaderValue = HeaderValue::from_static("Accept-Ranges, Content-Length, Content-Range, Date, ETag, Retry-After");

/// What players send: ranges, conditions, and CTA-5004 (CMCD) in headers.
const ALLOWED: HeaderValue = HeaderValue::from_static(
    "Range, If-Range, If-None-Match, If-Modified-Since, Cache-Control, Pragma, CMCD-Object, CMCD-Request, CMCD-Session, CMCD-Status",
);

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// Answers `METHOD /live/PATH`.
pub(super) fn answer(shelves: &Shelves, method: &Method, path: &str, headers: &HeaderMap) -> (Asked, Response<OriginBody>) {
    if method == Method::OPTIONS {
        return (Asked::Other, preflight());
    }
    if method != Method::GET && method != Method::HEAD {
        let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD are answered here.\n");
        response.headers_mut().insert(ALLOW, METHODS);
        return (Asked::Other, response);
    }
    let (asked, mut response) = match split(path) {
        Ok((channel, file)) => found(shelves, method, &channel, &file, headers),
        Err(BadPath::Malformed) => (Asked::Other, refusal(StatusCode::BAD_REQUEST, "The address is malformed.\n")),
        Err(BadPath::Outside) => (Asked::Other, refusal(StatusCode::NOT_FOUND, "Nothing is here: try /live/CHANNEL/master.m3u8.\n")),
    };
    if method == Method::HEAD {
        without_body(&mut response);
    }
    (asked, response)
}

fn found(shelves: &Shelves, method: &Method, channel: &str, file: &str, headers: &HeaderMap) -> (Asked, Response<OriginBody>) {
    let Some(shelf) = shelves.find(channel) else {
        return (Asked::Other, refusal(StatusCode::NOT_FOUND, "No channel has this name: / lists the channels.\n"));
    };
    if let Some(item) = shelf.find(file) {
        return (Asked::from(item.kind), item_answer(method, &item, headers));
    }
    if shelf.is_empty() {
        let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, "The channel has nothing to show yet: try again.\n");
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        return (Asked::Other, response);
    }
    (Asked::Other, refusal(StatusCode::NOT_FOUND, "The channel has no such file, or has it no more.\n"))
}

/// Conditions come before ranges (RFC 9110 section 13.2.2). A range is always of the plain bytes.
fn item_answer(method: &Method, item: &Item, headers: &HeaderMap) -> Response<OriginBody> {
    let ranged = method == Method::GET && headers.contains_key(RANGE) && range_counts(headers, item);
    let gzip = item.gzip.as_ref().filter(|_| !ranged && text(headers, ACCEPT_ENCODING).is_some_and(accepts_gzip));
    match verdict(headers, item) {
        Verdict::Proceed => {}
        Verdict::NotModified => return headed(StatusCode::NOT_MODIFIED, item, gzip.is_some(), OriginBody::Empty),
        Verdict::Failed => return refusal(StatusCode::PRECONDITION_FAILED, "The file is another one by now.\n"),
    }
    if let Some(gzip) = gzip {
        return headed(StatusCode::OK, item, true, gzip.clone().into());
    }
    let length = item.body.len();
    match text(headers, RANGE).filter(|_| ranged).map_or(Wanted::Whole, |range| wanted(range, length)) {
        Wanted::Whole => headed(StatusCode::OK, item, false, item.body.clone().into()),
        Wanted::Part(range) => {
            let value = format!("bytes {}-{}/{length}", range.start, range.end.saturating_sub(1));
            let mut response = headed(StatusCode::PARTIAL_CONTENT, item, false, item.body.slice(range).into());
            response.headers_mut().insert(CONTENT_RANGE, shared(Bytes::from(value)));
            response
        }
        Wanted::Nothing => {
            let mut response = refusal(StatusCode::RANGE_NOT_SATISFIABLE, "The file has no such bytes.\n");
            response.headers_mut().insert(CONTENT_RANGE, shared(Bytes::from(format!("bytes */{length}"))));
            response
        }
    }
}

/// An answer with the headers of an item.
fn headed(status: StatusCode, item: &Item, gzip: bool, body: OriginBody) -> Response<OriginBody> {
    let mut headers = HeaderMap::with_capacity(12);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(item.content_type));
    headers.insert(CACHE_CONTROL, shared(item.cache_control.clone()));
    headers.insert(ETAG, shared(if gzip { &item.gzip_etag } else { &item.etag }.clone()));
    headers.insert(LAST_MODIFIED, shared(item.last_modified.clone()));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY_ORIGIN);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    if item.gzip.is_some() {
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    if gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    with_headers(status, headers, body)
}

/// An error in a few words that no cache keeps.
pub(super) fn refusal(status: StatusCode, text: &'static str) -> Response<OriginBody> {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY_ORIGIN);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    with_headers(status, headers, OriginBody::from(text))
}

fn preflight() -> Response<OriginBody> {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(ALLOW, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY_ORIGIN);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED);
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    with_headers(StatusCode::NO_CONTENT, headers, OriginBody::Empty)
}

/// HEAD tells the length that GET would send (RFC 9110 section 9.3.2).
fn without_body(response: &mut Response<OriginBody>) {
    let length = response.body().bytes();
    if response.status() != StatusCode::NOT_MODIFIED {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    *response.body_mut() = OriginBody::Empty;
}

fn with_headers(status: StatusCode, headers: HeaderMap, body: OriginBody) -> Response<OriginBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// A header value without a copy. The values are made of tags, dates and numbers, so the fallback is never seen.
fn shared(value: Bytes) -> HeaderValue {
    HeaderValue::from_maybe_shared(value).unwrap_or(HeaderValue::from_static(""))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}
