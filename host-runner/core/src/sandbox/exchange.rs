//! The way of one request: `admission` decides whether it may leave, then it is
//! sent, and `arrival` decides what of the answer the component gets.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};

use super::admission::Stopped;
use super::failure::SendError;
use super::gate::Gate;

impl Gate {
    /// Sends a component's request, if it may leave, and returns the whole
    /// answer. Redirects are answers like any other: they are not followed.
    pub(crate) async fn send(
        &self,
        request: Request<Bytes>,
        timeout: Option<Duration>,
    ) -> Result<Response<Bytes>, SendError> {
        let admitted = match self.admit(&request).await {
            Ok(admitted) => admitted,
            Err(Stopped(instead)) => return instead,
        };
        let upstream = admitted.upstream;
        let declared = self.terms.declared.as_ref();
        let tool = declared.map(|declared| declared.tool.as_str());
        let outgoing = upstream.outgoing(request, &admitted.api, tool)?;
        let started = Instant::now();
        let answer = upstream.send(outgoing, timeout, &self.account).await;
        let duration = started.elapsed();
        self.log
            .sent(&admitted.request, &admitted.verdict, &answer, duration)
            .await;
        self.take_in(answer?, &admitted).await
    }
}
