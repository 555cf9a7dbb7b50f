//! What belongs to one call: its view of the world and its limits.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderName, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::ResourceLimiterAsync;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView, async_trait};
use wasmtime_wasi_http::{
    Error as HttpError, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpCtx,
    WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use super::guest_log::GuestLog;
use super::processor::{Meter, Metered};
use super::streams::Nowhere;
use crate::budget::{Account, SMALL_INSTANCE};
use crate::sandbox::{self, FailureKind, Gate, MAX_REQUEST_BYTES, SendError};

/// The most elements that a component's table may have.
pub(super) const MAX_TABLE_ELEMENTS: usize = 20_000;

/// The most resources (requests, answers, streams, …) that a component may
/// have: the host keeps them in its own memory.
pub(super) const MAX_RESOURCES: usize = 256;
/// The most that the headers of one message may hold, with what the host needs
/// to keep them.
const MAX_FIELDS_BYTES: usize = 8 * 1024;
/// The most random bytes that are made at once.
const MAX_RANDOM_BYTES: u64 = 64 * 1024;
/// What the host takes at once of a request's body before it is sent.
const BODY_CHUNK_BYTES: usize = 4 * 1024;
/// Requests of a call that may be under way, or answered and not yet dropped;
/// others wait.
const MAX_OPEN_REQUESTS: usize = 4;

/// The data of a call's store.
pub(super) struct State {
    pub(super) memory: MemoryBudget,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    outgoing: Outgoing,
}

/// Details of a failed call, beyond its error.
#[derive(Default)]
pub(super) struct Report {
    pub(super) log: GuestLog,
    out_of_memory: AtomicBool,
    failure: Mutex<Option<String>>,
}

/// How much memory a call may take, over all its memories.
pub(super) struct MemoryBudget {
    taken: usize,
    limit: usize,
    /// What all calls share.
    account: Arc<Account>,
    report: Arc<Report>,
}

/// Passes the component's requests to the gate.
struct Outgoing {
    gate: Arc<Gate>,
    report: Arc<Report>,
    meter: Arc<Meter>,
    open: Arc<Semaphore>,
}

/// An answer, as long as the component has it.
struct Held {
    body: Full<Bytes>,
    _open: Option<OwnedSemaphorePermit>,
}

type SendFuture =
    dyn Future<Output = Result<(Response<WasiBody>, Box<Transfer>), HttpError>> + Send;
type Transfer = dyn Future<Output = Result<(), HttpError>> + Send;

impl State {
    pub(super) fn new(
        environment: &[(String, String)],
        gate: Arc<Gate>,
        memory_bytes: usize,
        meter: Arc<Meter>,
        report: Arc<Report>,
    ) -> Self {
        // No directory, no arguments, nothing to read; stdout goes nowhere,
        // as the process's own belongs to the MCP transport.
        let wasi = WasiCtx::builder()
            .envs(environment)
            .envs(gate.environment())
            .stdout(Nowhere)
            .stderr(report.log.clone())
            .max_random_size(MAX_RANDOM_BYTES)
            .build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(MAX_FIELDS_BYTES);
        Self {
            memory: MemoryBudget {
                taken: 0,
                limit: memory_bytes,
                account: Arc::clone(gate.account()),
                report: Arc::clone(&report),
            },
            wasi,
            http,
            table,
            outgoing: Outgoing {
                gate,
                report,
                meter,
                open: Arc::new(Semaphore::new(MAX_OPEN_REQUESTS)),
            },
        }
    }
}

impl Report {
    pub(super) fn is_out_of_memory(&self) -> bool {
        self.out_of_memory.load(Ordering::Relaxed)
    }

    /// Why the last request of the call was not answered, where its code does
    /// not say.
    pub(super) fn failure(&self) -> Option<String> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn note_failure(&self, failure: Option<String>) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }
}

/// What all calls share of this much memory.
fn large(taken: usize) -> usize {
    taken.saturating_sub(SMALL_INSTANCE)
}

impl Drop for MemoryBudget {
    fn drop(&mut self) {
        self.account.give_back(large(self.taken));
    }
}

