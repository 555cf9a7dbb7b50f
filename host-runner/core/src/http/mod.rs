//! `serve --http`: MCP over HTTP, for clients that this program does not start itself.
//!
//! It decides who may send requests, and how many; what a request asks for is for `mcp`.
//!
//! # Layout
//!
//! - [`listen`]: connections, and their limits.
//! - [`places`]: how many connections there may be.
//! - [`unread`]: connections whose clients do not read.
//! - [`tls`]: the certificate, read again when it changes.
//! - [`exchange`]: one request, from its head to its response.
//! - [`visitor`]: `Host`, `Origin` and what browsers ask before a request.
//! - [`auth`]: who the client is.
//! - [`body`]: reads the body of a request.
//! - [`limits`]: how many requests each client may send.
//! - [`metrics`]: what is counted, for Prometheus.
//! - [`profile`]: what a client is served, by the policy that counts for it.
//! - [`plain`]: the tools for programs that do not speak MCP.
//! - [`answer`]: responses of this module, as JSON.
//! - [`held`]: bodies that hold something until they are sent.
//! - [`fresh`]: what is read from files that may change.

mod answer;
mod auth;
mod body;
mod exchange;
mod fresh;
mod held;
mod limits;
mod listen;
mod metrics;
mod places;
mod plain;
mod profile;
mod tls;
mod unread;
mod visitor;

pub(crate) use self::auth::Access;
pub(crate) use self::exchange::{Http, Serving};
pub(crate) use self::listen::{Listening, serve};
pub(crate) use self::metrics::Metrics;
pub(crate) use self::profile::{Profile, Profiles};
pub(crate) use self::tls::Tls;
