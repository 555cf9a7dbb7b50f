//! `host-runner forward`: a proxy to Proxmox VE for components that run in another
//! host.
//!
//! It listens on a loopback address, speaks plain HTTP, and sends what the
//! policy allows to the configured Proxmox VE, with the token added here. It
//! sees requests and not calls of tools: each request has a [`Gate`] of its
//! own, and [`rate`] bounds how many there are.
//!
//! # Layout
//!
//! - [`key`]: the key that a client must present.
//! - [`server`]: connections, and their limits.
//! - [`exchange`]: one request and its answer.
//! - [`rate`]: how many requests there may be.
//!
//! [`Gate`]: crate::sandbox::Gate

mod exchange;
mod key;
mod rate;
mod server;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::Level;

use self::exchange::Forwarder;
use self::key::Key;
use self::rate::Rate;
use super::{CommandError, Context};
use crate::cli::{ForwardArgs, Operator};
use crate::engine::Embedded;
use crate::log;
use crate::policy::chooses_tools;
use crate::process;
use crate::render;
use crate::sandbox::Terms;

/// Forwards until a signal comes.
pub(crate) async fn run(
    operator: Result<Operator<'_>, CommandError>,
    embedded: Embedded,
    args: &ForwardArgs,
) -> Result<(), CommandError> {
    let operator = operator.map_err(of_another_host)?;
    let operator = operator.of_one_cluster()?;
    let address = loopback(&args.listen)?;
    let layers = operator.policy_layers(None)?;
    if layers.binds_tools() {
        return Err(CommandError::Usage(
            "a locked policy or the system policy restricts the tools (toolsets, tools, \
             exclude_tools). forward sees requests, not tools, and cannot enforce that: restrict \
             the preset, actions, scope or rules there instead"
                .to_owned(),
        ));
    }
    let context = Context::new(&operator, embedded)
        .await
        .map_err(of_another_host)?;
    // A policy that does not fit the component is refused here as elsewhere.
    let offer = context.catalog.offer().await?;
    // The request of a dangerous action does not show what it does. An operator
    // who allows such a tool allows its requests here, too.
    let dangerous = offer.allows_danger();
    let plugin = context.catalog.plugin().await?;
    context.catalog.prepare().await;
    let key_file = match &args.key_file {
        Some(path) => path.clone(),
        None => key::default_file().map_err(CommandError::Usage)?,
    };
    let key = Key::read_or_make(&key_file).map_err(CommandError::Usage)?;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| cannot_listen(address, &error))?;
    let address = listener.local_addr()?;

    if chooses_tools(layers.effective()) {
        tracing::warn!(
            "forward sees requests, not tools: toolsets, tools and exclude_tools have no effect \
             on what it sends; scope, actions and rules apply"
        );
    }
    let limits = operator.options.limits();
    let forwarder = Arc::new(Forwarder {
        plugin,
        terms: Terms {
            dangerous,
            ..Terms::default()
        },
        key,
        rate: Mutex::new(Rate::new(operator.options.call_requests, limits.wall)),
    });
    let closing = CancellationToken::new();
    process::end_in_time(closing.clone(), process::LAST_MOMENT)?;
    announce(address, &context, &key_file)?;
    server::serve(listener, forwarder, limits.concurrency, closing).await;
    Ok(())
}

/// A shell in which the other host's settings are set gives this one's, too:
/// both have the same names.
fn of_another_host(error: CommandError) -> CommandError {
    match error {
        CommandError::Settings(error) if error.is_of_environment() => CommandError::Usage(format!(
            "{error}; or unset them: these may be the other host's settings"
        )),
        error => error,
    }
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> CommandError {
    let perhaps = match error.kind() {
        io::ErrorKind::AddrInUse => "perhaps forward already runs: stop it, or ",
        _ => "",
    };
    CommandError::Usage(format!(
        "cannot listen on {address} ({error}): {perhaps}give another address with --listen"
    ))
}

fn loopback(text: &str) -> Result<SocketAddr, CommandError> {
    let address: Option<SocketAddr> = text.parse().ok();
    address
        .filter(|address| address.ip().is_loopback())
        .ok_or_else(|| {
            CommandError::Usage(format!(
                "--listen {text:?} is not a loopback address with a port: forward speaks plain \
                 http, so it listens on this machine only, for example 127.0.0.1:8007"
            ))
        })
}

/// Says on stderr what to configure. Never the key itself.
fn announce(address: SocketAddr, context: &Context, key_file: &Path) -> Result<(), CommandError> {
    let settings = &context.settings;
    let text = format!(
        "forwarding http://{address} to {origin}\n\
         settings for the component in the other host:\n  \
         PROXMOX_URL=http://{address}\n  \
         PROXMOX_TOKEN_ID={user}!{token}\n  \
         PROXMOX_TOKEN_SECRET=(the content of {key_file})",
        origin = settings.origin,
        user = settings.user,
        token = settings.token_name,
        // The reader may be in another folder.
        key_file = key_file
            .canonicalize()
            .as_deref()
            .unwrap_or(key_file)
            .display(),
    );
    match log::say(Level::INFO, &render::for_terminal(&text), &text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_listened_on() {
        for good in ["127.0.0.1:8007", "127.1.2.3:0", "[::1]:8007"] {
            assert!(loopback(good).is_ok(), "{good}");
        }
        for bad in [
            "0.0.0.0:8007",
            "192.0.2.7:8007",
            "[::]:8007",
            "[::ffff:127.0.0.1]:8007",
            "localhost",
            "8007",
            "",
        ] {
            assert!(loopback(bad).is_err(), "{bad}");
        }
    }
}
