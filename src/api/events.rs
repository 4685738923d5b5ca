//! `GET /api/v1/events`: what happened and what happens, as server-sent events. For viewers ([`super::auth`]): events name peers.
//!
//! `?since=ID` (or `Last-Event-ID`, which browsers send by themselves) begins behind that event, as far as the last thousand go back; else
//! only new ones are told. Who reads too slowly loses events and is told so by an event `lagged` with how many. With
//! `Accept: application/json` what there is comes at once, as a list.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame};
use serde::Deserialize;
use tokio::sync::{mpsc, watch};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::only_for;
use super::{json, problem};
use crate::base::events::{Event, Events, events};
use crate::config::Role;

/// Something is sent this often, so that both ends notice when the other is gone.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Pieces that wait for a reader; behind them the ring itself is the queue.
const WAITING_PIECES: usize = 16;
/// Readers at once.
const MOST_READERS: usize = 64;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

#[derive(Clone, Debug)]
struct Told {
    stop: watch::Receiver<bool>,
    readers: Arc<()>,
}

/// The call. Streams end when `stop` turns true.
pub(super) fn calls(stop: watch::Receiver<bool>) -> OpenApiRouter {
    only_for(Role::Viewer, OpenApiRouter::new().routes(routes!(stream)).with_state(Told { stop, readers: Arc::new(()) }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct From {
    /// The event behind which to begin; `Last-Event-ID` says the same.
    since: Option<u64>,
}

/// What happened and what happens
///
/// Server-sent events: `id` and `event` are the number and the kind, `data` is the event. Without `since` only new ones are told. Who reads too
/// slowly is told by an event `lagged` how many are missing. With `Accept: application/json` what there is comes at once, as a list.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", operation_id = "follow_events",
    params(From, ("Accept" = Option<String>, Header, description = "`application/json` for a list")),
    responses((status = 200, description = "A stream, or a list", content(
            (String = "text/event-stream"), (Vec<Event> = "application/json"))),
        (status = 400, description = "since is no number"),
        (status = 503, description = "There are too many readers")))]
async fn stream(State(told): State<Told>, from: Result<Query<From>, QueryRejection>, headers: HeaderMap) -> Response {
    let from = match from {
        Ok(Query(from)) => from,
        Err(_) => return problem(StatusCode::BAD_REQUEST, "since takes the number of an event".to_owned()),
    };
    let last = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()?.parse().ok());
    let wants_list = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(|accept| accept.contains("application/json"));
    if wants_list {
        let since = events().since(from.since.unwrap_or(0)).events;
        return json(&since.iter().map(|event| &**event).collect::<Vec<_>>());
    }
    // Each stream holds one, and the state itself one for every clone of the router.
    if Arc::strong_count(&told.readers) > MOST_READERS {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "too many readers of events; close some".to_owned());
    }
    let begin = begins_behind(last, from.since, *events().newest().borrow());
    let (pieces, due) = mpsc::channel(WAITING_PIECES);
    tokio::spawn(tell(events(), begin, pieces, told.stop, told.readers));
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
    (headers, Body::new(Pieces(due))).into_response()
}

/// The event behind which a reader begins. A browser that connects again keeps the address with its `since`, and says in a header how far it
/// has come.
fn begins_behind(last: Option<u64>, since: Option<u64>, newest: u64) -> u64 {
    last.or(since).unwrap_or(newest)
}

