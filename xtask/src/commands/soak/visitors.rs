//! The storm over HTTP: many clients of several users, some of whom misbehave.

use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use fastrand::Rng;
use serde_json::{Value, json};

use super::load::Call;
use super::mischief::Mischief;
use super::{Done, Plan, Run};
use crate::simulator::Simulator;
use crate::web::{Era, Visitor, Web};
use crate::workspace::Workspace;

/// The clients share these, so that the limits of each user are the usual ones.
const USERS: u64 = 16;
/// Of ten clients, so many misbehave.
const MISBEHAVE: u64 = 3;
/// After a call, whose result somebody would read.
const PAUSE: Duration = Duration::from_millis(20);
/// After an error, most of which say that too many calls are waiting.
const LONG_PAUSE: Duration = Duration::from_millis(500);

/// A server, and the tokens of its users.
pub(super) struct Door {
    web: Web,
    tokens: Vec<String>,
}

impl Door {
    /// Starts the server, and calls a tool in both eras.
    pub(super) fn open(
        workspace: &Workspace,
        simulator: &Simulator,
        plan: &Plan,
        log: &Path,
    ) -> Result<Self> {
        let token = |user| format!("token-of-user-{user:02}-0123456789abcdef0123456789");
        let tokens: Vec<String> = (0..USERS).map(token).collect();
        let named = tokens.iter().enumerate();
        let named = named.map(|(user, token)| format!("user{user:02}:{token}"));
        let mut command = simulator.host_runner(workspace);
        command
            .args(["--preset=admin", "--toolsets=all"])
            .env(
                "PROXMOX_MCP_HTTP_TOKENS",
                named.collect::<Vec<_>>().join(","),
            )
            .env("PROXMOX_MCP_HTTP_REQUESTS", "1000000")
            // A quarter of them for strangers: all clients come at the same time.
            .env(
                "PROXMOX_MCP_HTTP_CONNECTIONS",
                (plan.clients * 4 + 256).to_string(),
            );
        let web = Web::start(&mut command, log)?;
        let door = Self { web, tokens };
        for number in 0..2 {
            let visitor = door.visitor(number, simulator.secret())?;
            let answer = visitor.call("list_guests", &json!({}))?;
            answer
                .content()
                .context("list_guests failed before anything went wrong")?;
        }
        Ok(door)
    }

    /// The server's process id.
    pub(super) fn id(&self) -> u32 {
        self.web.id()
    }

    /// The client with this number: in turn of each era, and of each user.
    fn visitor(&self, number: u64, secret: &str) -> Result<Visitor> {
        let era = match number % 2 {
            0 => Era::Stateless,
            _ => Era::Legacy,
        };
        let user = usize::try_from(number / 2 % USERS)?;
        let token = self.tokens.get(user).context("no such user")?;
        Ok(Visitor::greet(self.web.address(), era, Some(token))?.without_secret(secret))
    }

    /// One client: calls one tool after the other, or misbehaves.
    pub(super) fn client(
        &self,
        run: &Run,
        number: u64,
        mut random: Rng,
        secret: &str,
    ) -> Result<Done> {
        let visitor = self.visitor(number, secret)?;
        let mut done = Done::default();
        // Streams are of the newer era here, so that only its clients misbehave.
        let misbehaves = number.is_multiple_of(2) && number / 2 % 10 < 2 * MISBEHAVE;
        while !run.ended.load(Ordering::Relaxed) {
            if misbehaves {
                let mischief = Mischief::any(&mut random);
                mischief
                    .run(&visitor, &mut random)
                    .with_context(|| format!("{}, client {number}", mischief.name()))?;
                *done.mischief.entry(mischief.name()).or_default() += 1;
                continue;
            }
            let call = |tool: &str, arguments: &Value| visitor.call(tool, arguments);
            let is_result = run.call(&mut random, &mut done.answers, call)?;
            thread::sleep(if is_result { PAUSE } else { LONG_PAUSE });
        }
        Ok(done)
    }

    /// Ends the server in the middle of these calls, and returns how long that took.
    pub(super) fn close(self, calls: impl Iterator<Item = Call>, secret: &str) -> Result<Duration> {
        let visitors: Result<Vec<Visitor>> = (0..2 * USERS)
            .map(|number| self.visitor(number, secret))
            .collect();
        let visitors = visitors?;
        let mut kept: Vec<TcpStream> = Vec::new();
        for (visitor, call) in visitors.iter().cycle().zip(calls) {
            kept.push(visitor.call_and_keep(call.tool, &call.arguments)?);
        }
        // Some are under way then, others wait for their turn.
        thread::sleep(Duration::from_millis(100));
        let end = self.web.end()?;
        drop(kept);
        Ok(end)
    }

    /// The tokens of all users.
    pub(super) fn tokens(&self) -> &[String] {
        &self.tokens
    }
}
