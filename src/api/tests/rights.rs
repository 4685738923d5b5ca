//! Who may call what, and what a refusal is called.

use super::super::control::not_changed;
use super::*;

/// Every call that not every viewer may make, with who may.
const GUARDED: [(&str, &str, Role); 15] = [
    ("POST", "/api/v1/channels", Role::Admin),
    ("PUT", "/api/v1/channels/{name}", Role::Admin),
    ("DELETE", "/api/v1/channels/{name}", Role::Admin),
    ("GET", "/api/v1/channels/{name}/keys", Role::Admin),
    ("POST", "/api/v1/channels/{name}/keys", Role::Admin),
    ("POST", "/api/v1/channels/{name}/drain", Role::Operator),
    ("POST", "/api/v1/channels/{name}/feed", Role::Operator),
    ("POST", "/api/v1/channels/{name}/move", Role::Operator),
    ("POST", "/api/v1/channels/{name}/start", Role::Operator),
    ("POST", "/api/v1/channels/{name}/stop", Role::Operator),
    ("DELETE", "/api/v1/drain", Role::Operator),
    ("POST", "/api/v1/drain", Role::Operator),
    ("POST", "/api/v1/reload", Role::Operator),
    ("GET", "/api/v1/channels/{name}/flight", Role::Viewer),
    ("GET", "/api/v1/events", Role::Viewer),
];

/// Whether somebody of this role, or nobody in particular, is let in.
async fn may(role: Option<Role>, method: &str, path: &str) -> bool {
    let caller = Caller { name: "somebody".into(), role, address: "192.0.2.7".parse().unwrap() };
    let request = Request::builder().method(method).uri(path.replace("{name}", "demo")).header(CONTENT_TYPE, "application/json");
    let response = routes(ground(board())).oneshot(request.extension(caller).body(Body::from("{}")).unwrap()).await.unwrap();
    if ![StatusCode::FORBIDDEN, StatusCode::UNAUTHORIZED].contains(&response.status()) {
        return true;
    }
    let body = to_bytes(response.into_body(), 1 << 16).await.unwrap();
    String::from_utf8_lossy(&body).contains("api_changes")
}

#[tokio::test]
async fn each_call_is_for_its_role_and_those_above_it() {
    let document = document().await;
    for (path, calls) in document["paths"].as_object().unwrap() {
        for method in calls.as_object().unwrap().keys().map(|method| method.to_uppercase()) {
            if !["GET", "PUT", "POST", "DELETE"].contains(&&*method) {
                continue;
            }
            let needed = GUARDED.iter().find(|(guarded, at, _)| *guarded == method && at == path).map(|(_, _, role)| *role);
            for role in [None, Some(Role::Viewer), Some(Role::Operator), Some(Role::Admin)] {
                assert_eq!(may(role, &method, path).await, role >= needed, "{method} {path} as {role:?}");
            }
        }
    }
    for (method, path, _) in GUARDED {
        assert!(document["paths"][path][method.to_lowercase()].is_object(), "{method} {path} is not there");
    }
}

#[tokio::test]
async fn a_refused_change_says_by_its_status_whose_turn_it_is() {
    let text = || "why".to_owned();
    let refusals = [
        (NotChanged::Config(text()), 422),
        (NotChanged::Feed(vec![text()]), 422),
        (NotChanged::Build(text()), 409),
        (NotChanged::Exists(text()), 409),
        (NotChanged::InFile(text()), 409),
        (NotChanged::KeyInFile(text()), 409),
        (NotChanged::Closed, 403),
        (NotChanged::Unknown(text()), 404),
        (NotChanged::State(text()), 507),
    ];
    for (cause, status) in refusals {
        let response = not_changed(&cause);
        assert_eq!(response.status().as_u16(), status, "{cause:?}");
        let body: Value = serde_json::from_slice(&to_bytes(response.into_body(), 1 << 16).await.unwrap()).unwrap();
        assert_eq!((&body["status"], &body["detail"]), (&json!(status), &json!(cause.to_string())));
    }
}
