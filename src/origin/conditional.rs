//! Conditional requests (RFC 9110 section 13), in the order of section 13.2.2.

use std::time::UNIX_EPOCH;

use axum::http::HeaderMap;
use axum::http::header::{HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};

use crate::shelf::Item;

/// What the conditions of a GET or HEAD lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Answer as if there were none.
    Proceed,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// Weighs the conditions against an item.
pub(super) fn verdict(headers: &HeaderMap, item: &Item) -> Verdict {
    let failed = match text(headers, IF_MATCH) {
        Some(tags) => !listed(tags, item, strong),
        None => date(headers, IF_UNMODIFIED_SINCE).is_some_and(|since| item.modified_second() > since),
    };
    if failed {
        return Verdict::Failed;
    }
    let unchanged = match text(headers, IF_NONE_MATCH) {
        Some(tags) => listed(tags, item, weak),
        None => date(headers, IF_MODIFIED_SINCE).is_some_and(|since| item.modified_second() <= since),
    };
    if unchanged { Verdict::NotModified } else { Verdict::Proceed }
}

/// Whether a Range header counts: there is no If-Range, or it names these very bytes.
pub(super) fn range_counts(headers: &HeaderMap, item: &Item) -> bool {
    match text(headers, IF_RANGE) {
        None => !headers.contains_key(IF_RANGE),
        Some(tag) if tag.contains('"') => tag.trim().as_bytes() == item.etag,
        Some(_) => date(headers, IF_RANGE) == Some(item.modified_second()),
    }
}

/// Tags hold no commas here, so a comma within quotes can only belong to somebody else's tag.
fn listed(tags: &str, item: &Item, same: fn(&str) -> Option<&str>) -> bool {
    tags.trim() == "*"
        || tags.split(',').filter_map(|tag| same(tag.trim())).any(|tag| tag.as_bytes() == item.etag || tag.as_bytes() == item.gzip_etag)
}

/// A weak tag never matches in the strong comparison.
fn strong(tag: &str) -> Option<&str> {
    tag.starts_with('"').then_some(tag)
}

/// A cache that recompresses marks the tag as weak; the content is the same.
fn weak(tag: &str) -> Option<&str> {
    Some(tag.strip_prefix("W/").unwrap_or(tag))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Seconds since the epoch; an unreadable date is no condition.
fn date(headers: &HeaderMap, name: HeaderName) -> Option<i64> {
    let date = httpdate::parse_http_date(text(headers, name)?).ok()?;
    i64::try_from(date.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}
