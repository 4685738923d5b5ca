//! Requests from all sides to a guarded router.

use super::*;
use axum::Extension;
use axum::body::{Body, to_bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::routing::{get, post};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

struct Bench {
    router: Router,
    viewer: String,
    operator: String,
    _folder: TempDir,
}

/// Answers with who asks.
fn routes() -> Router {
    let who = async |Extension(caller): Extension<Caller>| format!("{} from {}", caller.name, caller.address);
    Router::new()
        .route("/api/v1/channels", get(who).post(who))
        .route("/api/v1/channels/{name}/flight", get(who))
        .route("/api/v1/channels/{name}/feed", post(who))
}

fn bench(file: &str) -> Bench {
    let folder = TempDir::new().unwrap();
    let viewer = TokenBook::add(folder.path(), "grafana", Role::Viewer).unwrap();
    let operator = TokenBook::add(folder.path(), "ops", Role::Operator).unwrap();
    Bench { router: guarded_by(file, folder.path()), viewer, operator, _folder: folder }
}

fn guarded_by(file: &str, folder: &std::path::Path) -> Router {
    let text = format!("{file}\n[[channel]]\nname = \"news\"\n");
    let plan = crate::config::parse("a.toml", &text, &crate::config::Overrides::default()).unwrap_or_else(|report| panic!("{report}"));
    let book = Arc::new(TokenBook::new(plan.access.tokens.clone(), folder));
    book.renew().unwrap();
    Guard::new(&plan.access, book).over(routes())
}

fn arrival(peer: &str, over_tls: bool, local_listener: bool) -> Arrival {
    Arrival { peer: format!("{peer}:40000").parse().unwrap(), over_tls, local_listener, control: false }
}

const LOCAL_PEER: (&str, bool, bool) = ("127.0.0.1", false, true);
const TLS: (&str, bool, bool) = ("192.0.2.7", true, false);
const CLEAR: (&str, bool, bool) = ("192.0.2.7", false, false);

impl Bench {
    async fn ask(&self, from: (&str, bool, bool), line: &str, headers: &[(&str, &str)]) -> Response {
        let (method, path) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path).extension(arrival(from.0, from.1, from.2));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn status(&self, from: (&str, bool, bool), line: &str, headers: &[(&str, &str)]) -> u16 {
        self.ask(from, line, headers).await.status().as_u16()
    }

    async fn text(&self, from: (&str, bool, bool), line: &str, headers: &[(&str, &str)]) -> String {
        let body = to_bytes(self.ask(from, line, headers).await.into_body(), 4096).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

const FEED: &str = "POST /api/v1/channels/news/feed";
const FLIGHT: &str = "GET /api/v1/channels/news/flight";

#[tokio::test]
async fn this_machine_needs_no_token_until_it_is_told_to() {
    let free = bench("");
    assert_eq!(free.text(LOCAL_PEER, FEED, &[("host", "127.0.0.1:8080")]).await, "local from 127.0.0.1");
    assert_eq!(free.status(LOCAL_PEER, FEED, &[("host", "localhost:8080")]).await, 200);
    let strict = bench("api.loopback_tokens = true");
    assert_eq!(strict.status(LOCAL_PEER, FEED, &[]).await, 401);
    assert_eq!(strict.text(LOCAL_PEER, FEED, &[("authorization", &bearer(&strict.operator))]).await, "ops from 127.0.0.1");
    assert_eq!(free.status(("127.0.0.1", false, false), FEED, &[]).await, 401, "a forwarded port has a loopback peer too");
}

#[tokio::test]
async fn a_page_of_another_site_cannot_use_this_machines_rights() {
    let bench = bench("");
    let rebound = [("host", "evil.example:8080")];
    assert_eq!(bench.status(LOCAL_PEER, FEED, &rebound).await, 401, "a name that somebody else gave to 127.0.0.1");
    let crossed = [("host", "127.0.0.1:8080"), ("origin", "http://evil.example")];
    assert_eq!(bench.status(LOCAL_PEER, FEED, &crossed).await, 403);
    let own = [("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:8080")];
    assert_eq!(bench.status(LOCAL_PEER, FEED, &own).await, 200);
    let http_2 = "POST https://localhost:8443/api/v1/channels/news/feed";
    assert_eq!(bench.status(LOCAL_PEER, http_2, &[("origin", "https://localhost:8443")]).await, 200);
    assert_eq!(bench.status(LOCAL_PEER, http_2, &[("origin", "https://evil.example:8443")]).await, 403);
    assert_eq!(bench.status(LOCAL_PEER, "POST https://evil.example/api/v1/channels/news/feed", &[]).await, 401);
}

#[tokio::test]
async fn from_elsewhere_a_token_is_needed_and_its_role_counts() {
    let bench = bench("");
    assert_eq!(bench.text(TLS, "GET /api/v1/channels", &[]).await, "- from 192.0.2.7", "looking is free");
    for line in [FEED, FLIGHT, "POST /api/v1/channels", "DELETE /api/v1/channels/news", "PUT /api/v1/anything"] {
        let response = bench.ask(TLS, line, &[]).await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()[CONTENT_TYPE]),
            (401, &HeaderValue::from_static("application/problem+json"))
        );
        assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer realm=\"headend\"", "{line}");
    }
    let (viewer, operator) = (bearer(&bench.viewer), bearer(&bench.operator));
    assert_eq!(bench.text(TLS, FLIGHT, &[("authorization", &viewer)]).await, "grafana from 192.0.2.7");
    assert_eq!(bench.status(TLS, FEED, &[("authorization", &viewer)]).await, 403);
    assert_eq!(bench.status(TLS, FEED, &[("authorization", &operator)]).await, 200);
    assert_eq!(bench.status(TLS, FEED, &[("authorization", &operator.replace("Bearer", "bEARER "))]).await, 200);
    assert_eq!(bench.status(TLS, "POST /api/v1/channels", &[("authorization", &operator)]).await, 403, "creating is the admin's");
    for wrong in ["Bearer headend_x", "Basic b3BzOm9wcw==", "Bearer", ""] {
        assert_eq!(bench.status(TLS, "GET /api/v1/channels", &[("authorization", wrong)]).await, 401, "{wrong}");
    }
}

