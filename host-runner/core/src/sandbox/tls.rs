//! Which certificates are accepted.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
};

use crate::digest::Digest;
use crate::settings::{CaFile, ClientCertificate, Trust};

/// The number of certificates whose fingerprints are shown where any certificate
/// is accepted: an attacker who presents more cannot fill the log.
const MAX_SHOWN: usize = 16;

/// Where a person sees the fingerprint that should be there.
pub(crate) const WHERE_TO_COMPARE: &str = "the Proxmox web interface shows it at node > System > \
                                Certificates; so does `pvenode cert info` on the node";

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
    /// The file of the client's certificate holds none, or a broken one.
    #[error(
        "PROXMOX_CLIENT_CERT ({0}) holds no certificate in PEM form, for example \
         PROXMOX_CLIENT_CERT=/etc/proxmox-mcp/client.crt"
    )]
    ClientCertificate(String),
    /// The file of its key holds none.
    #[error(
        "PROXMOX_CLIENT_KEY ({0}) holds no private key in PEM form without a passphrase (`openssl \
         pkey` removes one), for example PROXMOX_CLIENT_KEY=/etc/proxmox-mcp/client.key"
    )]
    ClientKey(String),
    /// They are not of each other.
    #[error(
        "PROXMOX_CLIENT_KEY ({key}) is not the key of the first certificate in \
         PROXMOX_CLIENT_CERT ({certificate}): {cause}"
    )]
    ClientPair {
        /// The file of the certificate.
        certificate: String,
        /// The file of the key.
        key: String,
        /// What is wrong.
        cause: rustls::Error,
    },
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
    /// None: these certificates are accepted, and no others.
    Pins(Vec<Digest>),
    /// Whatever comes.
    Anything,
}

impl Roots {
    pub(super) fn new(trust: &Trust) -> Result<Self, TrustError> {
        match trust {
            Trust::Verified { ca: None } => Ok(Self::System(Vec::new())),
            Trust::Verified { ca: Some(file) } => Ok(Self::System(parse_ca_file(file)?)),
            Trust::Pinned(pins) => Ok(Self::Pins(pins.clone())),
            Trust::Unverified => {
                tracing::warn!(
                    "PROXMOX_VERIFY_SSL=false: the certificate of Proxmox is not verified, so \
                     anyone on the network path can read and change the traffic, including the \
                     token"
                );
                Ok(Self::Anything)
            }
        }
    }

