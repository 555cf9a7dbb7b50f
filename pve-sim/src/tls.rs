//! The server's certificate.

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsAcceptor;

use crate::options::Tls;

/// A certificate and its key.
pub(crate) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
    /// What a client must trust.
    pub(crate) ca_pem: String,
    /// SHA-256 of the certificate, as `AA:BB:…`.
    pub(crate) fingerprint: String,
}

/// A fresh certificate for this machine's loopback names.
pub(crate) fn identity(tls: Tls) -> anyhow::Result<Option<Identity>> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    params
        .distinguished_name
        .push(DnType::CommonName, "pve1.example");
    params.is_ca = IsCa::ExplicitNoCa;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let (leaf, ca_pem) = match tls {
        Tls::Off => return Ok(None),
        Tls::SelfSigned => {
            let leaf = params.self_signed(&key)?;
            let pem = leaf.pem();
            (leaf, pem)
        }
        Tls::OwnAuthority => {
            let ca_key = KeyPair::generate()?;
            let mut ca = CertificateParams::new(Vec::<String>::new())?;
            ca.distinguished_name
                .push(DnType::CommonName, "Proxmox Virtual Environment");
            ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            let pem = ca.self_signed(&ca_key)?.pem();
            (params.signed_by(&key, &Issuer::new(ca, ca_key))?, pem)
        }
    };
    let der = leaf.der().clone();
    let fingerprint = fingerprint(&der);
    Ok(Some(Identity {
        chain: vec![der],
        key: key.serialize_der(),
        ca_pem,
        fingerprint,
    }))
}

fn fingerprint(der: &[u8]) -> String {
    let mut text = String::new();
    for (at, byte) in Sha256::digest(der).iter().enumerate() {
        let _ = write!(text, "{}{byte:02X}", if at == 0 { "" } else { ":" });
    }
    text
}

impl Identity {
    pub(crate) fn acceptor(&self) -> anyhow::Result<TlsAcceptor> {
        let key = PrivateKeyDer::Pkcs8(self.key.clone().into());
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::ring::default_provider(),
        ))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(self.chain.clone(), key)
        .context("the generated certificate is refused")?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}
