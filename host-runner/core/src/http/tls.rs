//! TLS with a certificate that is read again when it changes.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::fresh::Fresh;
use crate::operator_file::{self, MAX_CA_BYTES, MAX_ENV_BYTES};
use crate::settings::TlsFiles;

/// How long a client may take to agree on keys.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// Speaks TLS with clients.
pub(crate) struct Tls(Fresh<ServerConfig>);

impl Tls {
    /// Reads the files for the first time. The key must be private.
    pub(crate) fn new(files: &TlsFiles) -> Result<Self, String> {
        let paths = vec![files.certificate.clone(), files.key.clone()];
        let files = files.clone();
        Fresh::new(paths, move || config(&files)).map(Self)
    }

    /// Agrees with a client, by the certificate as it is now. None where that fails.
    pub(super) async fn accept(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let acceptor = TlsAcceptor::from(self.0.get());
        match tokio::time::timeout(HANDSHAKE_TIME, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                tracing::debug!("a client did not agree on TLS: {error}");
                None
            }
            Err(_) => {
                tracing::debug!("a client took too long to agree on TLS");
                None
            }
        }
    }
}

fn config(files: &TlsFiles) -> Result<ServerConfig, String> {
    let certificate = files.certificate.display();
    let refused = |why: &dyn std::fmt::Display| format!("the certificate {certificate} {why}");
    let pem = operator_file::read(&files.certificate, MAX_CA_BYTES).map_err(|e| refused(&e))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|_| refused(&"is not PEM"))?;
    if chain.is_empty() {
        return Err(refused(&"has no certificate: name a file in PEM format"));
    }
    let key_file = files.key.display();
    let refused = |why: &dyn std::fmt::Display| format!("the private key {key_file} {why}");
    let pem = operator_file::read_private(&files.key, MAX_ENV_BYTES).map_err(|e| refused(&e))?;
    let key = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| refused(&"has no private key: name a file in PEM format"))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, key);
    let mut config = config.map_err(|error| {
        format!("the certificate {certificate} and the key {key_file} do not fit: {error}")
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn certificate_and_key_have_to_fit() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
            let files = TlsFiles {
                certificate: folder.path().join(format!("{name}.crt")),
                key: folder.path().join(format!("{name}.key")),
            };
            std::fs::write(&files.certificate, made.cert.pem()).unwrap();
            std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
            let mode = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(&files.key, mode).unwrap();
            files
        };
        let (one, two) = (make("one"), make("two"));
        assert!(Tls::new(&one).is_ok());
        let refused = |files: &TlsFiles| Tls::new(files).map(drop).unwrap_err();
        let mixed = TlsFiles {
            certificate: one.certificate.clone(),
            key: two.key.clone(),
        };
        assert!(refused(&mixed).contains("do not fit"));
        let swapped = TlsFiles {
            certificate: one.key.clone(),
            key: one.certificate.clone(),
        };
        assert!(refused(&swapped).contains("has no certificate"));
        let mode = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(&one.key, mode).unwrap();
        assert!(refused(&one).contains("chmod 600"));
    }
}
