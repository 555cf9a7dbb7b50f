//! How servers that are not Proxmox VE are reached, and which certificates are accepted of
//! them: the system's, and those that the operator adds.

use std::time::Duration;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::settings::CaFile;

/// Connects within this time, by plain HTTP as well: whoever takes the address decides
/// whether that may be.
pub(crate) async fn connector(
    added: Vec<CertificateDer<'static>>,
    within: Duration,
) -> Result<HttpsConnector<HttpConnector>, String> {
    let config = tokio::task::spawn_blocking(move || client_config(added)).await;
    let config = config.map_err(|error| error.to_string())??;
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(within));
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .enable_http1();
    Ok(connector.wrap_connector(tcp))
}

/// Reads the system's roots: this takes a while and blocks.
fn client_config(added: Vec<CertificateDer<'static>>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots.add_parsable_certificates(added);
    let provider = rustls::crypto::ring::default_provider();
    let config = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// The certificates in a file, which this variable has named. The message of an error is for
/// the operator.
pub(crate) fn read(file: &CaFile, variable: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let refused = || {
        format!(
            "{variable} ({}) holds no certificate in PEM form: name the certificate of the \
             authority that has signed the server's",
            file.name
        )
    };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&file.pem).collect();
    let certificates = certificates.map_err(|_| refused())?;
    let mut store = RootCertStore::empty();
    let (good, bad) = store.add_parsable_certificates(certificates.iter().cloned());
    match (good, bad) {
        (0, _) | (_, 1..) => Err(refused()),
        _ => Ok(certificates),
    }
}
