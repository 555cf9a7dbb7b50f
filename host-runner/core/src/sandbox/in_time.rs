//! Makes connections, or gives up in time.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use tower_service::Service;

type BoxError = Box<dyn Error + Send + Sync>;

/// A connector whose connections are made within a time, with their TLS: a server that
/// accepts a connection and then says nothing takes no longer than one that does not exist.
#[derive(Clone)]
pub(super) struct InTime<C> {
    connector: C,
    within: Duration,
}

/// No connection was made within this time.
#[derive(Debug)]
pub(super) struct TooSlow(pub(super) Duration);

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no connection within {:?}", self.0)
    }
}

impl Error for TooSlow {}

impl<C> InTime<C> {
    pub(super) fn new(connector: C, within: Duration) -> Self {
        Self { connector, within }
    }
}

impl<C> Service<Uri> for InTime<C>
where
    C: Service<Uri>,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connection = self.connector.call(uri);
        let within = self.within;
        Box::pin(async move {
            match tokio::time::timeout(within, connection).await {
                Ok(connection) => connection.map_err(Into::into),
                Err(_) => Err(TooSlow(within).into()),
            }
        })
    }
}
