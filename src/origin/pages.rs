//! Small pages for machines: the time, health, readiness, metrics.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::base::clock;
use crate::base::metrics::metrics;
pub use crate::base::time::iso8601;

const TEXT: (HeaderName, &str) = (CONTENT_TYPE, "text/plain; charset=utf-8");
const FRESH: (HeaderName, &str) = (CACHE_CONTROL, "no-store");

/// Tells whether viewers can be sent here, and if not, why. Called on the HTTP runtime: it must not block.
#[derive(Clone)]
pub struct Readiness(Arc<dyn Fn() -> Result<(), String> + Send + Sync>);

impl Readiness {
    /// Wraps a check; its error says what is missing.
    pub fn new(check: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Readiness {
        Readiness(Arc::new(check))
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Readiness(..)")
    }
}

/// `/time` (DASH UTCTiming, urn:mpeg:dash:utc:http-iso:2014), `/healthz`, `/readyz`, `/metrics`.
pub fn routes(readiness: Readiness) -> Router {
    Router::new()
        .route("/time", get(async || ([TEXT, FRESH, (ACCESS_CONTROL_ALLOW_ORIGIN, "*")], iso8601(clock::wall()))))
        .route("/healthz", get(async || ([TEXT, FRESH], "ok\n")))
        .route("/readyz", get(async move || ready(&readiness)))
        .route("/metrics", get(async || ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"), FRESH], metrics().render())))
}

fn ready(readiness: &Readiness) -> Response {
    match (readiness.0)() {
        Ok(()) => ([TEXT, FRESH], "ready\n").into_response(),
        Err(missing) => {
            (StatusCode::SERVICE_UNAVAILABLE, [TEXT, FRESH, (RETRY_AFTER, "1")], format!("not ready: {missing}\n")).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::WallTime;
    use proptest::prelude::*;

    #[test]
    fn leap_days_and_the_epoch_are_written_right() {
        assert_eq!(iso8601(WallTime(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso8601(WallTime(1_709_210_096_789_999)), "2024-02-29T12:34:56.789Z");
        assert_eq!(iso8601(WallTime(-1)), "1969-12-31T23:59:59.999Z");
    }

    proptest! {
        #[test]
        fn the_date_agrees_with_the_http_date(second in 0..4_102_444_800i64) {
            let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(second as u64);
            let http = httpdate::fmt_http_date(at);
            let iso = iso8601(WallTime(second * 1_000_000));
            prop_assert_eq!(&http[5..7], &iso[8..10]);
            prop_assert_eq!(&http[12..16], &iso[0..4]);
            prop_assert_eq!(&http[17..25], &iso[11..19]);
        }
    }
}
