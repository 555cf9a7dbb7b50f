//! What is probed.

use crate::origin::Origin;
use crate::settings::{ClientCertificate, Proxy, Settings, Trust};

/// An address of Proxmox VE, and how it is reached.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    /// Where.
    pub origin: &'a Origin,
    /// Which certificates are accepted there.
    pub trust: &'a Trust,
    /// What to show to a server that asks for a certificate.
    pub client_certificate: Option<&'a ClientCertificate>,
    /// What connects to it. None: this process itself.
    pub proxy: Option<&'a Proxy>,
}

impl<'a> Target<'a> {
    /// All addresses of these settings.
    pub(crate) fn all(settings: &'a Settings) -> Vec<Self> {
        let client_certificate = settings.client_certificate.as_ref();
        let first = Self {
            origin: &settings.origin,
            trust: &settings.trust,
            client_certificate,
            proxy: settings.proxy.as_ref(),
        };
        let others = settings.others.iter().map(|other| Self {
            origin: &other.origin,
            trust: &other.trust,
            client_certificate,
            proxy: other.proxy.as_ref(),
        });
        std::iter::once(first).chain(others).collect()
    }

    /// The host without the brackets of an IPv6 address.
    pub(super) fn bare_host(&self) -> &'a str {
        self.origin.host().trim_matches(['[', ']'])
    }
}
