//! Refusals as problem documents (RFC 9457) with a stable `code`. Never carries what a client sent back to it unasked, nor
//! a path of this machine.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::auth::Denied;

/// One refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    extra: Option<(header::HeaderName, String)>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'static str,
}

impl Problem {
    /// A refusal; `detail` says what was expected, what came, what to do.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), extra: None }
    }

    /// The same with one header, e.g. `Retry-After`.
    #[must_use]
    pub fn with(mut self, name: header::HeaderName, value: impl Into<String>) -> Self {
        self.extra = Some((name, value.into()));
        self
    }

    /// The path is none of ours.
    #[must_use]
    pub fn unknown_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "unknown_route", "there is nothing at this path")
    }

    /// Something of our own failed; the cause is in the log.
    #[must_use]
    pub fn internal(detail: &'static str) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// What to tell a person.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NoCredentials => {
                Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "give auth.page_token as password or bearer token")
                    .with(header::WWW_AUTHENTICATE, "Basic realm=\"voicefleet\", charset=\"UTF-8\"")
            }
            Denied::Closed => Self::new(
                StatusCode::FORBIDDEN,
                "pages_closed",
                "the pages answer only on this machine's own address; set auth.page_token to open them elsewhere",
            ),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
        };
        let text = serde_json::to_string(&body).unwrap_or_default();
        let head = [(header::CONTENT_TYPE, "application/problem+json"), (header::CACHE_CONTROL, "no-store")];
        let mut response = (self.status, head, text).into_response();
        if let Some((name, value)) = self.extra
            && let Ok(value) = HeaderValue::try_from(value)
        {
            response.headers_mut().insert(name, value);
        }
        response
    }
}
