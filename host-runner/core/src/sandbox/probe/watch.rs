//! Sees what a server presents in its handshake, and leaves the decision to `tls`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};

use super::certificate::Certificate;
use crate::sandbox::tls::{Identity, Roots, Verifier};

/// The most certificates of a chain that are kept.
const MAX_CHAIN: usize = 8;

/// What was seen of a handshake.
#[derive(Debug, Default)]
pub(super) struct Seen {
    chain: Mutex<Vec<Certificate>>,
    wants_certificate: AtomicBool,
}

impl Seen {
    /// The server's certificate and those that came with it.
    pub(super) fn chain(&self) -> Vec<Certificate> {
        let chain = self.chain.lock();
        chain.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the server has asked for a certificate.
    pub(super) fn wants_certificate(&self) -> bool {
        self.wants_certificate.load(Ordering::Relaxed)
    }
}

/// The settings of TLS for a handshake that is watched. It reads the system's roots.
pub(super) fn config(
    roots: &Roots,
    identity: Option<Identity>,
    seen: &Arc<Seen>,
) -> Result<ClientConfig, rustls::Error> {
    let verifier = roots.verifier()?;
    let config = ClientConfig::builder_with_provider(Arc::clone(&verifier.provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Watching {
            verifier,
            seen: Arc::clone(seen),
        }));
    Ok(config.with_client_cert_resolver(Arc::new(Asked {
        identity,
        seen: Arc::clone(seen),
    })))
}

#[derive(Debug)]
struct Watching {
    verifier: Verifier,
    seen: Arc<Seen>,
}

impl ServerCertVerifier for Watching {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(end_entity).chain(intermediates);
        let chain = chain.take(MAX_CHAIN).map(|der| Certificate::read(der));
        let mut seen = self.seen.chain.lock();
        *seen.as_deref_mut().unwrap_or(&mut Vec::new()) = chain.collect();
        drop(seen);
        self.verifier
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Shows the configured certificate, if there is one, to a server that asks.
#[derive(Debug)]
struct Asked {
    identity: Option<Identity>,
    seen: Arc<Seen>,
}

impl ResolvesClientCert for Asked {
    fn resolve(&self, issuers: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.seen.wants_certificate.store(true, Ordering::Relaxed);
        let identity = self.identity.as_ref()?;
        ResolvesClientCert::resolve(identity.0.as_ref(), issuers, schemes)
    }

    fn has_certs(&self) -> bool {
        self.identity.is_some()
    }
}
