//! A thin WebSocket client with deadlines, for the test caller, the load generator and tests. Speaks no dialect.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::Error;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};

use crate::rt;

use super::tls::{TlsError, certificates};

/// How a client trusts a server.
#[derive(Clone, Debug, Default)]
pub enum ClientTls {
    /// The public roots.
    #[default]
    Public,
    /// Only these certificates (PEM).
    File(PathBuf),
    /// Anybody. Only for a machine that talks to itself.
    Insecure,
}

/// A client that could not connect, send or receive.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL is no WebSocket URL.
    #[error("expected a URL like ws://host:port/path, got one that cannot be used: {0}")]
    Url(String),
    /// The deadline passed.
    #[error("expected an answer within {0:?}, none came")]
    TimedOut(Duration),
    /// The server refused the upgrade.
    #[error("expected an upgrade, the server answered {status}: {body}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The answer's body.
        body: String,
        /// `Retry-After`, where it came.
        retry_after: Option<String>,
    },
    /// A certificate file cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The server closed.
    #[error("the server closed with {code}: {reason}")]
    Closed {
        /// Close code; 1005 where none came, 1006 where there was no close frame.
        code: u16,
        /// The server's words.
        reason: String,
    },
}

/// A connected client.
#[derive(Debug)]
pub struct Client {
    ws: WebSocketStream<MaybeTlsStream<TcpStream>>,
    peer: SocketAddr,
}

/// Connects to `url` within `patience`, with `token` as a bearer token where one is given.
///
/// # Errors
/// [`ClientError`]; a refusal carries status and body.
pub async fn connect(
    url: &str,
    token: Option<&str>,
    trust: &ClientTls,
    patience: Duration,
) -> Result<Client, ClientError> {
    rt::timeout(patience, open(url, token, trust)).await.ok_or(ClientError::TimedOut(patience))?
}

async fn open(url: &str, token: Option<&str>, trust: &ClientTls) -> Result<Client, ClientError> {
    let mut request = url.into_client_request().map_err(|error| ClientError::Url(error.to_string()))?;
    if let Some(token) = token {
        let value = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| ClientError::Url("the token has characters that a header cannot carry".to_owned()))?;
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    let uri = request.uri();
    let tls = uri.scheme_str() == Some("wss");
    let host = uri.host().ok_or_else(|| ClientError::Url("no host".to_owned()))?.trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let stream = TcpStream::connect((host, port)).await.map_err(|error| ClientError::Broken(error.to_string()))?;
    let _ = stream.set_nodelay(true);
    let peer = stream.peer_addr().map_err(|error| ClientError::Broken(error.to_string()))?;
    let connector = if tls { connector(trust)? } else { Some(Connector::Plain) };
    let config = WebSocketConfig::default().read_buffer_size(8 * 1024).write_buffer_size(4 * 1024);
    match client_async_tls_with_config(request, stream, Some(config), connector).await {
        Ok((ws, _)) => Ok(Client { ws, peer }),
        Err(Error::Http(answer)) => Err(ClientError::Refused {
            status: answer.status().as_u16(),
            retry_after: answer.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()).map(str::to_owned),
            body: answer.body().as_ref().map(|body| String::from_utf8_lossy(body).into_owned()).unwrap_or_default(),
        }),
        Err(error) => Err(ClientError::Broken(error.to_string())),
    }
}

/// How to trust a server; `None` is the library's own way, the public roots.
fn connector(trust: &ClientTls) -> Result<Option<Connector>, ClientError> {
    let provider = Arc::new(ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(TlsError::from)?;
    let config = match trust {
        ClientTls::Public => return Ok(None),
        ClientTls::File(file) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(TlsError::from)?;
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
        ClientTls::Insecure => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody { algorithms })).with_no_client_auth()
        }
    };
    Ok(Some(Connector::Rustls(Arc::new(config))))
}

impl Client {
    /// Sends one text frame.
    ///
    /// # Errors
    /// [`ClientError::Broken`] where the connection is gone.
    pub async fn send_text(&mut self, text: String) -> Result<(), ClientError> {
        self.send(Message::Text(text.into())).await
    }

    /// Sends one binary frame.
    ///
    /// # Errors
    /// [`ClientError::Broken`] where the connection is gone.
    pub async fn send_binary(&mut self, bytes: Vec<u8>) -> Result<(), ClientError> {
        self.send(Message::Binary(Bytes::from(bytes))).await
    }

    /// Sends any frame.
    ///
    /// # Errors
    /// [`ClientError::Broken`] where the connection is gone.
    pub async fn send(&mut self, message: Message) -> Result<(), ClientError> {
        self.ws.send(message).await.map_err(|error| ClientError::Broken(error.to_string()))
    }

    /// The next text or binary frame. Pings are answered on the way. Safe to drop and call again.
    ///
    /// # Errors
    /// [`ClientError::Closed`] where the server closed, [`ClientError::Broken`] where the connection broke.
    pub async fn next(&mut self) -> Result<Message, ClientError> {
        loop {
            match self.ws.next().await {
                Some(Ok(frame @ (Message::Text(_) | Message::Binary(_)))) => return Ok(frame),
                Some(Ok(Message::Close(frame))) => return Err(closed(frame)),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(ClientError::Broken(error.to_string())),
                None => return Err(ClientError::Closed { code: 1006, reason: String::new() }),
            }
        }
    }

    /// Sends a ping and waits for its pong; gives the frames that came before it. Everything that the server did for what was
    /// sent before is then known.
    ///
    /// # Errors
    /// As [`Client::next`].
    pub async fn round_trip(&mut self) -> Result<Vec<Message>, ClientError> {
        self.send(Message::Ping(Bytes::from_static(b"round trip"))).await?;
        let mut before = Vec::new();
        loop {
            match self.ws.next().await {
                Some(Ok(Message::Pong(echo))) if &echo[..] == b"round trip" => return Ok(before),
                Some(Ok(frame @ (Message::Text(_) | Message::Binary(_)))) => before.push(frame),
                Some(Ok(Message::Close(frame))) => return Err(closed(frame)),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(ClientError::Broken(error.to_string())),
                None => return Err(ClientError::Closed { code: 1006, reason: String::new() }),
            }
        }
    }

    /// Closes with a code and waits for the server's answer, at most `patience`.
    pub async fn close(mut self, code: u16, reason: &str, patience: Duration) {
        let frame = CloseFrame { code: code.into(), reason: reason.to_owned().into() };
        let _ = rt::timeout(patience, async {
            if self.ws.close(Some(frame)).await.is_ok() {
                while let Some(Ok(_)) = self.ws.next().await {}
            }
        })
        .await;
    }

    /// Where the server is.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }
}

fn closed(frame: Option<CloseFrame>) -> ClientError {
    let (code, reason) = frame.map_or((1005, String::new()), |f| (f.code.into(), f.reason.as_str().to_owned()));
    ClientError::Closed { code, reason }
}

/// Trusts every certificate, checks only that the server holds its key.
#[derive(Debug)]
struct Anybody {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