    /// Reads the system's roots: this takes a while and blocks.
    pub(super) fn client_config(
        &self,
        identity: Option<Identity>,
    ) -> Result<ClientConfig, rustls::Error> {
        let verifier = self.verifier()?;
        let config = ClientConfig::builder_with_provider(Arc::clone(&verifier.provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        Ok(match identity {
            Some(Identity(resolver)) => config.with_client_cert_resolver(resolver),
            None => config.with_no_client_auth(),
        })
    }

    /// What decides about a certificate. Reads the system's roots, too.
    pub(super) fn verifier(&self) -> Result<Verifier, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        match self {
            Self::System(added) => Verifier::with_roots(added, &provider),
            Self::Pins(pins) => Ok(Verifier::new(Check::Pins(pins.clone()), &provider)),
            Self::Anything => Ok(Verifier::new(Check::Nothing(Mutex::default()), &provider)),
        }
    }
}

/// Shows a certificate to servers that ask for one.
#[derive(Debug, Clone)]
pub(super) struct Identity(pub(super) Arc<SingleCertAndKey>);

impl Identity {
    pub(super) fn new(client: &ClientCertificate) -> Result<Self, TrustError> {
        let (certificate, key) = (&client.certificate, &client.key);
        let malformed = || TrustError::ClientCertificate(certificate.name.clone());
        let chain = CertificateDer::pem_slice_iter(&certificate.pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| malformed())?;
        if chain.is_empty() {
            return Err(malformed());
        }
        let der = PrivateKeyDer::from_pem_slice(&key.pem)
            .map_err(|_| TrustError::ClientKey(key.name.clone()))?;
        let provider = rustls::crypto::ring::default_provider();
        let pair = CertifiedKey::from_der(chain, der, &provider);
        let pair = pair.map_err(|cause| TrustError::ClientPair {
            certificate: certificate.name.clone(),
            key: key.name.clone(),
            cause,
        })?;
        Ok(Self(Arc::new(SingleCertAndKey::from(pair))))
    }
}

/// Accepts the first of these certificates (PEM) and no other, whatever names are in it. None
/// if there is none.
pub(crate) fn only(pem: &[u8]) -> Option<ClientConfig> {
    let certificate = CertificateDer::from_pem_slice(pem).ok()?;
    let pins = vec![Digest::of(&certificate)];
    Roots::Pins(pins).client_config(None).ok()
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

/// Decides about the certificate of a server.
#[derive(Debug)]
pub(super) struct Verifier {
    check: Check,
    pub(super) provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
enum Check {
    Certificate {
        /// None where there are no roots.
        roots: Option<Arc<WebPkiServerVerifier>>,
        /// A server's own certificate in `PROXMOX_CA_FILE` is trusted as it
        /// is: rustls would not take a self-signed one as its own issuer.
        named: Vec<CertificateDer<'static>>,
    },
    /// Only the certificate itself counts, and not its validity period: a pinned
    /// certificate is accepted until another one is configured.
    Pins(Vec<Digest>),
    /// With the fingerprints that were shown already.
    Nothing(Mutex<Vec<Digest>>),
}

/// A certificate that is not accepted, for [`CertificateError::Other`].
#[derive(Debug)]
pub(super) enum Rejected {
    /// It was not issued by a trusted authority.
    Unverified {
        /// Its fingerprint.
        seen: Digest,
        /// What is wrong with it.
        cause: CertificateError,
    },
    /// It is none of those in `PROXMOX_FINGERPRINT`.
    NotPinned {
        /// Its fingerprint.
        seen: Digest,
    },
}

impl std::error::Error for Rejected {}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unverified { seen, cause } => {
                match cause {
                    CertificateError::UnknownIssuer => f.write_str("its issuer is not trusted")?,
                    CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                        f.write_str("it has expired")?;
                    }
                    CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                        f.write_str("it is not valid yet")?;
                    }
                    CertificateError::NotValidForName
                    | CertificateError::NotValidForNameContext { .. } => {
                        f.write_str("it is not for this host name")?;
                    }
                    cause => write!(f, "{cause}")?,
                }
                write!(
                    f,
                    "; to accept it all the same, set PROXMOX_FINGERPRINT={} if that is its \
                     fingerprint: {WHERE_TO_COMPARE}",
                    seen.with_colons()
                )
            }
            Self::NotPinned { seen } => write!(
                f,
                "its fingerprint {} is not in PROXMOX_FINGERPRINT: if the certificate was renewed, \
                 compare it and add it; {WHERE_TO_COMPARE}",
                seen.with_colons()
            ),
        }
    }
}

