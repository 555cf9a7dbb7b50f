//! `pve-sim`: serves a simulated Proxmox VE cluster.

#![forbid(unsafe_code)]

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use pve_sim::{Options, Running, Tls, World};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

const CONTROL: &str = r#"When it is ready, it prints one line of JSON: url, ca_file, fingerprint, tokens (id, secret, rights).

Control: JSON lines on stdin, each answered by a line with "ok":
  {"cmd":"fault","kind":"cut","method":"POST","path":"/clone$","times":1,"skip":0}
  {"cmd":"fault","task":"qmclone","error":"no space left on device"}   or "warnings":2
  {"cmd":"clear-faults"}
  {"cmd":"advance","seconds":10}   moves the simulated time on: tasks end, pvestatd reports, HA acts
  {"cmd":"pvestatd","node":"pve1","runs":false}   hangs it: old values stay for 5 minutes, then all is unknown
  {"cmd":"node","node":"pve2","online":true}   "silent":true has it come without a report
  {"cmd":"guest","vmid":100,"config":{"lock":"backup","tags":null},"running":true,"agent":false,"node":"pve2","load":0.01,"memory_use":0.05}
  {"cmd":"get","vmid":100}   {"cmd":"remove-guest","vmid":100}
  {"cmd":"token","id":"ops@pve!t","secret":"s","rights":"/vms/100=VM.Audit+VM.PowerMgmt"}
      its user may the same unless "user_rights" says otherwise; "privsep":false makes a full token
  {"cmd":"pveum","line":"pveum acl modify /vms/100 --users ops@pve --roles PVEVMUser"}   also role add, role modify
  {"cmd":"permissions","id":"ops@pve!t"}   what a user or token may, by path
  {"cmd":"quorate","value":false}   {"cmd":"task-seconds","value":5}
  {"cmd":"outage","ms":1500}   closes the port and resets all connections for so long (0 ends it; no ms: until then)
  {"cmd":"outage","ms":1500,"every_ms":4000}   does so in every period   "answer":595 (502, 503) answers that instead
  {"cmd":"requests"}   {"cmd":"ping"}   {"cmd":"quit"}

Faults: kind=latency,ms=300 | cut | cut-after | half-body | garbage | hang | status,code=502,body=… |
  redirect,url=… | huge,bytes=N | drip,ms=N | outage,ms=N[,answer=595][,after=true]: begins an outage with a request
  (after: which is handled) | advance,seconds=N: moves the simulated time on before this request; each with method=, path= (a regular expression), times= (1), skip= (0).
  task=TYPE with error= or warnings= makes a task of that type end so."#;

/// A simulated Proxmox VE cluster, as strict as the real one.
#[derive(Parser)]
#[command(version, after_help = CONTROL)]
struct Cli {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// HTTPS, with a certificate signed by its own authority.
    #[arg(long)]
    tls: bool,
    /// HTTPS, with a certificate that only itself has signed.
    #[arg(long, conflicts_with = "tls")]
    self_signed: bool,
    /// Where to write the certificate to trust, in PEM.
    #[arg(long, value_name = "FILE")]
    ca_out: Option<PathBuf>,
    /// A path before /api2/json, as behind a reverse proxy.
    #[arg(long, default_value = "", value_name = "PATH")]
    prefix: String,
    /// The demonstration cluster instead of the one for tests.
    #[arg(long)]
    demo: bool,
    /// Node names: `:offline` after those that are down, `:hung` where pvestatd has just stopped,
    /// `:silent` where it has never reported.
    #[arg(long, value_delimiter = ',', value_name = "NAME[:STATE]")]
    nodes: Vec<String>,
    /// How many guests to add.
    #[arg(long, default_value_t = 0, value_name = "N")]
    guests: usize,
    /// A token (repeatable): `user@realm!name=secret[:all|audit|none|/path=PRIV+PRIV,…]`.
    #[arg(long = "token", value_name = "TOKEN")]
    tokens: Vec<String>,
    /// What a user may, where that is not what its tokens may (repeatable): `user@realm:rights`.
    #[arg(long = "user", value_name = "USER:RIGHTS")]
    users: Vec<String>,
    /// How fast the simulated time runs.
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR", value_parser = speed)]
    speed: f64,
    /// How long a task runs.
    #[arg(long, value_name = "SECONDS")]
    task_seconds: Option<f64>,
    /// How long a 401 is held back; a real node takes 3000.
    #[arg(long, default_value_t = 50, value_name = "MS")]
    auth_delay_ms: u64,
    /// How long an unknown node's name is looked up; a real node takes 6000.
    #[arg(long, default_value_t = 50, value_name = "MS")]
    lookup_delay_ms: u64,
    /// Append each request to this file, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Append each request to this file as it comes in, also one that a fault strikes.
    #[arg(long, value_name = "FILE")]
    arrivals: Option<PathBuf>,
    /// A fault (repeatable), see below.
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<String>,
    /// Go away for MS milliseconds, once in every EVERY: reset connections, refuse new ones; with
    /// a status (595, 502, 503), answer that instead.
    #[arg(long, value_name = "MS[/EVERY][:STATUS]")]
    outage: Option<String>,
    /// Stop when stdin ends.
    #[arg(long)]
    exit_on_eof: bool,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(speed) if (0.0..=10_000.0).contains(&speed) => Ok(speed),
        _ => Err("a number from 0 to 10000".into()),
    }
}

