//! Why a token is not accepted.

/// A token that is not accepted. The messages hold nothing of it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// It is not valid for this server.
    #[error("{0}")]
    Invalid(&'static str),
    /// Nobody knows, since the issuer's keys cannot be read.
    #[error(
        "the keys of {0} cannot be read at the moment, so no token of it can be checked: try \
         again in a few seconds, or ask the operator of this server to read its log"
    )]
    Unavailable(String),
}
