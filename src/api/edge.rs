//! What holds for every request and answer: the size of a body, the time for an answer, the headers that keep a browser from
//! doing what a hostile value asks for. Never looks at what a route means.

use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};

use super::{BODY_LIMIT_BYTES, Problem};
use crate::rt;

/// Time until an answer must begin. A recording may stream for longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// No inline script or style, nothing from elsewhere, no frame around the page.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Bounds a request and dresses its answer. A header that a route set itself stays.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    let too_large = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .is_some_and(|v| v.to_str().ok().and_then(|v| v.parse::<usize>().ok()).is_none_or(|n| n > BODY_LIMIT_BYTES));
    let mut response = if too_large {
        let detail = format!("expected a body of at most {BODY_LIMIT_BYTES} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", detail).into_response()
    } else {
        rt::timeout(ANSWER_WITHIN, next.run(request)).await.unwrap_or_else(|| {
            tracing::warn!("a request had no answer in time; the disk may be stuck");
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "timed_out", "no answer in time; try again").into_response()
        })
    };
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// The entity tag of a fixed text.
pub(super) fn text_etag(text: &str) -> String {
    let hash = Sha256::digest(text);
    let hex: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}