impl Cli {
    fn options(&self) -> Options {
        let base = if self.demo {
            Options::demo()
        } else {
            Options::default()
        };
        Options {
            listen: self.listen,
            tls: match (self.tls, self.self_signed) {
                (_, true) => Tls::SelfSigned,
                (true, _) => Tls::OwnAuthority,
                _ => Tls::Off,
            },
            prefix: self.prefix.clone(),
            world: if self.demo { World::Demo } else { World::Test },
            nodes: self.nodes.clone(),
            guests: self.guests,
            tokens: self.tokens.clone(),
            users: self.users.clone(),
            speed: self.speed,
            task_seconds: self.task_seconds.unwrap_or(base.task_seconds),
            auth_delay: Duration::from_millis(self.auth_delay_ms),
            lookup_delay: Duration::from_millis(self.lookup_delay_ms),
            log: self.log.clone(),
            arrivals: self.arrivals.clone(),
            faults: self.faults.clone(),
            outage: self.outage.clone(),
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(2)
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    match runtime.block_on(run(&cli)) {
        Ok(()) => {
            runtime.shutdown_background();
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "pve-sim: {error:#}");
    ExitCode::from(2)
}

async fn run(cli: &Cli) -> anyhow::Result<()> {
    let running = pve_sim::start(cli.options())
        .await
        .context("cannot start")?;
    if let Some(path) = &cli.ca_out {
        std::fs::write(path, running.ca_pem())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    print(&ready(&running, cli.ca_out.as_deref()))?;
    tokio::select! {
        ended = control(&running) => {
            if !(ended? || cli.exit_on_eof) {
                tokio::signal::ctrl_c().await?;
            }
        }
        signal = tokio::signal::ctrl_c() => signal?,
    }
    Ok(())
}

fn ready(running: &Running, ca_file: Option<&std::path::Path>) -> Value {
    let tokens: Vec<Value> = running
        .tokens()
        .map(|(id, secret, rights)| json!({"id": id, "secret": secret, "rights": rights}))
        .collect();
    json!({
        "url": running.url(),
        "ca_file": ca_file,
        "fingerprint": running.fingerprint(),
        "tokens": tokens,
    })
}

/// Answers control lines until `quit` (true) or the end of stdin (false).
async fn control(running: &Running) -> anyhow::Result<bool> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        if line.trim().is_empty() {
            continue;
        }
        let command: Value = serde_json::from_str(&line).unwrap_or(Value::Null);
        if command.get("cmd").and_then(Value::as_str) == Some("quit") {
            print(&json!({"ok": true}))?;
            return Ok(true);
        }
        print(&running.control(&command))?;
    }
    Ok(false)
}

fn print(line: &Value) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()?;
    Ok(())
}
