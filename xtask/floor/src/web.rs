//! The floor of a call over HTTP: a server that has nothing to do, and the client that
//! measures it and host-runner alike.

use std::convert::Infallible;
use std::io::{self, BufRead as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;

use crate::http::{nanos_of, runtime};

/// A line on stdin.
#[derive(Deserialize)]
struct Job {
    url: String,
    /// Names and values, of every request.
    headers: Vec<(String, String)>,
    /// The bodies, which the requests take turns through.
    bodies: Vec<String>,
    times: usize,
    callers: usize,
    /// What every response must contain.
    expects: String,
}

/// Answers each request with as many bytes as its path says, until stdin ends. Writes the
/// address to stdout.
pub(crate) fn echo(threads: usize) -> Result<()> {
    let runtime = runtime(threads)?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    writeln!(io::stdout(), "{}", listener.local_addr()?)?;
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(0);
    });
    runtime.block_on(async {
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(async move {
                let connection = http1::Builder::new();
                let service = service_fn(answer);
                // A client that hangs up is no fault.
                let _ = connection
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    })
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let bytes = request.uri().path().trim_start_matches('/').parse();
    let body = request.into_body().collect().await;
    drop(body);
    let answer = vec![b'x'; bytes.unwrap_or_default()];
    Ok(Response::new(Full::new(answer.into())))
}

/// Works on jobs until stdin ends. Answers each with a line: `nanos` of every request, and
/// `elapsed_nanos` of all of them.
pub(crate) fn post(threads: usize) -> Result<()> {
    let runtime = runtime(threads)?;
    let mut stdout = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let job: Job = serde_json::from_str(&line?).context("not a job")?;
        let started = Instant::now();
        let nanos = runtime.block_on(work(Arc::new(job)))?;
        let elapsed = nanos_of(started.elapsed());
        let answer = json!({ "nanos": nanos, "elapsed_nanos": elapsed });
        writeln!(stdout, "{answer}")?;
        stdout.flush()?;
    }
    Ok(())
}

async fn work(job: Arc<Job>) -> Result<Vec<u64>> {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(tcp);
    let turn = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..job.callers)
        .map(|_| {
            let (client, job, turn) = (client.clone(), Arc::clone(&job), Arc::clone(&turn));
            tokio::spawn(async move { caller(&client, &job, &turn).await })
        })
        .collect();
    let mut nanos = Vec::new();
    for task in tasks {
        nanos.extend(task.await??);
    }
    Ok(nanos)
}

/// Sends requests one after the other, until all callers together have sent them all.
async fn caller(
    client: &Client<HttpConnector, Full<Bytes>>,
    job: &Job,
    turn: &AtomicUsize,
) -> Result<Vec<u64>> {
    let mut nanos = Vec::new();
    loop {
        let turn = turn.fetch_add(1, Ordering::Relaxed);
        if turn >= job.times {
            return Ok(nanos);
        }
        let body = job.bodies.get(turn % job.bodies.len().max(1));
        let body = body.context("a job without bodies")?.clone();
        let mut request = Request::post(&job.url);
        for (name, value) in &job.headers {
            request = request.header(name, value);
        }
        let started = Instant::now();
        let response = client
            .request(request.body(Full::new(body.into()))?)
            .await?;
        let status = response.status();
        let (mut whole, mut body) = (BytesMut::new(), response.into_body());
        while let Some(frame) = body.frame().await {
            if let Some(data) = frame?.data_ref() {
                whole.extend_from_slice(data);
            }
        }
        nanos.push(nanos_of(started.elapsed()));
        let text = String::from_utf8_lossy(&whole);
        ensure!(
            status.is_success() && text.contains(&job.expects),
            "a request is answered with {status} and {text:.300}"
        );
    }
}
