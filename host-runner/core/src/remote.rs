//! Who sent a request over HTTP. Over stdio there is one client, and nothing to tell.

use std::net::IpAddr;
use std::sync::Arc;

use host_runner_policy::Preset;

/// Who a client has proved to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The name of its token, or `oauth:` and the subject of its access token: the same name
    /// is never both.
    pub(crate) user: Arc<str>,
    /// The scopes of this server that an access token grants.
    pub(crate) scopes: Arc<[String]>,
    /// What the widest of them allows. None for a static token: the policy alone counts.
    pub(crate) preset: Option<Preset>,
}

/// Who sent a request over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remote {
    /// [`Identity::user`]. None where no token is required.
    pub(crate) user: Option<Arc<str>>,
    /// [`Identity::preset`]: the client may do no more, whatever the policy allows.
    pub(crate) preset: Option<Preset>,
    /// Where the connection comes from: this may be a proxy.
    pub(crate) address: IpAddr,
    /// The number of the request, which the response has in `X-Request-Id`.
    pub(crate) request: Arc<str>,
    /// Which session of the older protocol era the request belongs to: a digest of its id,
    /// which is a secret of the client.
    pub(crate) session: Option<Arc<str>>,
}

impl Remote {
    /// Whether the access token of the client lets it change nothing.
    pub(crate) fn only_observes(&self) -> bool {
        self.preset == Some(Preset::Observe)
    }

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
