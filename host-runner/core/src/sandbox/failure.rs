//! Why a request was not answered.

/// A request that was not answered.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct SendError {
    /// What kind of failure.
    pub kind: FailureKind,
    /// What happened, for a person. Holds no secret.
    pub detail: String,
    /// Whether the detail names several addresses, each with its own failure.
    pub names_addresses: bool,
}

/// Why a request was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// It may not leave. Nothing was sent.
    Denied,
    /// Its body is larger than `MAX_REQUEST_BYTES`. Nothing was sent.
    RequestTooLarge,
    /// The host name cannot be resolved.
    NameNotFound,
    /// The connection was refused: nothing listens there.
    ConnectionRefused,
    /// There is no route to the host.
    Unroutable,
    /// The connection was not accepted in time.
    ConnectTimeout,
    /// The connection ended before the answer began.
    ConnectionClosed,
    /// The proxy is not there, or did not connect to the server.
    Proxy,
    /// The certificate is not trusted, not valid now, or another host's.
    Certificate,
    /// Any other failure of TLS, with the alert that the server sent.
    Tls(Option<u8>),
    /// It took longer than `REQUEST_TIMEOUT`, or than the component wanted.
    ResponseTimeout,
    /// Larger than `MAX_RESPONSE_BYTES`.
    ResponseTooLarge,
    /// The connection ended within the answer.
    ResponseIncomplete,
    /// Compressed, which was not asked for.
    ResponseEncoded,
    /// What came back is not HTTP.
    Protocol,
}

impl FailureKind {
    /// Whether the same read may succeed at another address of the cluster.
    pub(super) fn is_of_the_address(self) -> bool {
        let after_sending = matches!(
            self,
            Self::ConnectionClosed
                | Self::ResponseTimeout
                | Self::ResponseIncomplete
                | Self::Protocol
        );
        after_sending || self.is_before_sending()
    }

    /// Whether it certainly happened before anything was sent.
    pub(super) fn is_before_sending(self) -> bool {
        matches!(
            self,
            Self::NameNotFound
                | Self::ConnectionRefused
                | Self::Unroutable
                | Self::ConnectTimeout
                | Self::Proxy
                | Self::Certificate
                | Self::Tls(_)
        )
    }
}

impl SendError {
    /// A failure and what to say of it.
    pub(crate) fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            names_addresses: false,
        }
    }
}
