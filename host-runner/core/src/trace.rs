//! Spans: what a call and its requests took, for a collector of traces. Without a
//! collector, no span is made; only the trace that a client names is noted in the logs.
//!
//! A span has no arguments and no answers, and of a path only the template in the table of
//! calls.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracer;

/// The fields of W3C Trace Context, as headers and as members of `_meta`.
pub(crate) const TRACEPARENT: &str = "traceparent";
pub(crate) const TRACESTATE: &str = "tracestate";

/// What is kept of a name that somebody else gives.
const NAME_CHARS: usize = 128;
/// A longer state is not worth keeping: the specification asks for 512.
const MAX_STATE_BYTES: usize = 512;

static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// Makes spans from now on, if nothing does yet.
pub(crate) fn begin(tracer: SdkTracer) {
    let _ = TRACER.set(tracer);
}

/// The span of a client, which that of its call belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Parent(Context);

impl Parent {
    /// Reads the fields of Trace Context. None if they are not valid, as the specification
    /// demands.
    pub(crate) fn read(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let traceparent = traceparent.trim();
        // The library takes shorter numbers, too.
        let lengths = traceparent.split('-').map(str::len).take(4);
        if !lengths.eq([2, 32, 16, 2]) {
            return None;
        }
        let mut fields = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
        if let Some(state) = tracestate.filter(|state| state.len() <= MAX_STATE_BYTES) {
            fields.insert(TRACESTATE.to_owned(), state.to_owned());
        }
        let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &fields);
        context
            .span()
            .span_context()
            .is_valid()
            .then_some(Self(context))
    }

    /// Reads them where a request over HTTP has them.
    pub(crate) fn of_headers(headers: &HeaderMap) -> Option<Self> {
        let field = |name: &str| headers.get(name)?.to_str().ok();
        Self::read(field(TRACEPARENT)?, field(TRACESTATE))
    }

    /// The trace that it is in.
    #[cfg(test)]
    fn trace_id(&self) -> opentelemetry::trace::TraceId {
        self.0.span().span_context().trace_id()
    }
}

/// A call, as its span describes it.
pub(crate) struct Call<'a> {
    /// The method of MCP.
    pub(crate) method: &'static str,
    pub(crate) tool: &'a str,
    /// Where there are several.
    pub(crate) cluster: Option<&'a str>,
    /// Who sent it over HTTP.
    pub(crate) user: Option<&'a str>,
    /// What the client says that it is.
    pub(crate) client: Option<&'a str>,
    /// Whether it came over HTTP.
    pub(crate) is_remote: bool,
}

/// A request to Proxmox VE, as its span describes it.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    /// Its path with the names of what varies, such as `/nodes/{node}/qemu`. None: it could
    /// not be read.
    pub(crate) template: Option<&'a str>,
    /// The answer's status, where there was an answer.
    pub(crate) status: Option<u16>,
    /// The rule that decided about it.
    pub(crate) rule: &'a str,
    /// Whether it was sent.
    pub(crate) was_sent: bool,
    pub(crate) duration: Duration,
}

/// The span of a call, or the trace that it belongs to if nothing collects spans.
#[derive(Debug)]
pub(crate) struct CallSpan(Context);

impl CallSpan {
    /// A call that begins now. None if nothing collects spans, and the client names no trace.
    pub(crate) fn begin(call: &Call<'_>, parent: Option<&Parent>) -> Option<Self> {
        let parent = parent.map(|parent| &parent.0);
        let Some(tracer) = TRACER.get() else {
            return parent.cloned().map(Self);
        };
        let none = Context::new();
        let parent = parent.unwrap_or(&none);
        let mut attributes = vec![
            KeyValue::new("mcp.method.name", call.method),
            KeyValue::new("gen_ai.tool.name", name(call.tool)),
            KeyValue::new("gen_ai.operation.name", "execute_tool"),
            KeyValue::new(
                "network.transport",
                if call.is_remote { "tcp" } else { "pipe" },
            ),
        ];
        let optional = [
            ("proxmox.cluster", call.cluster),
            ("enduser.id", call.user),
            ("mcp.client.name", call.client),
        ];
        let optional = optional.into_iter();
        attributes.extend(
            optional
                .filter_map(|(key, value)| Some((key, value?)))
                .map(|(key, value)| KeyValue::new(key, name(value))),
        );
        let builder = SpanBuilder::from_name(format!("{} {}", call.method, name(call.tool)))
            .with_kind(SpanKind::Server)
            .with_attributes(attributes);
        let span = tracer.build_with_context(builder, parent);
        Some(Self(parent.with_span(span)))
    }

