//! A simulated Proxmox VE, as a process.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use crate::host::HostRunner;
use crate::patience::PATIENCE;
use crate::programs;
use crate::transcript;
use crate::watch::{Recorder, Watch};

/// How to start a [`Sim`].
#[derive(Default)]
pub struct SimOptions {
    arguments: Vec<String>,
    private_log: bool,
    self_signed: bool,
}

impl SimOptions {
    /// Adds an argument of pve-sim's command line.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Keeps its request log apart from those that are checked against the
    /// real API afterwards: for requests that the product would not make.
    #[must_use]
    pub fn private_log(mut self) -> Self {
        self.private_log = true;
        self
    }

    /// Has a self-signed certificate.
    #[must_use]
    pub fn self_signed(mut self) -> Self {
        self.self_signed = true;
        self.arg("--self-signed")
    }

    /// Starts it and waits until it listens.
    pub async fn start(self) -> anyhow::Result<Sim> {
        Sim::spawn(self).await
    }
}

/// A running pve-sim; it ends when this is dropped.
pub struct Sim {
    /// `https://127.0.0.1:PORT`.
    pub url: String,
    /// The certificate authority to trust.
    pub ca_file: PathBuf,
    /// The SHA-256 fingerprint of its certificate: `AA:BB:…`.
    pub fingerprint: String,
    /// The tokens that it knows.
    pub tokens: Vec<Token>,
    log: PathBuf,
    stdin: ChildStdin,
    stdout: BufReader<Recorder>,
    _child: Child,
    _watch: Watch,
}

/// An API token of a [`Sim`].
#[derive(Debug, Clone)]
pub struct Token {
    /// `user@realm!name`.
    pub id: String,
    /// The secret.
    pub secret: String,
    /// What it may do: `all`, `none`, …
    pub rights: String,
}

impl Sim {
    /// Starts the default cluster.
    pub async fn start() -> anyhow::Result<Self> {
        SimOptions::default().start().await
    }

    /// Starts it with arguments of its command line.
    pub fn options() -> SimOptions {
        SimOptions::default()
    }

    /// A host-runner that reaches this cluster with the token that may do all.
    pub fn host(&self) -> anyhow::Result<HostRunner> {
        self.host_with("all")
    }

    /// The same, with a policy that lets everything out that any can.
    pub fn admin(&self) -> anyhow::Result<HostRunner> {
        Ok(self.host()?.arg("--preset=admin"))
    }

    /// A host-runner with the token of these rights.
    pub fn host_with(&self, rights: &str) -> anyhow::Result<HostRunner> {
        let token = self.token(rights)?;
        let (user, name) = token
            .id
            .split_once('!')
            .context("a token's id without a name")?;
        Ok(HostRunner::new()?
            .env("PROXMOX_URL", &self.url)
            .env("PROXMOX_USER", user)
            .env("PROXMOX_TOKEN_ID", name)
            .env("PROXMOX_TOKEN_SECRET", &token.secret)
            .env("PROXMOX_CA_FILE", self.ca_file.display().to_string()))
    }

    /// The token of these rights.
    pub fn token(&self, rights: &str) -> anyhow::Result<&Token> {
        self.tokens
            .iter()
            .find(|token| token.rights == rights)
            .with_context(|| format!("pve-sim has no token with the rights {rights}"))
    }

    /// The port that it listens on.
    pub fn port(&self) -> anyhow::Result<u16> {
        let (_, rest) = self.url.rsplit_once(':').context("a URL without a port")?;
        let digits = rest.split('/').next().unwrap_or_default();
        Ok(digits.parse()?)
    }

    /// Sends one control line and returns its acknowledgement.
    pub async fn control(&mut self, command: Value) -> anyhow::Result<Value> {
        self.stdin
            .write_all(format!("{command}\n").as_bytes())
            .await?;
        self.stdin.flush().await?;
        let answer = read_line(&mut self.stdout).await?;
        ensure!(
            answer.get("error").is_none(),
            "pve-sim refused {command}: {answer}"
        );
        Ok(answer)
    }

    /// All of a guest, as the cluster has it: `node`, `running`, `config`,
    /// `pending`, …
    pub async fn guest(&mut self, vmid: u64) -> anyhow::Result<Value> {
        self.control(json!({ "cmd": "get", "vmid": vmid })).await
    }

    /// Changes a guest behind the product's back: `{"running": false}`,
    /// `{"node": "pve2"}`, `{"config": {"memory": "1024"}}`.
    pub async fn set_guest(&mut self, vmid: u64, mut changes: Value) -> anyhow::Result<()> {
        let fields = changes.as_object_mut().context("changes are an object")?;
        fields.insert("cmd".to_owned(), "guest".into());
        fields.insert("vmid".to_owned(), vmid.into());
        self.control(changes).await?;
        Ok(())
    }

    /// Moves the simulated time on: tasks end, pvestatd reports, HA acts.
    pub async fn advance(&mut self, seconds: u64) -> anyhow::Result<()> {
        self.control(json!({ "cmd": "advance", "seconds": seconds }))
            .await?;
        Ok(())
    }

    /// Makes the next request (or those that the fault describes) go wrong.
    pub async fn fault(&mut self, mut fault: Value) -> anyhow::Result<()> {
        let fields = fault.as_object_mut().context("a fault is an object")?;
        fields.insert("cmd".to_owned(), "fault".into());
        self.control(fault).await?;
        Ok(())
    }