#[async_trait]
impl ResourceLimiterAsync for MemoryBudget {
    /// Refuses what one call may not have, and waits for what all calls
    /// together may not have at the same time.
    async fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let taken = self.taken.saturating_add(desired.saturating_sub(current));
        if taken > self.limit {
            self.report.out_of_memory.store(true, Ordering::Relaxed);
            return Ok(false);
        }
        self.account.take(large(taken) - large(self.taken)).await;
        self.taken = taken;
        Ok(true)
    }

    async fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= MAX_TABLE_ELEMENTS)
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.outgoing,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

impl WasiHttpHooks for Outgoing {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        sandbox::is_forbidden_header(name)
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        static FILTER: LazyLock<ForbiddenHeaderFilter> =
            LazyLock::new(|| Arc::new(sandbox::is_forbidden_header));
        Arc::clone(&FILTER)
    }

    /// The sandbox decides, and reports a refusal in the logs.
    fn is_supported_scheme(&mut self, _: &Scheme) -> bool {
        true
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK_BYTES
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<Transfer>,
    ) -> Box<SendFuture> {
        let gate = Arc::clone(&self.gate);
        let report = Arc::clone(&self.report);
        let open = Arc::clone(&self.open);
        // Runs as a separate task, and is charged to the call.
        Box::new(Metered::new(Arc::clone(&self.meter), async move {
            // Never closed, so there is always one in the end.
            let open = open.acquire_owned().await.ok();
            let answer = send(&gate, request, options).await;
            report.note_failure(answer.as_ref().err().and_then(lost_detail));
            let response = answer.map_err(|error| to_wasi(error.kind))?;
            let response = response.map(|body| {
                let body = Held {
                    body: Full::new(body),
                    _open: open,
                };
                body.map_err(|never| match never {}).boxed_unsync()
            });
            // The whole answer has been read: nothing is left to transfer.
            let transfer: Box<Transfer> = Box::new(std::future::ready(Ok(())));
            Ok((response, transfer))
        }))
    }
}

impl Body for Held {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

async fn send(
    gate: &Gate,
    request: Request<WasiBody>,
    options: Option<RequestOptions>,
) -> Result<Response<Bytes>, SendError> {
    let (parts, body) = request.into_parts();
    let (body, _hold) = gate.read_body(body).await?;
    let timeout = options.and_then(|options| options.first_byte_timeout);
    let request = Request::from_parts(parts, body);
    gate.send(request, timeout).await
}

/// Details that no code of wasi:http expresses.
fn lost_detail(error: &SendError) -> Option<String> {
    match error.kind {
        FailureKind::Denied
        | FailureKind::Proxy
        | FailureKind::Certificate
        | FailureKind::Tls(_)
        | FailureKind::Unroutable
        | FailureKind::Protocol => Some(error.detail.clone()),
        _ if error.names_addresses => Some(error.detail.clone()),
        _ => None,
    }
}

fn to_wasi(kind: FailureKind) -> HttpError {
    match kind {
        FailureKind::Denied => HttpError::HttpRequestDenied,
        FailureKind::RequestTooLarge => {
            HttpError::HttpRequestBodySize(Some(MAX_REQUEST_BYTES as u64))
        }
        FailureKind::NameNotFound => HttpError::DnsError {
            rcode: None,
            info_code: None,
        },
        FailureKind::ConnectionRefused => HttpError::ConnectionRefused,
        FailureKind::Unroutable => HttpError::DestinationUnavailable,
        FailureKind::ConnectTimeout => HttpError::ConnectionTimeout,
        FailureKind::ConnectionClosed => HttpError::ConnectionTerminated,
        FailureKind::Proxy => HttpError::ConfigurationError,
        FailureKind::Certificate => HttpError::TlsCertificateError,
        FailureKind::Tls(None) => HttpError::TlsProtocolError,
        FailureKind::Tls(Some(alert)) => HttpError::TlsAlertReceived {
            alert_id: Some(alert),
            alert_message: None,
        },
        FailureKind::ResponseTimeout => HttpError::HttpResponseTimeout,
        FailureKind::ResponseTooLarge => {
            HttpError::HttpResponseBodySize(Some(sandbox::MAX_RESPONSE_BYTES as u64))
        }
        FailureKind::ResponseIncomplete => HttpError::HttpResponseIncomplete,
        FailureKind::ResponseEncoded => HttpError::HttpResponseContentCoding(None),
        FailureKind::Protocol => HttpError::HttpProtocolError,
    }
}
