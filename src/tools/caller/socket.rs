//! The caller's connection: opening it with deadlines, and a reader that stamps every message with the moment at which it came.
//! Knows the messages of the protocol, not what they are good for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{SplitSink, SplitStream};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use crate::rt;
use crate::units::{Moment, Pii};
use crate::wire::ws::native::{Dialler, FromBot};

/// From the first packet to the upgraded connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Messages that wait for the caller's next tick; where they are full the reader waits, and with it the server.
const WAITING_MESSAGES: usize = 1024;
/// Largest message that is read: as large as the protocol allows.
const MESSAGE_LIMIT_BYTES: usize = 256 * 1024;

/// Whom the caller trusts at the other end of `wss://`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// The public certificate authorities.
    #[default]
    Public,
    /// Those in this PEM file.
    File(PathBuf),
    /// Anybody: for tests on the own machine.
    Anybody,
}

/// Why no call came about.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL is none.
    #[error("{url}: expected ws://HOST[:PORT]/ws/BOT or wss://…: {detail}")]
    BadUrl {
        /// As it was given.
        url: String,
        /// What is wrong.
        detail: String,
    },
    /// The trust file cannot be used.
    #[error("{path}: expected PEM certificates: {detail}")]
    BadCa {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The token cannot stand in a header.
    #[error("expected a token of visible ASCII characters")]
    BadToken,
    /// The server refused the upgrade.
    #[error("{url}: the server refused the call with {status}: {body}")]
    Refused {
        /// The URL.
        url: String,
        /// HTTP status.
        status: u16,
        /// What it said.
        body: String,
    },
    /// No connection.
    #[error("{url}: no connection: {detail}; is the server running there?")]
    Unreachable {
        /// The URL.
        url: String,
        /// Why.
        detail: String,
    },
    /// It rang for too long.
    #[error("{url}: nobody answered within {seconds} s (--ring-s)")]
    RangOut {
        /// The URL.
        url: String,
        /// How long it rang.
        seconds: u32,
    },
    /// Nothing happened for too long.
    #[error("{url}: no WebSocket within 10 s")]
    TooSlow {
        /// The URL.
        url: String,
    },
}

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The side that sends.
pub(super) type Sender = SplitSink<Stream, Message>;

/// What the reader saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// A message of the bot side.
    Message(Moment, FromBot),
    /// Something that this protocol does not have.
    Unknown,
    /// The connection was closed, in order or not.
    Closed {
        /// With a close frame.
        in_order: bool,
    },
}

/// Connects and upgrades.
pub(super) async fn open(
    url: &str,
    token: Option<&Pii<String>>,
    trust: &Trust,
) -> Result<(Sender, SplitStream<Stream>), ConnectError> {
    let mut request = url
        .into_client_request()
        .map_err(|error| ConnectError::BadUrl { url: url.to_owned(), detail: error.to_string() })?;
    if let Some(token) = token {
        let mut value =
            format!("Bearer {}", token.reveal()).parse::<tokio_tungstenite::tungstenite::http::HeaderValue>();
        if let Ok(value) = &mut value {
            value.set_sensitive(true);
        }
        request.headers_mut().insert(AUTHORIZATION, value.map_err(|_| ConnectError::BadToken)?);
    }
    let limits = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_LIMIT_BYTES))
        .max_frame_size(Some(MESSAGE_LIMIT_BYTES));
    let connecting = connect_async_tls_with_config(request, Some(limits), true, connector(trust)?);
    match rt::timeout(CONNECT_LIMIT, connecting).await {
        None => Err(ConnectError::TooSlow { url: url.to_owned() }),
        Some(Ok((stream, _))) => Ok(stream.split()),
        Some(Err(error)) => Err(refusal(url, error)),
    }
}

fn refusal(url: &str, error: Error) -> ConnectError {
    let url = url.to_owned();
    match error {
        Error::Http(response) => {
            let body = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            let body = body.chars().filter(|c| !c.is_control()).take(300).collect();
            ConnectError::Refused { url, status: response.status().as_u16(), body }
        }
        Error::Url(error) => ConnectError::BadUrl { url, detail: error.to_string() },
        error => ConnectError::Unreachable { url, detail: error.to_string() },
    }
}

/// Reads until the connection ends; every message is stamped as it comes.
pub(super) fn read(stream: SplitStream<Stream>) -> (mpsc::Receiver<Came>, tokio::task::AbortHandle) {
    let (send, receive) = mpsc::channel(WAITING_MESSAGES);
    let task = rt::spawn("caller-reader", reader(stream, send));
    (receive, task.abort_handle())
}

async fn reader(mut stream: SplitStream<Stream>, send: mpsc::Sender<Came>) {
    loop {
        let came = match stream.next().await {
            Some(Ok(Message::Text(text))) => {
                let at = rt::now();
                Dialler::read(&text).map_or(Came::Unknown, |message| Came::Message(at, message))
            }
            Some(Ok(Message::Binary(_))) => Came::Unknown,
            Some(Ok(Message::Close(_))) => Came::Closed { in_order: true },
            Some(Ok(_)) => continue,
            Some(Err(_)) | None => Came::Closed { in_order: false },
        };
        let over = matches!(came, Came::Closed { .. });
        if send.send(came).await.is_err() || over {
            return;
        }
    }
}

fn connector(trust: &Trust) -> Result<Option<Connector>, ConnectError> {
    let provider = Arc::new(ring::default_provider());
    let versions = |error: TlsError| ConnectError::BadCa { path: PathBuf::new(), detail: error.to_string() };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(versions)?;
    let config = match trust {
        Trust::Public => return Ok(None),
        Trust::File(path) => builder.with_root_certificates(roots(path)?).with_no_client_auth(),
        Trust::Anybody => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(NoQuestions(provider))).with_no_client_auth()
        }
    };
    Ok(Some(Connector::Rustls(Arc::new(config))))
}

fn roots(path: &Path) -> Result<RootCertStore, ConnectError> {
    let bad = |detail: String| ConnectError::BadCa { path: path.to_owned(), detail };
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| bad(error.to_string()))? {
        let certificate = certificate.map_err(|error| bad(error.to_string()))?;
        store.add(certificate).map_err(|error| bad(error.to_string()))?;
    }
    if store.is_empty() { Err(bad("it holds none".to_owned())) } else { Ok(store) }
}

/// Takes any certificate; signatures are still checked.
#[derive(Debug)]
struct NoQuestions(Arc<CryptoProvider>);

impl ServerCertVerifier for NoQuestions {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
