//! Sends spans to the operator's collector of traces, by OTLP over HTTP.
//!
//! Only to the address that the operator named, and never in the way of a call: spans wait
//! in a queue of a limited length, and those that do not fit are lost.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;

use crate::roots;
use crate::settings::TracesSettings;
use crate::trace;

/// How long one request may take, with its connection.
const TIME: Duration = Duration::from_secs(5);
/// The most that is read of an answer.
const MAX_BYTES: usize = 64 * 1024;
const SERVICE: &str = "proxmox-mcp";

/// Sends spans until it is ended.
pub(crate) struct Collector(SdkTracerProvider);

impl Collector {
    /// Spans are made and sent from now on. The message of an error is for the operator.
    pub(crate) async fn begin(settings: &TracesSettings) -> Result<Self, String> {
        let added = match &settings.ca {
            Some(file) => roots::read(file, "PROXMOX_MCP_TRACES_CA_FILE")?,
            None => Vec::new(),
        };
        let connector = roots::connector(added, TIME).await?;
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(Sender {
                runtime: Handle::current(),
                client,
            })
            .with_endpoint(settings.endpoint.as_str())
            .with_timeout(TIME)
            .build()
            .map_err(|error| error.to_string())?;
        // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES count if they are there.
        let mut resource = Resource::builder();
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name(SERVICE);
        }
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.with_attribute(version).build())
            .build();
        trace::begin(provider.tracer(SERVICE));
        Ok(Self(provider))
    }

    /// Sends what is left, within this time.
    pub(crate) async fn end(self, within: Duration) {
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(within));
        if let Ok(Err(error)) = ended.await {
            tracing::warn!("the last spans did not reach the collector of traces: {error}");
        }
    }
}

/// Sends requests in the runtime of the process: the library has a thread of its own.
struct Sender {
    runtime: Handle,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

// Says nothing of the headers, of which one may be a secret.
impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let exchange = self.runtime.spawn(async move {
            let exchange = async move {
                let (head, body) = client.request(request.map(Full::new)).await?.into_parts();
                let body = Limited::new(body, MAX_BYTES).collect().await?;
                Ok::<_, HttpError>(Response::from_parts(head, body.to_bytes()))
            };
            // Timers have to be made inside the runtime.
            tokio::time::timeout(TIME, exchange).await
        });
        let answer = match exchange.await? {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} s", TIME.as_secs()).into()),
        };
        match &answer {
            Err(error) => tracing::warn!("the collector of traces: {error}"),
            Ok(answer) if !answer.status().is_success() => {
                tracing::warn!("the collector of traces answers {}", answer.status());
            }
            Ok(_) => {}
        }
        answer
    }
}
