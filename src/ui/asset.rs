//! One embedded file and how it is answered.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::sync::OnceLock;

use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

/// Own scripts and styles only. hls.js feeds the video from `blob:` and runs its transmuxer in a worker from `blob:`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    media-src 'self' blob:; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file of the page.
#[derive(Debug)]
pub(super) struct Asset {
    pub(super) path: &'static str,
    content_type: &'static str,
    pub(super) body: &'static [u8],
    packed: OnceLock<Packed>,
}

/// What is made when the file is first asked for.
#[derive(Debug)]
struct Packed {
    etag: String,
    gzip_etag: String,
    gzip: Option<Bytes>,
}

impl Asset {
    pub(super) const fn new(path: &'static str, content_type: &'static str, body: &'static [u8]) -> Asset {
        Asset { path, content_type, body, packed: OnceLock::new() }
    }

    /// The file, or 304. A browser asks each time, so that a new version of headend shows at once.
    pub(super) fn answer(&self, request: &HeaderMap) -> Response {
        let packed = self.packed.get_or_init(|| Packed::new(self.body));
        let gzip = packed.gzip.as_ref().filter(|_| text(request, ACCEPT_ENCODING).is_some_and(takes_gzip));
        let etag = if gzip.is_some() { &packed.gzip_etag } else { &packed.etag };
        let known = text(request, IF_NONE_MATCH).is_some_and(|tags| tags.contains(&packed.etag) || tags.contains(&packed.gzip_etag));
        let headers = [
            (ETAG, etag.as_str()),
            (CACHE_CONTROL, "no-cache"),
            (VARY, "Accept-Encoding"),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
        ];
        if known {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        let body = gzip.cloned().unwrap_or(Bytes::from_static(self.body));
        let mut response = (headers, body).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        if gzip.is_some() {
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}

impl Packed {
    fn new(body: &[u8]) -> Packed {
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        let hash = hasher.finish();
        let gzip = gzip(body).filter(|gzip| gzip.len() < body.len()).map(Bytes::from);
        Packed { etag: format!("\"{hash:016x}\""), gzip_etag: format!("\"{hash:016x}-gz\""), gzip }
    }
}

fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

/// Browsers name gzip without a weight; whoever gives it one gets the plain file.
fn takes_gzip(value: &str) -> bool {
    value.split(',').any(|coding| coding.trim() == "gzip")
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}
