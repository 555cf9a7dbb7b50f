//! The HTTP client: it sends GET requests without credentials, and only to the origins that
//! the operator named. It follows no redirects.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use tokio::sync::OnceCell;
use url::Url;

use crate::roots;
use crate::settings::CaFile;

/// How long one request may take, with its connection.
const TIME: Duration = Duration::from_secs(5);
/// The most that is read of a response.
const MAX_BYTES: usize = 64 * 1024;

type Connections = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// Reaches the origins that the operator named, which [`Fetcher::get`] is given.
pub(super) struct Fetcher {
    /// Accepted in addition to the system's.
    certificates: Vec<CertificateDer<'static>>,
    /// Made for the first request, which reads the system's certificates.
    connections: OnceCell<Connections>,
}

impl Fetcher {
    /// Fails if the file has no certificate.
    pub(super) fn new(ca: Option<&CaFile>) -> Result<Self, String> {
        Ok(Self {
            certificates: match ca {
                Some(file) => roots::read(file, "PROXMOX_MCP_OAUTH_CA_FILE")?,
                None => Vec::new(),
            },
            connections: OnceCell::new(),
        })
    }

    /// Asks for a document of an issuer: the status and the body. It has to be at the origin
    /// of `named`, which the operator has given for this issuer: another issuer's origin does
    /// not count. The message of an error is for the operator.
    pub(super) async fn get(&self, url: &Url, named: &Url) -> Result<(StatusCode, Bytes), String> {
        if url.origin() != named.origin() {
            return Err(format!(
                "{url} is at another origin than the issuer: name it with --oauth-jwks if its keys \
                 are to be trusted"
            ));
        }
        match tokio::time::timeout(TIME, self.exchange(url)).await {
            // Without a colon, which would make the log hide the rest if the path ends with `keys`.
            Ok(answer) => answer.map_err(|why| format!("{why}, asked for {url}")),
            Err(_) => Err(format!("{url} does not answer within {} s", TIME.as_secs())),
        }
    }

    async fn exchange(&self, url: &Url) -> Result<(StatusCode, Bytes), String> {
        let connections = self.connections.get_or_try_init(|| self.connect()).await?;
        let request = Request::get(url.as_str())
            .header(header::ACCEPT, "application/json")
            .body(Empty::new())
            .map_err(|error| error.to_string())?;
        let response = connections.request(request).await;
        let response = response.map_err(|error| chain(&error))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(format!(
                "status {status}: redirects are not followed, so name the final address"
            ));
        }
        let body = Limited::new(response.into_body(), MAX_BYTES)
            .collect()
            .await;
        let body = body.map_err(|error| format!("the body cannot be read: {error}"))?;
        Ok((status, body.to_bytes()))
    }

    async fn connect(&self) -> Result<Connections, String> {
        // Plain HTTP is only for issuers on this machine: the settings allow no others.
        let connector = roots::connector(self.certificates.clone(), TIME).await?;
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .http1_max_buf_size(MAX_BYTES)
            .build(connector);
        Ok(client)
    }
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let messages: Vec<_> = causes.map(ToString::to_string).collect();
    messages.join(": ")
}
