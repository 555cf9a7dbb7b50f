//! `host-runner forward`, as a process, and plain HTTP to it.

use anyhow::Context as _;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::patience::PATIENCE;
use crate::process::{Output, Started};
use crate::served::Served;

/// The key of every [`Forward`].
pub const KEY: &str = "a-key-of-the-tests-0123456789abcdef";

/// A running `host-runner forward`.
pub struct Forward {
    /// `127.0.0.1:PORT`.
    pub address: String,
    served: Served,
}

/// An answer of [`Forward`].
#[derive(Debug)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// The head, as it came.
    pub head: String,
    /// The body, as text.
    pub body: String,
}

impl HttpAnswer {
    /// The body as JSON.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("no JSON: {self:?}"))
    }

    /// The value of a header, whose name is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Forward {
    /// Waits until the process that was started listens.
    pub(crate) async fn listening(started: Started, secrets: Vec<String>) -> anyhow::Result<Self> {
        let served = Served::listening(started, "forward", secrets, address).await?;
        Ok(Self {
            address: served.address.clone(),
            served,
        })
    }

    /// All that it wrote to stderr so far.
    pub fn stderr(&self) -> anyhow::Result<String> {
        self.served.watch.stderr_text()
    }

    /// Asks as a component does: with the key, and `form` as the body if it is
    /// not empty.
    pub async fn ask(&self, method: &str, path: &str, form: &str) -> anyhow::Result<HttpAnswer> {
        let address = &self.address;
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Authorization: PVEAPIToken=root@pam!mcp={KEY}\r\nAccept: application/json\r\n"
        );
        if method != "GET" {
            request += &format!(
                "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
                form.len()
            );
        }
        self.send(&format!("{request}\r\n{form}")).await
    }

    /// Sends bytes as they are, and reads until the connection ends.
    pub async fn send(&self, request: &str) -> anyhow::Result<HttpAnswer> {
        let exchange = async {
            let mut stream = TcpStream::connect(&self.address).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await?;
            anyhow::Ok(bytes)
        };
        let bytes = tokio::time::timeout(PATIENCE, exchange)
            .await
            .context("no answer")??;
        let text = String::from_utf8(bytes)?;
        self.served.has_no_secret(&text)?;
        let (head, body) = text.split_once("\r\n\r\n").context("no head")?;
        let status = head.split(' ').nth(1).context("no status")?;
        Ok(HttpAnswer {
            status: status.parse()?,
            head: head.to_owned(),
            body: body.to_owned(),
        })
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) -> anyhow::Result<()> {
        self.served.signal("TERM")
    }

    /// Waits for its end.
    pub async fn ended(self) -> anyhow::Result<Output> {
        self.served.ended().await
    }
}

/// Where it listens, once it says so.
fn address(stderr: &str) -> Option<String> {
    let line = stderr.split_once("PROXMOX_TOKEN_SECRET=").map(|_| stderr)?;
    let (_, rest) = line.split_once("PROXMOX_URL=http://")?;
    let (address, _) = rest.split_once('\n')?;
    Some(address.to_owned())
}
