//! `/r/{token}`: one link per call, for people and for programs. A program (`Accept: */*`, or a `Range`) gets the WAV, a
//! browser that asks for a page first gets the page; the files also have paths of their own. Nothing is served before the
//! call has ended, and a token that we never issued is answered like one whose call is gone.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::control::{CallFiles, Linked};
use super::recording_page::{CallView, render, render_refusal, transcript_text};
use super::{Api, Problem, file, html_response};

type Token = Result<Path<String>, PathRejection>;

/// The call of a token, once it has ended.
fn files(api: &Api, token: &str) -> Result<CallFiles, Problem> {
    match api.control.linked(token) {
        Some(Linked::Ended(files)) => Ok(files),
        Some(Linked::StillRunning) => {
            let detail = "the call has not ended yet; its recording is served when it has";
            Err(Problem::new(StatusCode::NOT_FOUND, "call_running", detail).with(header::RETRY_AFTER, "5"))
        }
        None => Err(unknown()),
    }
}

fn unknown() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "unknown_link", "this link is not valid, or its call is gone")
}

fn word(token: Token) -> Result<String, Problem> {
    token.map(|Path(text)| text).map_err(|_| unknown())
}

/// A browser that opens a link names a page first; players, `curl` and CRMs do not.
fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("");
    let first = accept.split([',', ';']).next().unwrap_or("").trim();
    let page = first.eq_ignore_ascii_case("text/html") || first.eq_ignore_ascii_case("application/xhtml+xml");
    page && !headers.contains_key(header::RANGE)
}

/// `GET /r/{token}`: the WAV, or the page.
pub(super) async fn link(State(api): State<Api>, headers: HeaderMap, token: Token) -> Response {
    let mut response = if wants_page(&headers) {
        page(&api, token).await.unwrap_or_else(|problem| html_response(problem.status(), render_refusal(&problem)))
    } else {
        recording(&api, &headers, token).await.unwrap_or_else(Problem::into_response)
    };
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}

async fn page(api: &Api, token: Token) -> Result<Response, Problem> {
    let token = word(token)?;
    let files = files(api, &token)?;
    let view = CallView::read(&file::read_json(&files.result).await?);
    Ok(html_response(StatusCode::OK, render(&view, &files, &token)))
}

/// `GET /r/{token}/recording.wav`: the WAV, whoever asks.
pub(super) async fn wav(State(api): State<Api>, headers: HeaderMap, token: Token) -> Result<Response, Problem> {
    recording(&api, &headers, token).await
}

async fn recording(api: &Api, headers: &HeaderMap, token: Token) -> Result<Response, Problem> {
    let files = files(api, &word(token)?)?;
    let path = files.recording.ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "not_recorded", "this call has no recording; its result says why")
    })?;
    let mut response = file::served(&path, "audio/wav", headers).await?;
    let headers = response.headers_mut();
    // A CRM may play the link inside its own page.
    headers.insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin"));
    if let Ok(name) = HeaderValue::try_from(format!("inline; filename=\"{}.wav\"", plain(files.id.as_str()))) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

/// An id as part of a file name: nothing that a header or a shell reads.
fn plain(id: &str) -> String {
    id.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).take(64).collect()
}

/// `GET /r/{token}/result`: `result.json` as it was delivered.
pub(super) async fn result(State(api): State<Api>, headers: HeaderMap, token: Token) -> Result<Response, Problem> {
    let files = files(&api, &word(token)?)?;
    file::served(&files.result, "application/json", &headers).await
}

/// `GET /r/{token}/transcript`: one line per utterance.
pub(super) async fn transcript(State(api): State<Api>, token: Token) -> Result<Response, Problem> {
    let files = files(&api, &word(token)?)?;
    let view = CallView::read(&file::read_json(&files.result).await?);
    let head = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "private, no-cache")];
    Ok((head, transcript_text(&view)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_names_a_page_first_gets_one() {
        let asks = |pairs: &[(&'static str, &str)]| {
            wants_page(&pairs.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect())
        };
        assert!(asks(&[("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")]));
        assert!(asks(&[("accept", "Text/HTML;q=0.9")]));
        assert!(!asks(&[]));
        assert!(!asks(&[("accept", "*/*")]));
        assert!(!asks(&[("accept", "audio/*;q=0.9, text/html")]));
        assert!(!asks(&[("accept", "text/html"), ("range", "bytes=0-")]));
    }
}
