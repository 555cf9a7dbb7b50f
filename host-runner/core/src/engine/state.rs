//! What belongs to one call: its view of the world and its limits.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderName, Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error as HttpError, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpCtx,
    WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use super::guest_log::GuestLog;
use super::ticker::Stopwatch;
use crate::sandbox::{self, FailureKind, Gate, MAX_REQUEST_BYTES, SendError};

/// The most elements that a component's table may have.
pub(super) const MAX_TABLE_ELEMENTS: usize = 20_000;

/// The most resources (requests, answers, streams, …) that a component may
/// have: the host keeps them in its own memory.
const MAX_RESOURCES: usize = 2048;
/// The most that the headers of one message may hold.
const MAX_FIELDS_BYTES: usize = 16 * 1024;
/// What the host takes at once of a request's body before it is sent.
const BODY_CHUNK_BYTES: usize = 16 * 1024;
/// Requests of a call that may be under way, or answered and not yet dropped;
/// others wait. Each can hold an answer of [`sandbox::MAX_RESPONSE_BYTES`] in
/// the host's memory.
const MAX_OPEN_REQUESTS: usize = 8;

/// The data of a call's store.
pub(super) struct State {
    pub(super) memory: MemoryBudget,
    pub(super) stopwatch: Stopwatch,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    door: Door,
}

/// What there is to tell of a call that failed, beyond its error.
#[derive(Default)]
pub(super) struct Report {
    pub(super) log: GuestLog,
    out_of_memory: AtomicBool,
    failure: Mutex<Option<String>>,
}

/// How much memory a call may take, over all its memories.
pub(super) struct MemoryBudget {
    left: usize,
    report: Arc<Report>,
}

/// Between the component's requests and the sandbox.
struct Door {
    gate: Arc<Gate>,
    report: Arc<Report>,
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
        stopwatch: Stopwatch,
        report: Arc<Report>,
    ) -> Self {
        // No directory, no arguments, nothing to read; stdout goes nowhere,
        // as the process's own belongs to the MCP transport.
        let wasi = WasiCtx::builder()
            .envs(environment)
            .stderr(report.log.clone())
            .build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(MAX_FIELDS_BYTES);
        Self {
            memory: MemoryBudget {
                left: memory_bytes,
                report: Arc::clone(&report),
            },
            stopwatch,
            wasi,
            http,
            table,
            door: Door {
                gate,
                report,
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

impl ResourceLimiter for MemoryBudget {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        match self.left.checked_sub(desired.saturating_sub(current)) {
            Some(left) => {
                self.left = left;
                Ok(true)
            }
            None => {
                self.report.out_of_memory.store(true, Ordering::Relaxed);
                Ok(false)
            }
        }
    }

    fn table_growing(
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
            hooks: &mut self.door,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

impl WasiHttpHooks for Door {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        sandbox::is_forbidden_header(name)
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        static FILTER: LazyLock<ForbiddenHeaderFilter> =
            LazyLock::new(|| Arc::new(sandbox::is_forbidden_header));
        Arc::clone(&FILTER)
    }

    /// The sandbox decides, which also tells the operator.
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
        Box::new(async move {
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
            // The whole answer is here: nothing goes on in the background.
            let transfer: Box<Transfer> = Box::new(std::future::ready(Ok(())));
            Ok((response, transfer))
        })
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
    let body = Limited::new(body, MAX_REQUEST_BYTES).collect().await;
    let body = body.map_err(|error| {
        if error.is::<LengthLimitError>() {
            SendError::new(
                FailureKind::RequestTooLarge,
                format!("the request is larger than {} KiB", MAX_REQUEST_BYTES >> 10),
            )
        } else {
            SendError::new(FailureKind::Protocol, "the request was not finished")
        }
    })?;
    let timeout = options.and_then(|options| options.first_byte_timeout);
    let request = Request::from_parts(parts, body.to_bytes());
    gate.send(request, timeout).await
}

/// What the component cannot be told by a code of wasi:http.
fn lost_detail(error: &SendError) -> Option<String> {
    match error.kind {
        FailureKind::Denied
        | FailureKind::Certificate
        | FailureKind::Tls(_)
        | FailureKind::Unroutable
        | FailureKind::Protocol => Some(error.detail.clone()),
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