impl From<Rejected> for rustls::Error {
    fn from(rejected: Rejected) -> Self {
        CertificateError::Other(OtherError(Arc::new(rejected))).into()
    }
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
        let check = Check::Certificate {
            roots,
            named: added.to_vec(),
        };
        Ok(Self::new(check, provider))
    }

    fn new(check: Check, provider: &Arc<CryptoProvider>) -> Self {
        Self {
            check,
            provider: Arc::clone(provider),
        }
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
        let seen = || Digest::of(end_entity);
        let (roots, named) = match &self.check {
            Check::Certificate { roots, named } => (roots, named),
            Check::Pins(pins) if pins.contains(&seen()) => {
                return Ok(ServerCertVerified::assertion());
            }
            Check::Pins(_) => return Err(Rejected::NotPinned { seen: seen() }.into()),
            Check::Nothing(shown) => {
                show_once(shown, seen());
                return Ok(ServerCertVerified::assertion());
            }
        };
        if named.iter().any(|certificate| certificate == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        let verified = match roots {
            None => Err(CertificateError::UnknownIssuer.into()),
            Some(roots) => {
                roots.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
        };
        verified.map_err(|error| match error {
            rustls::Error::InvalidCertificate(cause) => Rejected::Unverified {
                seen: seen(),
                cause,
            }
            .into(),
            error => error,
        })
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

/// Gives the operator what to paste for a certificate that is accepted
/// unseen.
fn show_once(shown: &Mutex<Vec<Digest>>, seen: Digest) {
    let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
    if shown.len() >= MAX_SHOWN || shown.contains(&seen) {
        return;
    }
    shown.push(seen);
    tracing::warn!(
        "a certificate was accepted unverified: to accept only this one, set \
         PROXMOX_FINGERPRINT={} if that is its fingerprint: {WHERE_TO_COMPARE}",
        seen.with_colons()
    );
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use rustls::server::{ClientHello, ResolvesServerCert};
    use rustls::{ClientConnection, ServerConfig, ServerConnection};

    use super::*;

    /// A server with any certificate and any key, whether they belong together
    /// or not.
    #[derive(Debug)]
    struct Server(Arc<CertifiedKey>);

    impl ResolvesServerCert for Server {
        fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            Some(Arc::clone(&self.0))
        }
    }

    struct Identity {
        certificate: CertificateDer<'static>,
        key: Vec<u8>,
    }

    impl Identity {
        /// For another host than the one that is asked for, and long expired.
        fn new() -> Self {
            let key = rcgen::KeyPair::generate().unwrap();
            let mut params = rcgen::CertificateParams::new(["elsewhere".to_owned()]).unwrap();
            params.not_after = rcgen::date_time_ymd(2001, 1, 1);
            let certificate = params.self_signed(&key).unwrap();
            Self {
                certificate: certificate.der().clone(),
                key: key.serialize_der(),
            }
        }

        fn pin(&self) -> Digest {
            Digest::of(&self.certificate)
        }
    }

    /// Shakes hands with a server that shows `certificate` and signs with
    /// `key`.
    fn shake(
        trust: &Trust,
        version: &'static rustls::SupportedProtocolVersion,
        certificate: &Identity,
        key: &Identity,
    ) -> Result<(), rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::Pkcs8(key.key.clone().into());
        let key = provider.key_provider.load_private_key(key).unwrap();
        let certified = CertifiedKey::new(vec![certificate.certificate.clone()], key);
        let server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Server(Arc::new(certified))));
        let mut server = ServerConnection::new(Arc::new(server)).unwrap();
        let client = Roots::new(trust).unwrap().client_config(None)?;
        let name = ServerName::try_from("pve.example.com").unwrap();
        let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
        for _ in 0..20 {
            let mut there = Vec::new();
            client.write_tls(&mut there).unwrap();
            let mut there = there.as_slice();
            while !there.is_empty() {
                server.read_tls(&mut there).unwrap();
                server.process_new_packets()?;
            }
            let mut back = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut back).unwrap();
            }
            let mut back = back.as_slice();
            while !back.is_empty() {
                client.read_tls(&mut back).unwrap();
                client.process_new_packets()?;
            }
        }
        assert!(!client.is_handshaking() && !server.is_handshaking());
        client.writer().write_all(b"secret").unwrap();
        Ok(())
    }

    /// The certificate is public, so a server must also prove that it has the key.
    #[test]
    fn a_pinned_certificate_needs_its_key() {
        let (pinned, other) = (Identity::new(), Identity::new());
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let pins = Trust::Pinned(vec![other.pin(), pinned.pin()]);
            shake(&pins, version, &pinned, &pinned).unwrap();
            let error = shake(&pins, version, &pinned, &other).unwrap_err();
            assert_eq!(
                error,
                rustls::Error::InvalidCertificate(CertificateError::BadSignature)
            );
            // Nor is any key enough where any certificate is.
            shake(&Trust::Unverified, version, &pinned, &pinned).unwrap();
            shake(&Trust::Unverified, version, &pinned, &other).unwrap_err();
        }
    }

    #[test]
    fn no_other_certificate_passes_a_pin() {
        let (pinned, other) = (Identity::new(), Identity::new());
        let pins = Trust::Pinned(vec![pinned.pin()]);
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let error = shake(&pins, version, &other, &other).unwrap_err();
            let rustls::Error::InvalidCertificate(CertificateError::Other(error)) = error else {
                panic!("{error}");
            };
            let text = error.0.to_string();
            assert!(text.contains(&other.pin().with_colons()), "{text}");
            assert!(text.contains("PROXMOX_FINGERPRINT"), "{text}");
        }
    }

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
