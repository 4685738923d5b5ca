//! The page at `/`: plain HTML, CSS and JavaScript out of `ui/`, embedded in the binary, with hls.js when npm had fetched it at build time.
//!
//! Nothing is loaded from elsewhere, and the policy in every answer says so to the browser.

mod asset;

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::get;

use asset::Asset;

/// hls.js itself; empty when it was not there at build time, in which case the page says how to get it.
const PLAYER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hls.min.js"));

/// Its licence asks to be passed on.
const PLAYER_LICENCE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hls.js-LICENSE.txt"));

static ASSETS: [Asset; 12] = [
    Asset::new("/", "text/html; charset=utf-8", include_bytes!("../../ui/index.html")),
    Asset::new("/assets/page.css", "text/css; charset=utf-8", include_bytes!("../../ui/page.css")),
    Asset::new("/assets/page.js", "text/javascript; charset=utf-8", include_bytes!("../../ui/page.js")),
    Asset::new("/assets/asks.js", "text/javascript; charset=utf-8", include_bytes!("../../ui/asks.js")),
    Asset::new("/assets/detail.js", "text/javascript; charset=utf-8", include_bytes!("../../ui/detail.js")),
    Asset::new("/assets/machine.js", "text/javascript; charset=utf-8", include_bytes!("../../ui/machine.js")),
    Asset::new("/assets/player.js", "text/javascript; charset=utf-8", include_bytes!("../../ui/player.js")),
    Asset::new("/assets/tiles.js", "text/javascript; charset=utf-8", include_bytes!("../../ui/tiles.js")),
    Asset::new("/assets/words.js", "text/javascript; charset=utf-8", include_bytes!("../../ui/words.js")),
    Asset::new("/assets/icon.svg", "image/svg+xml", include_bytes!("../../ui/icon.svg")),
    Asset::new("/assets/hls.min.js", "text/javascript; charset=utf-8", PLAYER),
    Asset::new("/assets/hls.js-LICENSE.txt", "text/plain; charset=utf-8", PLAYER_LICENCE),
];

/// Whether this build has hls.js in it.
pub fn has_player() -> bool {
    !PLAYER.is_empty()
}

/// The routes of the page.
pub fn router() -> Router {
    ASSETS.iter().fold(Router::new(), |router, asset| router.route(asset.path, get(async move |headers: HeaderMap| asset.answer(&headers))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, to_bytes};
    use axum::http::{Request, StatusCode};
    use axum::response::Response;
    use tower::ServiceExt;

    async fn ask(path: &str, name: &str, value: &str) -> Response {
        let request = Request::builder().uri(path).header(name, value).body(Body::empty()).unwrap();
        router().oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn the_page_and_all_that_it_names_are_there() {
        let mut page = String::new();
        for path in ["/", "/assets/page.js", "/assets/detail.js", "/assets/machine.js", "/assets/tiles.js"] {
            page += std::str::from_utf8(&to_bytes(ask(path, "accept", "*/*").await.into_body(), 1 << 20).await.unwrap()).unwrap();
        }
        let named: Vec<&str> = page.split(['"', '\'']).filter(|text| text.starts_with("/assets/")).collect();
        assert!(named.len() >= 5, "{named:?}");
        for path in named {
            let response = ask(path, "accept", "*/*").await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        }
    }

    #[test]
    fn the_page_asks_no_other_host_for_anything() {
        for asset in ASSETS.iter().filter(|asset| !asset.path.contains("hls")) {
            let text = std::str::from_utf8(asset.body).unwrap();
            let foreign = ["https://", "http://", "src=\"//", "url("]
                .iter()
                .find(|mark| text.replace("http://www.w3.org/2000/svg", "").contains(**mark));
            assert_eq!(foreign, None, "{}", asset.path);
        }
    }

    #[tokio::test]
    async fn the_browser_is_told_to_run_nothing_else() {
        let response = ask("/", "accept", "*/*").await;
        let policy = response.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe"), "{policy}");
        assert!(!std::str::from_utf8(ASSETS[0].body).unwrap().contains("style="), "the policy forbids inline styles");
    }

    #[tokio::test]
    async fn an_unchanged_page_is_not_sent_again_and_a_compressed_one_has_its_own_tag() {
        let (plain, packed) = (ask("/", "accept", "*/*").await, ask("/", "accept-encoding", "gzip, br").await);
        let (etag, other) = (plain.headers()["etag"].to_str().unwrap(), packed.headers()["etag"].to_str().unwrap());
        assert_ne!(etag, other);
        assert_eq!(packed.headers()["content-encoding"], "gzip");
        assert_eq!(ask("/", "if-none-match", etag).await.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(ask("/", "if-none-match", other).await.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(ask("/", "if-none-match", "\"0\"").await.status(), StatusCode::OK);
    }
}
