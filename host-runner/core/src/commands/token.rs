//! What Proxmox VE says of a token: whether it accepts it, and what the token may do.

use std::sync::Arc;

use host_runner_policy::fit::Held;
use host_runner_policy::{PolicyFile, Preset, lookup};
use serde_json::Value;

use super::rights::Rights;
use super::{CommandError, Process};
use crate::cli::Operator;
use crate::engine::{Embedded, Loader, Program};
use crate::offer::Offer;
use crate::policy::Choice;
use crate::sandbox::{Cluster, Sandbox, SharedMeter};
use crate::settings::Settings;

/// The major versions that are supported.
const SUPPORTED: [u64; 2] = [8, 9];

/// Asks about a token, under a policy.
pub(super) struct Inquiry {
    program: Arc<Program>,
    memory_bytes: usize,
    sandbox: Arc<Sandbox>,
    choice: Choice,
    preset: Preset,
    user: String,
    token: String,
}

/// The version of Proxmox VE.
#[derive(Debug, Clone)]
pub(super) struct Version(String);

/// Why a token cannot be used.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The cause.
    pub what: String,
    /// What to do, a step in each entry.
    pub next: Vec<String>,
}

impl Version {
    /// The first number, if there is one.
    pub(super) fn major(&self) -> Option<u64> {
        self.0.split('.').next()?.parse().ok()
    }

    /// Whether it is among those that are supported.
    pub(super) fn is_supported(&self) -> bool {
        self.major().is_some_and(|major| SUPPORTED.contains(&major))
    }

    /// Such as `9.0.3`.
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl Inquiry {
    /// Sends nothing yet.
    pub(super) fn new(
        operator: &Operator<'_>,
        embedded: Embedded,
        settings: &Settings,
        file: &PolicyFile,
    ) -> Result<Self, CommandError> {
        let rules = operator.rules(file)?;
        let choice = Choice::new(file, &rules);
        let process = Process::new(operator, embedded);
        let cluster = Cluster::new(settings)?;
        let meter = SharedMeter::default();
        let sandbox = Sandbox::new(&cluster, &process.capacity, rules, None, meter);
        Ok(Self {
            program: process.program,
            memory_bytes: operator.options.limits().memory_bytes,
            sandbox: Arc::new(sandbox),
            choice,
            preset: file.preset.unwrap_or_default(),
            user: settings.user.clone(),
            token: format!("{}!{}", settings.user, settings.token_name),
        })
    }

    /// The token with its owner: `user@realm!name`.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// What the policy allows.
    pub(super) fn preset(&self) -> Preset {
        self.preset
    }

    /// The user that owns the token.
    pub(super) fn user(&self) -> &str {
        &self.user
    }

    /// The version, by a request with the token, which is thereby known to be accepted.
    pub(super) async fn version(&self) -> Result<Version, Refusal> {
        let (user, token) = (&self.user, &self.token);
        let refusal = |what| {
            let next = Vec::new();
            Err(Refusal { what, next })
        };
        let answer = match self.sandbox.look("/version").await {
            Ok(answer) => answer,
            Err(what) => return refusal(what),
        };
        match answer.status().as_u16() {
            200 => {}
            401 => {
                return Err(Refusal {
                    what: format!(
                        "Proxmox VE does not accept the token {token} (401): its secret is wrong, it \
                         does not exist or has expired, or its user is disabled or has expired \
                         (Proxmox VE answers all of these alike)"
                    ),
                    next: vec![
                        format!("pveum user token list '{user}'   # does it exist, until when?"),
                        format!("pveum user list   # is {user} enabled, until when?"),
                        "if both are right, the secret is wrong: make a new token".to_owned(),
                    ],
                });
            }
            status => {
                return Err(Refusal {
                    what: format!("Proxmox VE answers GET /version with status {status}"),
                    next: vec!["on the node: systemctl status pveproxy pvedaemon".to_owned()],
                });
            }
        }
        let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        let version = body.pointer("/data/version").and_then(Value::as_str);
        Ok(Version(version.unwrap_or_default().to_owned()))
    }

    /// What the token may do, as far as the tools on offer need it. None: it has no privilege
    /// at all.
    pub(super) async fn rights(&self, version: &Version) -> Result<Option<Rights>, CommandError> {
        let answer = self.sandbox.look(lookup::PERMISSIONS).await;
        let answer = answer.map_err(CommandError::Unhealthy)?;
        let Some(held) = Held::read(answer.body()) else {
            return Ok(None);
        };
        let sealed = Sandbox::sealed(self.memory_bytes);
        let loader = Loader::new(&self.program, sealed, Vec::new());
        let offer = Offer::new(loader.list_tools().await??, &self.choice)?;
        Ok(Some(Rights::new(
            offer.tools(),
            held,
            &self.token,
            self.sandbox.pools(),
            version.major(),
        )))
    }

    /// The names of the policy that the cluster does not have, each as a sentence.
    pub(super) async fn missing_of_scope(&self) -> &[String] {
        self.sandbox.missing_of_scope().await
    }
}
