//! `host-runner serve --http`.
//!
//! Unlike over stdio, what the operator got wrong ends the program at once: whoever has
//! started it reads its log, and no client waits for a greeting.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::Level;

use super::profiles::{Set, Shared, read_again};
use super::ready::{WAIT, approved, ready};
use crate::cli::Operator;
use crate::collector::Collector;
use crate::commands::{CommandError, Parts, Process};
use crate::digest::Digest;
use crate::engine::Embedded;
use crate::http::{Access, Http, Listening, Metrics, Serving, Tls, serve};
use crate::log;
use crate::mcp::{Common, ServerOptions};
use crate::observe;
use crate::offer::Fleet;
use crate::process;
use crate::settings::HttpSettings;

/// How long calls have to end once the server ends. Container platforms kill a process
/// after ten seconds.
const GRACE: Duration = Duration::from_secs(8);
/// How long all of that may take.
const LAST_MOMENT: Duration = Duration::from_millis(9500);
/// How long sending the last spans may take.
const LAST_SPANS: Duration = Duration::from_secs(2);
/// As many users as this may watch as many resources as each of them may.
const USERS: usize = 8;

/// Serves until a signal comes.
pub(super) async fn run(
    operators: &[Operator<'_>],
    settings: HttpSettings,
    checksum: Option<Digest>,
    embedded: Embedded,
) -> Result<(), CommandError> {
    let [operator, ..] = operators else {
        return Ok(());
    };
    let access = Access::new(settings.tokens.as_ref(), settings.oauth.as_ref());
    let access = access.map_err(CommandError::Usage)?;
    let tls = settings.tls.as_ref().map(Tls::new).transpose();
    let tls = tls.map_err(CommandError::Usage)?;
    let process = Process::new(operator, embedded);
    let mut parts = Vec::new();
    // The simulated clusters serve until the end.
    let mut demos = Vec::new();
    for operator in operators {
        let (proxmox, demo) = crate::commands::settings(operator).await?;
        parts.push(Parts::new(&process, &proxmox, &operator.policy()?)?);
        demos.extend(demo);
    }
    let common = Common::new();
    let streams = CancellationToken::new();
    let shared = Shared {
        parts: Arc::new(parts),
        options: ServerOptions {
            wait: operator.options.wait().unwrap_or(WAIT),
            poll: operator.poll(),
            detail: operator.detail(),
            result_tokens: operator.result_tokens(),
            grace: GRACE,
            users: USERS,
        },
        common: common.clone(),
        streams: streams.clone(),
        fit: operator.fit_token(),
        max_requests: operator.options.call_requests,
    };
    let set = Set::read(operators, &shared).await?;
    let catalog = set.unnamed()?;
    if let Some(expected) = checksum {
        approved(&catalog, operator.detail(), expected, None).await?;
        set.check_covered().await?;
    }
    let listener = TcpListener::bind(settings.address).await;
    let listener = listener.map_err(|error| cannot_listen(settings.address, &error))?;
    let address = listener.local_addr()?;
    let metrics = Metrics::new();
    observe::begin(metrics.clone());
    catalog.ask_for_privileges();
    let closing = common.closing();
    let mut reloads = process::end_in_time_or_reload(closing.clone(), LAST_MOMENT)?;
    warn(&settings, &access);
    let serving = Serving {
        access,
        profiles: Arc::clone(&set) as _,
        metrics,
        closing: closing.clone(),
    };
    let http = Arc::new(Http::new(&settings, address, serving));
    announce(address, tls.is_some())?;
    let listening = Listening {
        listener,
        tls,
        most: settings.connections,
        closing,
        common,
        streams,
    };
    let collector = match operator.traces()? {
        Some(traces) => Some(
            Collector::begin(&traces)
                .await
                .map_err(CommandError::Usage)?,
        ),
        None => None,
    };
    let ended = tokio::select! {
        () = serve(listening, Arc::clone(&http)) => Ok(()),
        error = async {
            match ready(&catalog).await {
                Err(error) => error,
                Ok(()) => {
                    http.ready();
                    std::future::pending().await
                }
            }
        } => Err(error.into()),
        () = async {
            let mut set = set;
            loop {
                reloads.recv().await;
                let approve = async |set: &Set, catalog: &Fleet| {
                    if let Some(expected) = checksum {
                        approved(catalog, operator.detail(), expected, None).await?;
                        set.check_covered().await?;
                    }
                    Ok(())
                };
                if let Some(new) = read_again(&set, operators, approve).await {
                    http.replace(Arc::clone(&new) as _);
                    set.retire();
                    set = new;
                }
            }
        } => Ok(()),
    };
    if let Some(collector) = collector {
        collector.end(LAST_SPANS).await;
    }
    ended
}

/// Says what the operator may not have meant.
fn warn(settings: &HttpSettings, access: &Access) {
    if access.is_open() {
        tracing::warn!(
            "no authentication is configured: every user and every program of this machine may \
             call tools (--http-tokens-file)"
        );
    }
    let is_local = settings.address.ip().to_canonical().is_loopback();
    if settings.tls.is_none() && !is_local {
        tracing::warn!(
            "serving plain HTTP: anyone on the network path can read the tokens of clients, unless \
             a proxy on this machine adds TLS (--tls-cert, --tls-key)"
        );
    }
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> CommandError {
    CommandError::Usage(format!(
        "cannot listen on {address} ({error}): give another address with --http \
         (PROXMOX_MCP_HTTP)"
    ))
}

/// Says on stderr where clients connect to.
fn announce(address: SocketAddr, is_tls: bool) -> Result<(), CommandError> {
    let scheme = if is_tls { "https" } else { "http" };
    let text = format!("serving MCP at {scheme}://{address}/mcp");
    match log::say(Level::INFO, &text, &text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
