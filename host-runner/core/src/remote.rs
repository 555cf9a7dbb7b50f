//! Who sent a request over HTTP. Over stdio there is one client, and nothing to tell.

use std::net::IpAddr;
use std::sync::Arc;

/// Who sent a request over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remote {
    /// The name of the token that the client presented. None where no token is required.
    pub(crate) user: Option<Arc<str>>,
    /// Where the connection comes from: this may be a proxy.
    pub(crate) address: IpAddr,
    /// The number of the request, which the response has in `X-Request-Id`.
    pub(crate) request: Arc<str>,
    /// Which session of the older protocol era the request belongs to: a digest of its id,
    /// which is a secret of the client.
    pub(crate) session: Option<Arc<str>>,
}

impl Remote {
    /// Whether both are the same user.
    pub(crate) fn is_user_of(one: Option<&Self>, other: Option<&Self>) -> bool {
        let user = |remote: Option<&Self>| remote.and_then(|remote| remote.user.clone());
        user(one) == user(other)
    }

    /// Whether both are the same session. Without HTTP, there is only one.
    pub(crate) fn is_session_of(one: Option<&Self>, other: Option<&Self>) -> bool {
        let session = |remote: Option<&Self>| remote.and_then(|remote| remote.session.clone());
        session(one) == session(other)
    }
}
