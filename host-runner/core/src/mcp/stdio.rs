//! Stdin and stdout as rmcp's transport, one message per line.
//!
//! A thread reads and another one writes, so that neither a client that does
//! not read nor one that does not write can hold up the rest. A client that
//! does not read what it is sent is read no further; that it closes its end is
//! noticed all the same.

use std::io::{self, BufRead, Read as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as blocking;
use std::sync::{Arc, Mutex, PoisonError};

use rmcp::RoleServer;
use rmcp::model::{
    ClientRequest, GetExtensions as _, GetMeta as _, JsonRpcMessage, ProtocolVersion,
};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::backlog::Backlog;
use super::message::{self, Line, MAX_LINE_BYTES};
use super::room::{Reservation, Room};
use crate::system::stdio::{AtOnce, stdin_closed};
use crate::timings::{self, Milestone};

/// The most that may wait for the client to read it, with the answers to what
/// it had asked before [`Backlog`] was full.
const MAX_UNREAD_BYTES: usize = 64 * 1024 * 1024;
/// How much at once is read of a line that is not kept.
const PART_BYTES: u64 = 64 * 1024;
/// The most messages that may wait to be handled.
const MAX_WAITING: usize = 16;

/// Stdin and stdout.
pub(super) struct Stdio {
    incoming: mpsc::Receiver<Incoming>,
    outgoing: Outgoing,
    /// Cancelled at the end of stdin: rmcp itself notifies the handlers only
    /// after it has waited 5 s for them.
    closing: CancellationToken,
    greeted: Arc<AtomicBool>,
    /// A request has come by which rmcp knows the protocol's revision.
    is_open: bool,
    complained: bool,
}

/// A message, and the room that it takes.
type Incoming = (RxJsonRpcMessage<RoleServer>, Reservation);

/// The way to stdout.
#[derive(Clone)]
pub(super) struct Outgoing {
    lines: blocking::Sender<Vec<u8>>,
    writer: Writer,
}

/// Whether rmcp enters the protocol by a request. It answers `ping` and `server/discover`
/// before, and refuses requests that do not say enough of their client.
fn opens(request: &ClientRequest) -> bool {
    match request {
        ClientRequest::InitializeRequest(_) => true,
        ClientRequest::PingRequest(_) | ClientRequest::DiscoverRequest(_) => false,
        request => {
            let meta = request.get_meta();
            let newest = &ProtocolVersion::V_2026_07_28;
            meta.missing_required_keys(newest).is_empty()
                && meta
                    .protocol_version()
                    .is_some_and(|version| ProtocolVersion::KNOWN_VERSIONS.contains(&version))
        }
    }
}

/// Writes stdout.
#[derive(Clone)]
struct Writer {
    stdout: Arc<Stdout>,
    backlog: Backlog,
    closing: CancellationToken,
    /// Cancelled when something was written.
    responded: CancellationToken,
}

impl Stdio {
    /// Begins to read stdin and to write stdout.
    pub(super) fn start(
        closing: CancellationToken,
        responded: CancellationToken,
        backlog: Backlog,
    ) -> io::Result<Self> {
        let (lines, to_write) = blocking::channel();
        let writer = Writer {
            stdout: Arc::new(Stdout::new()),
            backlog: backlog.clone(),
            closing: closing.clone(),
            responded,
        };
        let outgoing = Outgoing {
            lines,
            writer: writer.clone(),
        };
        tokio::spawn(async move {
            stdin_closed().await;
            backlog.end();
        });
        let (messages, incoming) = mpsc::channel(MAX_WAITING);
        thread("stdout", move || writer.write_all(&to_write))?;
        let answers = outgoing.clone();
        thread("stdin", move || {
            read_all(&messages, &answers);
            answers.writer.backlog.end();
        })?;
        timings::reached(Milestone::Serving);
        Ok(Self {
            incoming,
            outgoing,
            closing,
            greeted: Arc::default(),
            is_open: false,
            complained: false,
        })
    }

    /// The way to stdout.
    pub(super) fn outgoing(&self) -> Outgoing {
        self.outgoing.clone()
    }

    /// Whether a client has sent a request.
    pub(super) fn greeted(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.greeted)
    }
}

impl Transport<RoleServer> for Stdio {
    type Error = io::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let outgoing = self.outgoing.clone();
        outgoing.writer.backlog.answered(&item);
        async move { outgoing.push(serde_json::to_vec(&item)?) }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            tokio::select! {
                () = self.outgoing.writer.backlog.room_for_a_request() => {}
                () = self.closing.cancelled() => {}
            }
            let Some((mut message, place)) = self.incoming.recv().await else {
                self.closing.cancel();
                return None;
            };
            // It is held as long as the message is handled.
            match &mut message {
                JsonRpcMessage::Request(request) => {
                    request.request.extensions_mut().insert(place);
                }
                JsonRpcMessage::Notification(notification) => {
                    notification.notification.extensions_mut().insert(place);
                }
                _ => drop(place),
            }
            self.outgoing.writer.backlog.received(&message);
            if let JsonRpcMessage::Request(request) = &message {
                timings::reached(Milestone::FirstRequest);
                self.greeted.store(true, Ordering::Relaxed);
                self.is_open |= opens(&request.request);
                return Some(message);
            }
            // rmcp would end the session over anything but a request before that.
            if self.is_open {
                return Some(message);
            }
            if !self.complained {
                tracing::warn!(
                    "ignoring notifications and responses that arrive before initialize or a \
                     request of revision 2026-07-28"
                );
                self.complained = true;
            }
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

impl Outgoing {
    /// Waits until all is written.
    pub(super) async fn drained(&self) {
        self.writer.backlog.drained().await;
    }

