//! TLS of the endpoint: our certificate towards those who call us, and the authorities by which those whom we call are known. Only
//! ring; a carrier whose certificate does not hold is not called.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::transport::ws::{TlsError, acceptor, certificates};

/// TLS of an endpoint.
#[derive(Clone, Default)]
pub struct TlsSide {
    /// For those who call us.
    pub acceptor: Option<TlsAcceptor>,
    /// For those whom we call.
    pub connector: Option<TlsConnector>,
}

impl fmt::Debug for TlsSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsSide")
    }
}

impl TlsSide {
    /// From PEM files: our certificate chain with its key, and authorities beside the public ones. An empty path is none.
    ///
    /// # Errors
    /// [`TlsError`], naming the file.
    pub fn of(certificate: &Path, key: &Path, authorities: &Path) -> Result<Self, TlsError> {
        let given = |path: &Path| !path.as_os_str().is_empty();
        // No protocol is named: RFC 3261 knows none, and a peer that asks for `sip` would be turned away by one that has others.
        let own = given(certificate) && given(key);
        let acceptor = own.then(|| acceptor(certificate, key, Vec::new())).transpose()?;
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if given(authorities) {
            for certificate in certificates(authorities)? {
                let file = authorities.display().to_string();
                roots.add(certificate).map_err(|error| TlsError::Certificate { file, found: error.to_string() })?;
            }
        }
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { acceptor, connector: Some(TlsConnector::from(Arc::new(client))) })
    }
}