    /// The trace, for the logs.
    pub(crate) fn trace_id(&self) -> String {
        self.0.span().span_context().trace_id().to_string()
    }

    /// The call has ended like that.
    pub(crate) fn end(&self, outcome: &'static str, error: Option<&str>, upid: Option<&str>) {
        let span = self.0.span();
        span.set_attribute(KeyValue::new("proxmox.outcome", outcome));
        if let Some(upid) = upid {
            span.set_attribute(KeyValue::new("proxmox.upid", name(upid)));
        }
        if let Some(kind) = error {
            span.set_attribute(KeyValue::new("error.type", name(kind)));
            span.set_status(Status::error(""));
        }
        span.end();
    }

    /// A request of the call has ended now. It is described only if something collects spans.
    pub(crate) fn request<'a>(&self, request: impl FnOnce() -> Request<'a>) {
        let Some(tracer) = TRACER.get() else {
            return;
        };
        let request = request();
        let template = request.template.unwrap_or("unknown");
        let mut attributes = vec![
            KeyValue::new("http.request.method", request.method.to_owned()),
            KeyValue::new("url.template", template.to_owned()),
            KeyValue::new("proxmox.rule", request.rule.to_owned()),
        ];
        let error = match (request.was_sent, request.status) {
            (false, _) => Some("refused".to_owned()),
            (true, None) => Some("unanswered".to_owned()),
            (true, Some(status)) => (status >= 400).then(|| status.to_string()),
        };
        if let Some(status) = request.status {
            attributes.push(KeyValue::new(
                "http.response.status_code",
                i64::from(status),
            ));
        }
        let is_error = error.is_some();
        attributes.extend(error.map(|error| KeyValue::new("error.type", error)));
        let now = SystemTime::now();
        let builder = SpanBuilder::from_name(format!("{} {template}", request.method))
            .with_kind(SpanKind::Client)
            .with_start_time(now.checked_sub(request.duration).unwrap_or(now))
            .with_attributes(attributes);
        let mut span = tracer.build_with_context(builder, &self.0);
        if is_error {
            span.set_status(Status::error(""));
        }
        span.end_with_timestamp(now);
    }

    /// The call begins to wait for a task. None if nothing collects spans.
    pub(crate) fn waits(&self) -> Option<WaitSpan> {
        let builder = SpanBuilder::from_name("wait for task").with_kind(SpanKind::Internal);
        let span = TRACER.get()?.build_with_context(builder, &self.0);
        Some(WaitSpan(span))
    }
}

/// A call that waits for a task, until it is dropped.
pub(crate) struct WaitSpan(opentelemetry_sdk::trace::Span);

impl WaitSpan {
    /// The task that it waits for.
    pub(crate) fn is_for(&mut self, upid: &str) {
        self.0
            .set_attribute(KeyValue::new("proxmox.upid", name(upid)));
    }
}

fn name(text: &str) -> String {
    text.chars().take(NAME_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_read_as_trace_context_says() {
        let right = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let parent = Parent::read(right, Some("vendor=1")).unwrap();
        assert_eq!(
            parent.trace_id().to_string(),
            "0af7651916cd43dd8448eb211c80319c"
        );
        // A later version may have more fields.
        let later = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more";
        assert!(Parent::read(later, None).is_some());
        // What is wrong with the state is no reason to lose the trace.
        assert!(Parent::read(right, Some(&"x".repeat(4096))).is_some());
        for wrong in [
            "",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "password=hush",
        ] {
            assert!(Parent::read(wrong, None).is_none(), "{wrong}");
        }
    }

    #[test]
    fn without_a_collector_only_the_trace_is_known() {
        let call = Call {
            method: "tools/call",
            tool: "get_guest",
            cluster: None,
            user: None,
            client: None,
            is_remote: false,
        };
        assert!(CallSpan::begin(&call, None).is_none());
        let parent = Parent::read(
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            None,
        );
        let span = CallSpan::begin(&call, parent.as_ref()).unwrap();
        assert_eq!(span.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert!(span.waits().is_none());
    }
}
