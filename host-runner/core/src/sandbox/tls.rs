//! Which certificates are accepted.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

use crate::settings::{CaFile, Trust};

/// Settings of TLS that cannot be used. Each message is one line that names
/// the variable and gives an example.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    /// The CA file holds no certificate, or a broken one.
    #[error(
        "PROXMOX_CA_FILE ({0}) holds no certificate in PEM form, for example \
         PROXMOX_CA_FILE=/etc/pve/pve-root-ca.pem"
    )]
    CaFile(String),
    /// The token makes no header.
    #[error(
        "PROXMOX_TOKEN_SECRET holds characters that no token secret has, for example \
         PROXMOX_TOKEN_SECRET=12345678-90ab-cdef-1234-567890abcdef"
    )]
    Token,
}

/// The certificates to accept, without the system's roots, which are read when
/// the first connection needs them.
pub(super) enum Roots {
    /// The system's and these.
    System(Vec<CertificateDer<'static>>),
    /// Whatever comes.
    Anything,
}

impl Roots {
    pub(super) fn new(trust: &Trust) -> Result<Self, TrustError> {
        match trust {
            Trust::Verified { ca: None } => Ok(Self::System(Vec::new())),
            Trust::Verified { ca: Some(file) } => Ok(Self::System(parse_ca_file(file)?)),
            Trust::Unverified => {
                tracing::warn!(
                    "PROXMOX_VERIFY_SSL=false: the certificate of proxmox is not checked, so \
                     anyone on the way can read and change what is sent, the token included"
                );
                Ok(Self::Anything)
            }
        }
    }

    /// Reads the system's roots: this takes a while and blocks.
    pub(super) fn client_config(&self) -> Result<ClientConfig, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = match self {
            Self::System(added) => Verifier::with_roots(added, &provider)?,
            Self::Anything => Verifier {
                check: Check::Nothing,
                provider: Arc::clone(&provider),
            },
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(config)
    }
}

fn parse_ca_file(file: &CaFile) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let malformed = || TrustError::CaFile(file.name.clone());
    let certificates = CertificateDer::pem_slice_iter(&file.pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| malformed())?;
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store.add(certificate.clone()).map_err(|_| malformed())?;
    }
    if certificates.is_empty() {
        return Err(malformed());
    }
    Ok(certificates)
}

#[derive(Debug)]
struct Verifier {
    check: Check,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
enum Check {
    Certificate {
        /// None where there is no root at all.
        roots: Option<Arc<WebPkiServerVerifier>>,
        /// A server's own certificate in `PROXMOX_CA_FILE` is trusted as it
        /// is: rustls would not take a self-signed one as its own issuer.
        named: Vec<CertificateDer<'static>>,
    },
    Nothing,
}

impl Verifier {
    fn with_roots(
        added: &[CertificateDer<'static>],
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, rustls::Error> {
        let system = rustls_native_certs::load_native_certs();
        for error in &system.errors {
            tracing::debug!("some of the system's certificates cannot be read: {error}");
        }
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(system.certs);
        store.add_parsable_certificates(added.iter().cloned());
        let roots = if store.is_empty() {
            tracing::warn!(
                "the system has no root certificates: no certificate can be trusted unless \
                 PROXMOX_CA_FILE names one"
            );
            None
        } else {
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider))
                .build()
                .map(Some)
                .map_err(|error| rustls::Error::General(error.to_string()))?
        };
        Ok(Self {
            check: Check::Certificate {
                roots,
                named: added.to_vec(),
            },
            provider: Arc::clone(provider),
        })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let (roots, named) = match &self.check {
            Check::Nothing => return Ok(ServerCertVerified::assertion()),
            Check::Certificate { roots, named } => (roots, named),
        };
        if named.iter().any(|certificate| certificate == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        let Some(roots) = roots else {
            return Err(CertificateError::UnknownIssuer.into());
        };
        roots.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_without_certificates_is_refused() {
        for pem in [
            "",
            "no pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            let file = CaFile {
                name: "ca.pem".to_owned(),
                pem: pem.as_bytes().to_vec(),
            };
            let error = parse_ca_file(&file).unwrap_err().to_string();
            assert!(error.starts_with("PROXMOX_CA_FILE (ca.pem)"), "{error}");
        }
    }
}