/// Tells events from `last` on until nobody reads or the appliance stops.
async fn tell(events: &'static Events, mut last: u64, pieces: mpsc::Sender<Bytes>, mut stop: watch::Receiver<bool>, reader: Arc<()>) {
    let mut newest = events.newest();
    let mut piece = Some(Bytes::from_static(b"retry: 2000\n\n"));
    loop {
        if let Some(piece) = piece.take()
            && pieces.send(piece).await.is_err()
        {
            break;
        }
        newest.borrow_and_update();
        let since = events.since(last);
        if let Some(newest) = since.events.last() {
            last = newest.id;
            piece = Some(written(since.missed, &since.events));
            continue;
        }
        tokio::select! {
            _ = newest.changed() => {}
            () = tokio::time::sleep(HEARTBEAT) => piece = Some(Bytes::from_static(b": all is quiet\n\n")),
            () = pieces.closed() => break,
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    drop(reader);
}

/// Events as the stream writes them (HTML, section 9.2.6). Their JSON has no line breaks.
fn written(missed: u64, events: &[Arc<Event>]) -> Bytes {
    let mut text = String::new();
    if missed > 0 {
        text.push_str(&format!("event: lagged\ndata: {{\"missed\":{missed}}}\n\n"));
    }
    for event in events {
        let data = serde_json::to_string(&**event).unwrap_or_default();
        text.push_str(&format!("id: {}\nevent: {}\ndata: {data}\n\n", event.id, event.kind.label()));
    }
    Bytes::from(text)
}

/// A body that comes in pieces.
struct Pieces(mpsc::Receiver<Bytes>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.get_mut().0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::WallTime;
    use crate::base::events::{EventKind, KEPT_EVENTS};

    fn ring() -> &'static Events {
        Box::leak(Box::new(Events::new(WallTime(0))))
    }

    async fn piece(due: &mut mpsc::Receiver<Bytes>) -> String {
        String::from_utf8(due.recv().await.expect("a piece").to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_reader_gets_what_it_missed_and_then_what_comes() {
        let events = ring();
        let (_stop, stopped) = watch::channel(false);
        for number in 0..3 {
            events.add(EventKind::State, Some("demo"), format!("state\n{number}"), WallTime(0));
        }
        let (pieces, mut due) = mpsc::channel(4);
        let teller = tokio::spawn(tell(events, 1, pieces, stopped, Arc::new(())));
        assert!(piece(&mut due).await.starts_with("retry:"));
        let text = piece(&mut due).await;
        assert!(
            text.starts_with("id: 2\nevent: state\ndata: {\"id\":2,\"kind\":\"state\",\"channel\":\"demo\",\"text\":\"state\\n1\""),
            "{text}"
        );
        assert_eq!(text.matches("\n\n").count(), 2);
        events.add(EventKind::Reload, None, "reloaded".into(), WallTime(0));
        assert!(piece(&mut due).await.contains("\"text\":\"reloaded\""));
        drop(due);
        teller.await.unwrap();
    }

    #[test]
    fn a_reader_that_comes_back_goes_on_where_it_was() {
        assert_eq!(begins_behind(Some(7), Some(3), 9), 7);
        assert_eq!(begins_behind(None, Some(3), 9), 3);
        assert_eq!(begins_behind(None, None, 9), 9);
    }

    #[tokio::test]
    async fn one_reader_too_many_is_told_so_until_another_leaves() {
        let (_stop, stop) = watch::channel(false);
        let told = Told { stop, readers: Arc::new(()) };
        let ask = || stream(State(told.clone()), Ok(Query(From { since: None })), HeaderMap::new());
        let mut readers = Vec::new();
        loop {
            match ask().await {
                response if response.status() == StatusCode::OK => readers.push(response),
                response => break assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE),
            }
            assert!(readers.len() <= MOST_READERS);
        }
        assert!(readers.len() + 2 >= MOST_READERS, "{} readers", readers.len());
        drop(readers.pop());
        // The stream notices when its task runs.
        while Arc::strong_count(&told.readers) >= MOST_READERS {
            tokio::task::yield_now().await;
        }
        assert_eq!(ask().await.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn a_slow_reader_loses_events_and_is_told() {
        let events = ring();
        let (stop, stopped) = watch::channel(false);
        let (pieces, mut due) = mpsc::channel(1);
        let teller = tokio::spawn(tell(events, 0, pieces, stopped, Arc::new(())));
        assert!(piece(&mut due).await.starts_with("retry:"));
        for number in 0..2 * KEPT_EVENTS {
            events.add(EventKind::State, None, format!("{number}"), WallTime(0));
        }
        let text = piece(&mut due).await;
        assert!(text.starts_with("event: lagged\ndata: {\"missed\":1000}\n\nid: 1001\n"), "{}", &text[..80]);
        stop.send_replace(true);
        teller.await.unwrap();
    }
}
