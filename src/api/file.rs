//! Files of a call as answers: whole or in part, streamed in blocks, never as a whole in memory.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::Problem;
use super::range::{Wanted, names_etag, same_version, wanted};

/// One read from disk, one piece of the answer.
const BLOCK_BYTES: u64 = 64 * 1024;
/// Largest result that is read into memory to be shown.
const MAX_RESULT_BYTES: u64 = 4 * 1024 * 1024;

/// The file at `path` as `content_type`; honours `Range`, `If-Range` and `If-None-Match`.
pub(super) async fn served(path: &Path, content_type: &'static str, asked: &HeaderMap) -> Result<Response, Problem> {
    let (mut file, len, etag) = opened(path).await?;
    let tag = HeaderValue::try_from(&etag).map_err(|_| Problem::internal("the file's version could not be named"))?;
    let mut response = if names_etag(asked.get(header::IF_NONE_MATCH), &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let range = asked.get(header::RANGE).filter(|_| same_version(asked.get(header::IF_RANGE), &etag));
        match wanted(range, len) {
            Wanted::Nothing => return Err(beyond(len)),
            Wanted::Whole => streamed(StatusCode::OK, file, len, content_type),
            Wanted::Part { first, last } => {
                file.seek(io::SeekFrom::Start(first)).await.map_err(|e| unreadable(&e))?;
                let mut part = streamed(StatusCode::PARTIAL_CONTENT, file, last - first + 1, content_type);
                let place = HeaderValue::try_from(format!("bytes {first}-{last}/{len}"))
                    .map_err(|_| Problem::internal("the range could not be named"))?;
                part.headers_mut().insert(header::CONTENT_RANGE, place);
                part
            }
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, tag);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

/// The file, its length, and a tag that changes with its content.
async fn opened(path: &Path) -> Result<(File, u64, String), Problem> {
    let gone = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Problem::new(StatusCode::NOT_FOUND, "file_gone", "this file of the call is gone"),
        _ => unreadable(&error),
    };
    let file = File::open(path).await.map_err(gone)?;
    let meta = file.metadata().await.map_err(gone)?;
    if !meta.is_file() {
        return Err(unreadable(&io::Error::other("not a regular file")));
    }
    let etag = format!("\"{:x}-{:x}-{:x}\"", meta.len(), meta.mtime(), meta.mtime_nsec());
    Ok((file, meta.len(), etag))
}

fn streamed(status: StatusCode, file: File, len: u64, content_type: &'static str) -> Response {
    let blocks = stream::try_unfold((file, len), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let mut block = vec![0; usize::try_from(left.min(BLOCK_BYTES)).unwrap_or(1)];
        let n = file.read(&mut block).await?;
        if n == 0 {
            // The promised length cannot be kept: the connection breaks off, so the client knows.
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter while it was sent"));
        }
        block.truncate(n);
        Ok(Some((Bytes::from(block), (file, left - n as u64))))
    });
    let head = [(header::CONTENT_TYPE, content_type.to_owned()), (header::CONTENT_LENGTH, len.to_string())];
    (status, head, Body::from_stream(blocks)).into_response()
}

/// A call's `result.json`, parsed.
pub(super) async fn read_json(path: &Path) -> Result<serde_json::Value, Problem> {
    let (file, len, _) = opened(path).await?;
    if len > MAX_RESULT_BYTES {
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "result_too_large",
            "this result is too large to show; fetch it by the call's link, /r/{token}/result",
        ));
    }
    let mut text = Vec::new();
    file.take(MAX_RESULT_BYTES).read_to_end(&mut text).await.map_err(|e| unreadable(&e))?;
    serde_json::from_slice(&text).map_err(|error| {
        tracing::warn!(%error, "a result file is not JSON");
        Problem::internal("the result of this call is damaged")
    })
}

fn beyond(len: u64) -> Problem {
    Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "beyond_end", format!("the file has {len} bytes"))
        .with(header::CONTENT_RANGE, format!("bytes */{len}"))
}

fn unreadable(error: &io::Error) -> Problem {
    tracing::warn!(%error, "a file of a call could not be read");
    Problem::internal("a file of this call could not be read")
}
