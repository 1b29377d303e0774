//! A worker's HTTP API, as commands ask it. Never retries: whoever asks decides what a failure means.

use std::time::Duration;

use serde_json::Value;

use super::caller::Trust;
use crate::units::Pii;

/// Time of one request.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// Largest answer that is read.
const MOST_BYTES: usize = 4 << 20;

/// One worker's API.
#[derive(Debug)]
pub struct WorkerApi {
    client: reqwest::Client,
    base: String,
    token: Option<Pii<String>>,
}

impl WorkerApi {
    /// The API at `base` (`http://127.0.0.1:8080`), with the operators' token where one is set.
    ///
    /// # Errors
    /// What is wrong with the certificates that `trust` names.
    pub async fn new(base: &str, token: Option<Pii<String>>, trust: &Trust) -> Result<Self, String> {
        // Only the first of several that install one succeeds, and any will do.
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(REQUEST_LIMIT).redirect(reqwest::redirect::Policy::none());
        let client = match trust {
            Trust::Public => client,
            Trust::Anybody => client.tls_danger_accept_invalid_certs(true),
            Trust::File(path) => {
                let fault = |why: String| format!("{}: expected PEM certificates: {why}", path.display());
                let pem = tokio::fs::read(path).await.map_err(|error| fault(error.to_string()))?;
                let roots = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| fault(error.to_string()))?;
                client.tls_certs_only(roots)
            }
        };
        let client = client.build().map_err(|error| error.to_string())?;
        Ok(Self { client, base: base.trim_end_matches('/').to_owned(), token })
    }

    /// What stands at a path.
    ///
    /// # Errors
    /// No connection, a status that is no success (with the worker's own words where it sent some), no JSON.
    pub async fn get(&self, path: &str) -> Result<Value, String> {
        self.ask(self.client.get(format!("{}{path}", self.base)), path).await
    }

    /// The answer to a body that is posted to a path.
    ///
    /// # Errors
    /// As [`WorkerApi::get`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        self.ask(self.client.post(format!("{}{path}", self.base)).json(body), path).await
    }

    async fn ask(&self, mut request: reqwest::RequestBuilder, path: &str) -> Result<Value, String> {
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.reveal());
        }
        let mut response = request.send().await.map_err(|error| error.without_url().to_string())?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| error.without_url().to_string())? {
            body.extend_from_slice(&chunk);
            if body.len() > MOST_BYTES {
                return Err(format!("{path}: the answer is longer than {MOST_BYTES} bytes"));
            }
        }
        if !status.is_success() {
            let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
            let word = |key: &str| problem.get(key).and_then(Value::as_str).unwrap_or_default();
            return Err(format!("{path}: {status} {} {}", word("code"), word("detail")).trim_end().to_owned());
        }
        serde_json::from_slice(&body).map_err(|error| format!("{path}: expected JSON: {error}"))
    }
}
