//! The one listener: TCP, TLS where asked for, HTTP/1.1 with bounds on what an idle or slow client can hold. Serves whatever router
//! it is given; knows no route.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::impatient::Impatient;
use super::mute::{Mute, Word};
use crate::rt;

/// What a client may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HttpLimits {
    /// HTTP connections at once; an upgraded socket is no longer one (call slots bound those).
    pub connections: usize,
    /// For a TLS handshake.
    pub tls_handshake: Duration,
    /// For a request's head, and between requests.
    pub request_head: Duration,
    /// For a client that takes nothing of an answer.
    pub stuck: Duration,
    /// For running requests after the stop.
    pub goodbye: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections: 1024,
            tls_handshake: Duration::from_secs(5),
            request_head: Duration::from_secs(5),
            stuck: Duration::from_secs(30),
            goodbye: Duration::from_secs(2),
        }
    }
}

const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// The longest that the next connection waits until one that was told to give way has; it takes a turn of the runtime.
const GIVE_WAY: Duration = Duration::from_millis(500);

/// Serves `router` until `stop` turns true (or its sender is gone), then lets running requests finish for
/// [`HttpLimits::goodbye`]. Upgraded sockets are not waited for: their calls are drained by whoever runs them.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    limits: HttpLimits,
    mut stop: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(limits.connections));
    let mut mute = Mute::default();
    loop {
        let came = tokio::select! {
            biased;
            _ = stop.wait_for(|stopped| *stopped) => break,
            came = listener.accept() => came,
        };
        let (stream, peer) = match came {
            Ok(came) => came,
            Err(error) => {
                // Out of file descriptors, or a connection that was reset in the queue.
                tracing::warn!(%error, "a connection could not be accepted");
                rt::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let Some(permit) = place(&room, &mut mute).await else {
            refuse(stream, tls.is_some());
            continue;
        };
        let word = mute.enter(limits.connections);
        let connection = Connection { router: router.clone(), limits, peer, stop: stop.clone(), word, _permit: permit };
        drop(rt::spawn("http connection", connection.run(stream, tls.clone())));
    }
    drop(listener);
    let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    let _ = rt::timeout(limits.goodbye, room.acquire_many(all)).await;
}

/// A connection's place: a free one, or that of the oldest connection that never asked for anything.
async fn place(room: &Arc<Semaphore>, mute: &mut Mute) -> Option<OwnedSemaphorePermit> {
    if let Ok(free) = Arc::clone(room).try_acquire_owned() {
        return Some(free);
    }
    if !mute.give_way() {
        return None;
    }
    rt::timeout(GIVE_WAY, Arc::clone(room).acquire_owned()).await?.ok()
}

/// Says that there is no room, where it can be said without waiting.
fn refuse(stream: TcpStream, tls: bool) {
    if !tls {
        let _ = stream.try_write(BUSY);
    }
}

struct Connection {
    router: Router,
    limits: HttpLimits,
    peer: SocketAddr,
    stop: watch::Receiver<bool>,
    word: Arc<Word>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    async fn run(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        let (word, peer) = (Arc::clone(&self.word), self.peer);
        let served = async move {
            match tls {
                None => self.http(stream).await,
                Some(tls) => match rt::timeout(self.limits.tls_handshake, tls.accept(stream)).await {
                    Some(Ok(stream)) => self.http(stream).await,
                    Some(Err(error)) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
                    None => tracing::debug!(%peer, "a TLS handshake took too long"),
                },
            }
        };
        tokio::select! {
            biased;
            () = served => {}
            () = word.dismissed() => tracing::debug!(%peer, "a connection that asked for nothing gave way to the next"),
        }
    }

    async fn http<S>(mut self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (router, peer, word) = (self.router, self.peer, self.word);
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            word.asked();
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            let router = router.clone();
            async move { Ok::<_, Infallible>(router.oneshot(request).await.unwrap_or_else(|never| match never {})) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.request_head)
            .max_buf_size(16 * 1024)
            .serve_connection(TokioIo::new(Impatient::new(stream, self.limits.stuck)), service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let stopped = async move {
            let _ = self.stop.wait_for(|stopped| *stopped).await;
        };
        let ended = tokio::select! {
            biased;
            ended = connection.as_mut() => ended,
            () = stopped => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "an HTTP connection broke");
        }
    }
}
