//! TLS of the listener, from PEM files. Only ring; never a private key in an error.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

/// A certificate or key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate file is unreadable or holds no certificate.
    #[error("expected PEM certificates in {file}, found: {found}; give the full chain, leaf first")]
    Certificate {
        /// The file.
        file: String,
        /// What was found.
        found: String,
    },
    /// The key file is unreadable or holds no key.
    #[error("expected a PEM private key in {file}, found: {found}")]
    Key {
        /// The file.
        file: String,
        /// What was found.
        found: String,
    },
    /// Certificate and key do not go together.
    #[error("expected a certificate and its own key: {0}")]
    Pair(#[from] rustls::Error),
}

/// An acceptor with this certificate chain and key.
///
/// # Errors
/// [`TlsError`], naming the file.
pub fn server_tls(certificate: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    acceptor(certificate, key, vec![b"http/1.1".to_vec()])
}

/// The same for a protocol of these ALPN names; with none, whatever the peer asks for.
pub(in crate::transport) fn acceptor(
    certificate: &Path,
    key: &Path,
    protocols: Vec<Vec<u8>>,
) -> Result<TlsAcceptor, TlsError> {
    let chain = certificates(certificate)?;
    let key_file = || key.display().to_string();
    let secret = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| TlsError::Key { file: key_file(), found: error.to_string() })?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, secret)?;
    config.alpn_protocols = protocols;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The certificates of a PEM file, at least one.
pub(in crate::transport) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let fault = |found: String| TlsError::Certificate { file: file.display().to_string(), found };
    let chain = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| fault(error.to_string()))?;
    if chain.is_empty() { Err(fault("no certificate".to_owned())) } else { Ok(chain) }
}