#[tokio::test]
async fn a_token_in_the_clear_is_refused_and_the_caller_is_told_to_revoke_it() {
    let bench = bench("");
    let operator = bearer(&bench.operator);
    let told = bench.text(CLEAR, FEED, &[("authorization", &operator)]).await;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert!(told["status"] == 403 && told["detail"].as_str().unwrap().contains("revoke"), "{told}");
    let claimed = [("authorization", operator.as_str()), ("x-forwarded-proto", "https")];
    assert_eq!(bench.status(CLEAR, FEED, &claimed).await, 403, "anybody can claim to be a proxy");
}

#[tokio::test]
async fn only_a_declared_proxy_is_believed() {
    let bench = bench("api.trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]");
    let operator = bearer(&bench.operator);
    let through = |protocol: &'static str| {
        [
            ("authorization", operator.clone()),
            ("x-forwarded-proto", protocol.to_owned()),
            ("x-forwarded-for", "203.0.113.1, 192.0.2.9, 10.1.1.1".to_owned()),
        ]
    };
    let borrowed = |headers: &[(&'static str, String)]| headers.iter().map(|(name, value)| (*name, value.clone())).collect::<Vec<_>>();
    for (from, protocol, status) in [(LOCAL_PEER, "https", 200), (LOCAL_PEER, "http", 403), (CLEAR, "https", 403)] {
        let headers = borrowed(&through(protocol));
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let response = bench.ask(from, FEED, &headers).await;
        assert_eq!(response.status().as_u16(), status, "{from:?} {protocol}");
        if status == 200 {
            let body = to_bytes(response.into_body(), 4096).await.unwrap();
            assert_eq!(body, "ops from 192.0.2.9", "the nearest one that no proxy has");
        }
    }
    assert_eq!(bench.status(LOCAL_PEER, FEED, &[("host", "127.0.0.1")]).await, 401, "behind a proxy nobody is local");
    let undeclared = self::bench("");
    assert_eq!(undeclared.status(LOCAL_PEER, FEED, &[("x-forwarded-for", "192.0.2.9")]).await, 401);
}

#[tokio::test]
async fn guessing_is_slowed_down_for_the_guesser_alone() {
    let bench = bench("");
    for _ in 0..10 {
        assert_eq!(bench.status(TLS, FEED, &[("authorization", "Bearer guess")]).await, 401);
    }
    let operator = bearer(&bench.operator);
    let slowed = bench.ask(TLS, FEED, &[("authorization", &operator)]).await;
    assert_eq!(slowed.status().as_u16(), 429);
    assert!(slowed.headers()[RETRY_AFTER].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(bench.status(("192.0.2.8", true, false), FEED, &[("authorization", &operator)]).await, 200);
}

#[tokio::test]
async fn where_no_token_exists_the_way_to_one_is_told() {
    let folder = TempDir::new().unwrap();
    let bench = Bench { router: guarded_by("", folder.path()), viewer: String::new(), operator: String::new(), _folder: folder };
    let told = bench.text(TLS, FEED, &[]).await;
    assert!(told.contains("headend token new NAME --role operator"), "{told}");
}

#[tokio::test]
async fn a_configured_digest_opens_as_well() {
    let (token, record) = TokenBook::made("ci", Role::Admin);
    let bench = bench(&format!("[[token]]\nname = \"ci\"\nrole = \"admin\"\nsha256 = \"{}\"\n", hex(&record.sha256)));
    assert_eq!(bench.text(TLS, "POST /api/v1/channels", &[("authorization", &bearer(&token))]).await, "ci from 192.0.2.7");
}

#[tokio::test]
async fn another_configuration_holds_from_the_next_request_on() {
    let folder = TempDir::new().unwrap();
    let (token, record) = TokenBook::made("ci", Role::Admin);
    let guard = Guard::new(&AccessPlan::default(), Arc::new(TokenBook::new(Vec::new(), folder.path())));
    let router = guard.clone().over(routes());
    let bench = Bench { router, viewer: String::new(), operator: String::new(), _folder: folder };
    assert_eq!(bench.status(LOCAL_PEER, FEED, &[]).await, 200);
    guard.change(&AccessPlan { loopback_tokens: true, trusted_proxies: Vec::new(), tokens: vec![record] });
    assert_eq!(bench.status(LOCAL_PEER, FEED, &[]).await, 401);
    assert_eq!(bench.status(LOCAL_PEER, FEED, &[("authorization", &bearer(&token))]).await, 200);
}

#[tokio::test]
async fn routes_that_came_past_no_guard_are_closed() {
    let request = || Request::builder().method("POST").uri("/api/v1/channels/news/feed").header(AUTHORIZATION, "Bearer x");
    let router = Router::from(only_for(Role::Operator, routes().into()));
    let response = router.clone().oneshot(request().body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status().as_u16(), 403);
    let viewer = Caller { name: "v".into(), role: Some(Role::Viewer), address: "127.0.0.1".parse().unwrap() };
    let operator = Caller { role: Some(Role::Operator), ..viewer.clone() };
    for (caller, status) in [(viewer, 403), (operator, 200)] {
        let response = router.clone().oneshot(request().extension(caller).body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status().as_u16(), status);
    }
}

/// A body of this many bytes that notes when its end was read.
struct Noted {
    left: usize,
    ended: Arc<std::sync::atomic::AtomicBool>,
}

impl hyper::body::Body for Noted {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, Self::Error>>> {
        let noted = self.get_mut();
        if noted.left == 0 {
            noted.ended.store(true, std::sync::atomic::Ordering::Relaxed);
            return std::task::Poll::Ready(None);
        }
        let length = noted.left.min(1_000);
        noted.left -= length;
        std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(bytes::Bytes::from(vec![b'x'; length])))))
    }
}

#[tokio::test]
async fn a_body_is_read_to_its_end_before_any_answer_and_one_that_is_too_long_is_refused() {
    let bench = bench("");
    let send = async |line: &str, length: usize| {
        let (method, path) = line.split_once(' ').unwrap();
        let ended = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let body = Body::new(Noted { left: length, ended: ended.clone() });
        let request = Request::builder().method(method).uri(path).extension(arrival("127.0.0.1", false, true)).body(body).unwrap();
        let status = bench.router.clone().oneshot(request).await.unwrap().status().as_u16();
        (status, ended.load(std::sync::atomic::Ordering::Relaxed))
    };
    assert_eq!(send("POST /api/v1/nothing", 5_000).await, (404, true));
    assert_eq!(send("DELETE /api/v1/channels", 5_000).await, (405, true));
    assert_eq!(send("POST /api/v1/channels", LONGEST_BODY_BYTES).await, (200, true));
    assert_eq!(send("POST /api/v1/channels", LONGEST_BODY_BYTES + 1).await, (413, false));
}