    /// Ends all faults.
    pub async fn clear_faults(&mut self) -> anyhow::Result<()> {
        self.control(json!({ "cmd": "clear-faults" })).await?;
        Ok(())
    }

    /// How many requests have come in, of any kind.
    pub async fn served(&mut self) -> anyhow::Result<u64> {
        let answer = self.control(json!({ "cmd": "requests" })).await?;
        answer
            .get("requests")
            .and_then(Value::as_u64)
            .context("no number of requests")
    }

    /// Waits until more than so many requests have come in: until a call is
    /// under way.
    pub async fn serves_more_than(&mut self, before: u64) -> anyhow::Result<()> {
        let wait = async {
            while self.served().await? <= before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok(())
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .context("no request comes in")?
    }

    /// Every request that it has answered, oldest first, as `--log` writes
    /// them.
    pub fn requests(&self) -> anyhow::Result<Vec<Value>> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("in the log: {line}")))
            .collect()
    }

    /// The answered requests of this method, oldest first.
    pub fn sent(&self, method: &str) -> anyhow::Result<Vec<Value>> {
        let mut requests = self.requests()?;
        requests.retain(|request| request.get("method").is_some_and(|own| own == method));
        Ok(requests)
    }

    /// The answered requests that change something, or try to: all but `GET`.
    pub fn writes(&self) -> anyhow::Result<Vec<Value>> {
        let mut requests = self.requests()?;
        requests.retain(|request| request.get("method").is_some_and(|own| own != "GET"));
        Ok(requests)
    }

    /// The answered requests of this method to paths that end with `end`, oldest first.
    pub fn sent_to(&self, method: &str, end: &str) -> anyhow::Result<Vec<Value>> {
        let mut requests = self.sent(method)?;
        requests.retain(|request| {
            let path = request.get("path").and_then(Value::as_str);
            path.is_some_and(|path| path.ends_with(end))
        });
        Ok(requests)
    }

    /// The settings for this cluster as lines of a `.env`, without the secret.
    pub fn env_lines(&self) -> anyhow::Result<String> {
        Ok(format!(
            "PROXMOX_URL={}\nPROXMOX_TOKEN_ID={}\nPROXMOX_CA_FILE={}\n",
            self.url,
            self.token("all")?.id,
            self.ca_file.display()
        ))
    }

    async fn spawn(options: SimOptions) -> anyhow::Result<Self> {
        let directory = TempDir::new()?;
        let log = if options.private_log {
            directory.path().join("requests.jsonl")
        } else {
            log_file()?
        };
        let mut command = Command::new(programs::pve_sim()?);
        command
            .env_clear()
            .args(["--listen", "127.0.0.1:0", "--exit-on-eof", "--log"])
            .arg(&log)
            .arg("--ca-out")
            .arg(directory.path().join("ca.pem"))
            .args(options.arguments);
        if !options.self_signed {
            command.arg("--tls");
        }
        let watch = Watch::prepare(&mut command, directory, Vec::new())?.tells_secrets();
        let mut child = command.spawn().context("pve-sim does not start")?;
        let stdin = child.stdin.take().context("no stdin")?;
        let mut stdout = BufReader::new(watch.stdout(child.stdout.take().context("no stdout")?));
        let ready = read_line(&mut stdout).await?;
        let text = |value: &Value, key: &str| -> anyhow::Result<String> {
            let text = value.get(key).and_then(Value::as_str);
            Ok(text
                .with_context(|| format!("no {key} in pve-sim's ready line: {ready}"))?
                .to_owned())
        };
        let tokens = ready
            .get("tokens")
            .and_then(Value::as_array)
            .with_context(|| format!("no tokens in pve-sim's ready line: {ready}"))?
            .iter()
            .map(|token| {
                let token = Token {
                    id: text(token, "id")?,
                    secret: text(token, "secret")?,
                    rights: text(token, "rights")?,
                };
                transcript::token(&token.secret);
                Ok(token)
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self {
            url: text(&ready, "url")?,
            ca_file: text(&ready, "ca_file")?.into(),
            fingerprint: text(&ready, "fingerprint")?,
            tokens,
            log,
            stdin,
            stdout,
            _child: child,
            _watch: watch,
        })
    }
}

async fn read_line(stdout: &mut BufReader<Recorder>) -> anyhow::Result<Value> {
    let mut line = String::new();
    tokio::time::timeout(PATIENCE, stdout.read_line(&mut line))
        .await
        .context("pve-sim says nothing")??;
    ensure!(!line.is_empty(), "pve-sim ended");
    serde_json::from_str(&line).with_context(|| format!("pve-sim said {line}"))
}

/// A file of its own for each process, in one directory for all tests: so that
/// every request of every test can be checked at once.
fn log_file() -> anyhow::Result<PathBuf> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let directory = match std::env::var_os("PVE_SIM_LOG_DIR") {
        Some(directory) => PathBuf::from(directory),
        None => programs::target_dir()?.join("request-logs"),
    };
    std::fs::create_dir_all(&directory)?;
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let exe = std::env::current_exe()?;
    let test = exe.file_stem().unwrap_or_default().to_string_lossy();
    let name = format!("{test}-{}-{number}.jsonl", std::process::id());
    Ok(directory.canonicalize()?.join(name))
}
