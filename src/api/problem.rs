//! Errors as `application/problem+json` (RFC 9457), every one of them.

use axum::body::{Body, to_bytes};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, response::Parts};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
/// More is no message.
const LONGEST_DETAIL_BYTES: usize = 4096;

/// An error (RFC 9457 section 3.1); `type` is absent, which means `about:blank`.
#[derive(Serialize, ToSchema)]
pub struct Problem {
    /// What the status means.
    title: &'static str,
    /// The status.
    status: u16,
    /// What is wrong and what to do.
    detail: String,
}

/// An error: what is wrong and what to do.
pub fn problem(status: StatusCode, detail: impl Into<String>) -> Response {
    let headers = [(CONTENT_TYPE, PROBLEM), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (status, headers, body(status, detail.into())).into_response()
}

fn body(status: StatusCode, detail: String) -> Vec<u8> {
    let problem = Problem { title: status.canonical_reason().unwrap_or("Error"), status: status.as_u16(), detail };
    serde_json::to_vec(&problem).unwrap_or_default()
}

/// Makes a problem of an error that the router or an extractor wrote as plain text; its other headers stay.
pub(super) async fn mended(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || response.headers().get(CONTENT_TYPE) == Some(&PROBLEM) {
        return response;
    }
    let (mut parts, text) = response.into_parts();
    let text = to_bytes(text, LONGEST_DETAIL_BYTES).await.unwrap_or_default();
    let detail = String::from_utf8_lossy(&text).trim().to_owned();
    let detail = if detail.is_empty() { said_by(status).to_owned() } else { detail };
    let body = body(status, detail);
    relabel(&mut parts, body.len());
    Response::from_parts(parts, Body::from(body))
}

fn relabel(parts: &mut Parts, length: usize) {
    parts.headers.insert(CONTENT_TYPE, PROBLEM);
    parts.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
}

fn said_by(status: StatusCode) -> &'static str {
    match status {
        StatusCode::METHOD_NOT_ALLOWED => "the address takes other methods; the Allow header lists them",
        StatusCode::NOT_FOUND => "nothing is here; /api/v1/channels is a good beginning",
        _ => "the request cannot be answered",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header::ALLOW;

    #[tokio::test]
    async fn an_error_in_plain_text_becomes_a_problem_and_keeps_its_headers() {
        let plain = (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "POST")], "").into_response();
        let mended_one = mended(plain).await;
        assert_eq!((&mended_one.headers()[ALLOW], &mended_one.headers()[CONTENT_TYPE]), (&HeaderValue::from_static("POST"), &PROBLEM));
        let body = to_bytes(mended_one.into_body(), 4096).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert!(body["status"] == 405 && body["detail"].as_str().unwrap().contains("Allow"), "{body}");
        let fine = mended((StatusCode::OK, "fine").into_response()).await;
        assert_eq!(to_bytes(fine.into_body(), 4096).await.unwrap(), "fine");
    }
}
