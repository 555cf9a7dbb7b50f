//! The floor of a tool call: its requests, sent by hyper, with the bodies read
//! and thrown away.

use std::env;
use std::io::{self, BufRead as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

/// As in host-runner.
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// A line on stdin.
#[derive(Deserialize)]
struct Job {
    /// The requests of each call, as paths with queries. The calls take turns.
    calls: Vec<Vec<String>>,
    /// The number of calls to make.
    times: usize,
    /// The number of calls that are made at the same time.
    callers: usize,
}

/// Works on jobs until stdin ends. Answers each with a line: `nanos` of every
/// call, `elapsed_nanos` of all of them, and the `bytes` of all bodies.
///
/// With `threads` of 0, everything runs on the main thread, which is fastest
/// for one caller.
pub(crate) fn serve(threads: usize) -> Result<()> {
    let runtime = runtime(threads)?;
    let floor = Arc::new(Floor::new()?);
    let mut stdout = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let job: Job = serde_json::from_str(&line?).context("not a job")?;
        let started = Instant::now();
        let (nanos, bytes) = runtime.block_on(work(&floor, job))?;
        let elapsed = nanos_of(started.elapsed());
        let answer = json!({ "nanos": nanos, "elapsed_nanos": elapsed, "bytes": bytes });
        writeln!(stdout, "{answer}")?;
        stdout.flush()?;
    }
    Ok(())
}

/// A runtime with so many threads; 0 is the main thread alone.
pub(crate) fn runtime(threads: usize) -> Result<Runtime> {
    let runtime = match threads {
        0 => Builder::new_current_thread().enable_all().build(),
        _ => Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build(),
    };
    runtime.context("cannot start the runtime")
}

async fn work(floor: &Arc<Floor>, job: Job) -> Result<(Vec<u64>, usize)> {
    let (callers, job) = (job.callers, Arc::new(job));
    if callers == 1 {
        return caller(floor, &job, &AtomicUsize::new(0)).await;
    }
    let turn = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (floor, job, turn) = (Arc::clone(floor), Arc::clone(&job), Arc::clone(&turn));
            tokio::spawn(async move { caller(&floor, &job, &turn).await })
        })
        .collect();
    let (mut nanos, mut bytes) = (Vec::new(), 0);
    for task in tasks {
        let (some, read) = task.await??;
        nanos.extend(some);
        bytes += read;
    }
    Ok((nanos, bytes))
}

/// Makes calls one after the other, until all callers together have made them
/// all.
async fn caller(floor: &Floor, job: &Job, turn: &AtomicUsize) -> Result<(Vec<u64>, usize)> {
    let (mut nanos, mut bytes) = (Vec::new(), 0);
    loop {
        let turn = turn.fetch_add(1, Ordering::Relaxed);
        if turn >= job.times {
            return Ok((nanos, bytes));
        }
        let call = job.calls.get(turn % job.calls.len().max(1));
        let call = call.context("a job without calls")?;
        let started = Instant::now();
        for path in call {
            bytes += floor.get(path).await?;
        }
        nanos.push(nanos_of(started.elapsed()));
    }
}

/// A time in nanoseconds.
pub(crate) fn nanos_of(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// hyper's client, with the settings of the run.
struct Floor {
    origin: String,
    authorization: String,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

impl Floor {
    fn new() -> Result<Self> {
        let setting = |name| env::var(name).with_context(|| format!("{name} is not set"));
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(setting("PROXMOX_CA_FILE")?)? {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_only()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(Self {
            origin: setting("PROXMOX_URL")?.trim_end_matches('/').to_owned(),
            authorization: format!(
                "PVEAPIToken={}={}",
                setting("PROXMOX_TOKEN_ID")?,
                setting("PROXMOX_TOKEN_SECRET")?
            ),
            client: Client::builder(TokioExecutor::new())
                .http1_max_buf_size(READ_BUFFER_BYTES)
                .build(https),
        })
    }

    /// Sends a request and reads the body. Returns its length.
    async fn get(&self, path: &str) -> Result<usize> {
        let request = Request::get(format!("{}/api2/json{path}", self.origin))
            .header(header::AUTHORIZATION, &self.authorization)
            .body(Empty::new())?;
        let response = self.client.request(request).await?;
        let status = response.status();
        if !status.is_success() {
            bail!("{path} is answered with {status}");
        }
        let (mut bytes, mut body) = (0, response.into_body());
        while let Some(frame) = body.frame().await {
            bytes += frame?.data_ref().map_or(0, Bytes::len);
        }
        ensure!(bytes > 0, "{path} is answered without a body");
        Ok(bytes)
    }
}
