//! What leaves the process: requests to one origin, with the token added here,
//! and nothing else.
//!
//! The component asks; this module decides, by the request itself and not by
//! what the component says of it. It knows neither the engine nor MCP.
//!
//! # Layout
//!
//! - `shared`: what all calls share, by cluster, process and policy. `upstream`: the configured Proxmox VE, with
//!   its HTTPS `client`, which makes connections `in_time`, `tls`, `headers` and the
//!   token's `echo`; `route` chooses among a cluster's addresses.
//! - `gate`: one call and what its requests share. `exchange` is the way of a request:
//!   `admission` decides whether it may leave, `arrival` what of the answer comes in.
//!   `terms` is what the call may do, `ask` how its user is asked, `call_log` what
//!   became of its requests.
//! - `probe`: what an address presents before any token is sent, in stages, and why it is
//!   not accepted.
//! - `look`: what an operator asks.
//! - `nodes`, `guests`, `present`: what the host itself asks of Proxmox to decide.

mod admission;
mod arrival;
mod ask;
mod body;
mod call_log;
mod client;
mod echo;
mod exchange;
mod failure;
mod gate;
mod guests;
mod headers;
mod in_time;
mod limits;
mod look;
mod nodes;
mod present;
mod probe;
mod route;
mod shared;
mod terms;
mod tls;
mod tunnel;
mod upstream;

pub(crate) use self::ask::{ANSWER_TIME, Asker, Change, MAX_WAITING, Question};
pub(crate) use self::call_log::{Decision, Fate};
pub(crate) use self::failure::{FailureKind, SendError};
pub(crate) use self::gate::Gate;
pub(crate) use self::headers::{is_forbidden as is_forbidden_header, strip as strip_headers};
pub(crate) use self::limits::{MAX_CALL_BYTES, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES};
pub(crate) use self::probe::{Cause, Certificate, Fault, Handshake, Probe, Product, Stage, Target};
pub(crate) use self::shared::{Capacity, Cluster, Rules, Sandbox, SharedMeter};
pub(crate) use self::terms::{Consent, Declared, Terms};
pub(crate) use self::tls::{TrustError, WHERE_TO_COMPARE, only};
