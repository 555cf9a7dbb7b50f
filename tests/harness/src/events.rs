//! Responses that are streams of events.

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

use crate::patience::PATIENCE;
use crate::values::is_json_rpc;

/// The head of a response.
#[derive(Debug, Clone)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// As it came.
    pub text: String,
}

/// A response with chunks.
pub struct Stream {
    /// Its head.
    pub head: Head,
    reader: Box<dyn AsyncBufRead + Unpin + Send>,
    pending: String,
    ended: bool,
}

impl Head {
    pub(crate) async fn read(reader: &mut (impl AsyncBufRead + Unpin)) -> anyhow::Result<Self> {
        let mut text = String::new();
        while !text.ends_with("\r\n\r\n") {
            let line = tokio::time::timeout(PATIENCE, reader.read_line(&mut text));
            let count = line.await.context("no head")??;
            ensure!(count > 0, "the connection ended in the head: {text:?}");
        }
        let status = text.split(' ').nth(1).context("no status")?;
        Ok(Self {
            status: status.parse()?,
            text,
        })
    }

    /// The value of a header, whose name is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.text.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Stream {
    pub(crate) fn new(head: Head, reader: Box<dyn AsyncBufRead + Unpin + Send>) -> Self {
        Self {
            head,
            reader,
            pending: String::new(),
            ended: false,
        }
    }

    /// A response whose connection ends with it.
    pub(crate) async fn whole(
        head: Head,
        mut reader: impl AsyncBufRead + Unpin + Send + 'static,
    ) -> anyhow::Result<Self> {
        let mut text = String::new();
        let read = tokio::time::timeout(PATIENCE, reader.read_to_string(&mut text));
        read.await.context("no end")??;
        let mut whole = Self::new(head, Box::new(reader));
        whole.pending = text;
        whole.ended = true;
        Ok(whole)
    }

    /// All that is left of it, as text.
    pub async fn text(mut self) -> anyhow::Result<String> {
        while !self.ended {
            self.more().await?;
        }
        Ok(self.pending)
    }

    /// The next JSON-RPC message; None at the end.
    pub async fn next(&mut self) -> anyhow::Result<Option<Value>> {
        loop {
            while let Some((event, rest)) = self.pending.split_once("\n\n") {
                let data = event.lines().filter_map(|line| line.strip_prefix("data:"));
                let data: String = data.map(str::trim).collect();
                self.pending = rest.to_owned();
                if !data.is_empty() {
                    let message = serde_json::from_str(&data).context(data)?;
                    ensure!(is_json_rpc(&message), "no JSON-RPC: {message}");
                    return Ok(Some(message));
                }
            }
            if self.ended {
                return Ok(None);
            }
            self.more().await?;
        }
    }

    /// The next message that fits, and all before it.
    pub async fn until(
        &mut self,
        fits: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<(Value, Vec<Value>)> {
        let mut before = Vec::new();
        loop {
            let next = self.next().await?;
            let message = next.with_context(|| format!("the stream ended after {before:?}"))?;
            if fits(&message) {
                return Ok((message, before));
            }
            before.push(message);
        }
    }

    /// Reads one more chunk.
    async fn more(&mut self) -> anyhow::Result<()> {
        let read = async {
            let mut line = String::new();
            self.reader.read_line(&mut line).await?;
            if line.is_empty() {
                return Ok(None);
            }
            let size = usize::from_str_radix(line.trim(), 16).context("no chunk")?;
            let mut chunk = vec![0; size + 2];
            self.reader.read_exact(&mut chunk).await?;
            chunk.truncate(size);
            anyhow::Ok((size > 0).then_some(chunk))
        };
        let read = tokio::time::timeout(PATIENCE, read);
        match read.await.context("no event comes")?? {
            Some(chunk) => self.pending += std::str::from_utf8(&chunk)?,
            None => self.ended = true,
        }
        Ok(())
    }
}