    fn push(&self, mut line: Vec<u8>) -> io::Result<()> {
        line.push(b'\n');
        let size = line.len();
        let unread = self.writer.backlog.add(size);
        // Nothing else waits: handing over to the thread would take longer.
        if unread == size && self.writer.stdout.write_at_once(&line) {
            self.writer.written(size);
            return Ok(());
        }
        if unread > MAX_UNREAD_BYTES && unread > size {
            tracing::error!("ending, as the client does not read what it is sent");
            self.writer.closing.cancel();
        }
        let pushed = match self.writer.closing.is_cancelled() && unread > MAX_UNREAD_BYTES {
            true => Err(()),
            false => self.lines.send(line).map_err(drop),
        };
        pushed.map_err(|()| {
            self.writer.backlog.remove(size);
            io::ErrorKind::BrokenPipe.into()
        })
    }
}

impl Writer {
    /// A line is written, or never will be.
    fn written(&self, size: usize) {
        timings::reached(Milestone::FirstResponse);
        self.responded.cancel();
        self.backlog.remove(size);
    }

    /// Writes lines until there are no more.
    fn write_all(&self, lines: &blocking::Receiver<Vec<u8>>) {
        for line in lines {
            let written = self.stdout.write(&line);
            self.written(line.len());
            if let Err(error) = written {
                tracing::debug!("the client is gone: {error}");
                self.closing.cancel();
                break;
            }
        }
        // Nothing reads the rest.
        for line in lines.try_iter() {
            self.backlog.remove(line.len());
        }
    }
}

/// Stdout, to which one line at a time is written.
struct Stdout {
    writing: Mutex<()>,
    at_once: AtOnce,
}

impl Stdout {
    fn new() -> Self {
        Self {
            writing: Mutex::new(()),
            at_once: AtOnce::new(),
        }
    }

    /// Writes a line, however long the client takes to read.
    fn write(&self, line: &[u8]) -> io::Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stdout = io::stdout().lock();
        stdout.write_all(line)?;
        stdout.flush()
    }

    /// Writes a line if that certainly does not block.
    fn write_at_once(&self, line: &[u8]) -> bool {
        match self.writing.try_lock() {
            Ok(_writing) => self.at_once.write(line),
            Err(_) => false,
        }
    }
}

/// Reads stdin to its end.
fn read_all(messages: &mpsc::Sender<Incoming>, answers: &Outgoing) {
    let room = Room::new();
    let mut stdin = io::stdin().lock();
    let mut line = Vec::new();
    loop {
        let answer = match next_line(&mut stdin, &mut line) {
            Ok(Read::End) => return,
            Ok(Read::TooLong(answer)) => answer,
            Ok(Read::Line) => match message::read(&line) {
                Line::Nothing => continue,
                Line::Answer(answer) => answer,
                Line::Message(message) => {
                    let Some(place) = room.take(None, line.len(), message::values(&line)) else {
                        let Some(answer) = message::no_room(&message) else {
                            tracing::warn!("dropped a large message: not enough memory for it");
                            continue;
                        };
                        if answers.push(answer.to_string().into_bytes()).is_err() {
                            return;
                        }
                        continue;
                    };
                    match messages.blocking_send((*message, place)) {
                        Ok(()) => continue,
                        // The server has ended.
                        Err(_) => return,
                    }
                }
            },
            Err(error) => {
                tracing::error!("cannot read stdin: {error}");
                return;
            }
        };
        if answers.push(answer.to_string().into_bytes()).is_err() {
            return;
        }
    }
}

enum Read {
    Line,
    /// The answer to it.
    TooLong(serde_json::Value),
    End,
}

/// Reads the next line into `line`, and no more of it than a line may have.
fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Read> {
    line.clear();
    line.shrink_to(64 * 1024);
    let max = MAX_LINE_BYTES as u64 + 1;
    let count = input.by_ref().take(max).read_until(b'\n', line)?;
    if count == 0 {
        return Ok(Read::End);
    }
    if (count as u64) < max || line.ends_with(b"\n") {
        return Ok(Read::Line);
    }
    let start = std::mem::take(line);
    loop {
        line.clear();
        let part = input.by_ref().take(PART_BYTES).read_until(b'\n', line)?;
        if part == 0 || line.ends_with(b"\n") {
            return Ok(Read::TooLong(message::too_long(&start, line)));
        }
    }
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map(drop)
}
