//! What clients do over HTTP that they should not.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use fastrand::Rng;
use serde_json::json;

use crate::web::Visitor;

/// No response takes longer.
const PATIENCE: Duration = Duration::from_secs(300);
/// The longest body that the server reads.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// What may go wrong with a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mischief {
    LeavesBeforeTheResponse,
    LeavesInTheBody,
    LeavesInTheHead,
    LeavesAStream,
    ReadsSlowly,
    WritesSlowly,
    SendsTooMuch,
    HasAWrongToken,
    NamesAnotherHost,
    ComesFromAnotherSite,
    SendsNoHttp,
}

impl Mischief {
    const ALL: [Self; 11] = [
        Self::LeavesBeforeTheResponse,
        Self::LeavesInTheBody,
        Self::LeavesInTheHead,
        Self::LeavesAStream,
        Self::ReadsSlowly,
        Self::WritesSlowly,
        Self::SendsTooMuch,
        Self::HasAWrongToken,
        Self::NamesAnotherHost,
        Self::ComesFromAnotherSite,
        Self::SendsNoHttp,
    ];

    pub(super) fn any(random: &mut Rng) -> Self {
        let any = Self::ALL.get(random.usize(..Self::ALL.len()));
        any.copied().unwrap_or(Self::SendsNoHttp)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::LeavesBeforeTheResponse => "gone before the response",
            Self::LeavesInTheBody => "gone within the body",
            Self::LeavesInTheHead => "gone within the head",
            Self::LeavesAStream => "gone from a stream",
            Self::ReadsSlowly => "slow reader",
            Self::WritesSlowly => "slow writer",
            Self::SendsTooMuch => "body too large",
            Self::HasAWrongToken => "wrong token",
            Self::NamesAnotherHost => "other host",
            Self::ComesFromAnotherSite => "other origin",
            Self::SendsNoHttp => "not HTTP",
        }
    }

    /// Does it once, as a client that may do better. Fails if the response is not the one
    /// that such a request gets.
    pub(super) fn run(self, visitor: &Visitor, random: &mut Rng) -> Result<()> {
        let request = visitor.bytes(
            "tools/call",
            json!({ "name": "list_guests", "arguments": {} }),
        );
        let mut connection = Connection::open(visitor.address())?;
        let moment = Duration::from_millis(random.u64(..200));
        let while_long = Duration::from_millis(500 + random.u64(..4000));
        match self {
            Self::LeavesBeforeTheResponse => {
                connection.send(&request)?;
                thread::sleep(moment);
                Ok(())
            }
            Self::LeavesInTheBody => {
                connection.send(request.get(..request.len() - 10).unwrap_or_default())?;
                thread::sleep(while_long);
                Ok(())
            }
            Self::LeavesInTheHead => {
                connection.send(request.get(..60).unwrap_or_default())?;
                thread::sleep(while_long);
                Ok(())
            }
            Self::LeavesAStream => {
                let filter =
                    json!({ "notifications": { "resourceSubscriptions": ["pve://cluster"] } });
                connection.send(&visitor.bytes("subscriptions/listen", filter))?;
                thread::sleep(while_long);
                Ok(())
            }
            Self::ReadsSlowly => {
                connection.send(&request)?;
                thread::sleep(while_long);
                connection.answered(&[200], Some(Duration::from_millis(2)))
            }
            Self::WritesSlowly => {
                let pieces = 20;
                for piece in request.chunks(request.len().div_ceil(pieces)) {
                    connection.send(piece)?;
                    thread::sleep(while_long / 20);
                }
                connection.answered(&[200], None)
            }
            Self::SendsTooMuch => {
                let head = String::from_utf8_lossy(&request);
                let (head, _) = head.split_once("\r\n\r\n").context("no head")?;
                let longer = format!("Content-Length: {}", 2 * MAX_BODY_BYTES);
                let head = head.replacen("Content-Length: ", "X-Length: ", 1);
                connection.send(format!("{head}\r\n{longer}\r\n\r\n").as_bytes())?;
                // Only as much as it reads: a response to more could get lost.
                connection.send(&vec![b' '; MAX_BODY_BYTES + 1])?;
                connection.answered(&[413, 503], None)
            }
            Self::HasAWrongToken => {
                let wrong = replaced(
                    &request,
                    "Authorization: Bearer ",
                    "Authorization: Bearer x",
                );
                connection.send(&wrong)?;
                connection.answered(&[401, 429], None)
            }
            Self::NamesAnotherHost => {
                connection.send(&replaced(&request, "Host: ", "Host: evil.example:"))?;
                connection.answered(&[400, 403], None)
            }
            Self::ComesFromAnotherSite => {
                let origin = "Origin: https://evil.example\r\nHost: ";
                connection.send(&replaced(&request, "Host: ", origin))?;
                connection.answered(&[403], None)
            }
            Self::SendsNoHttp => {
                connection.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n")?;
                connection.answered(&[400], None)
            }
        }
    }
}

fn replaced(request: &[u8], what: &str, with: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(request);
    text.replacen(what, with, 1).into_bytes()
}

/// One request.
struct Connection(TcpStream);

impl Connection {
    fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(stream))
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        match self.0.write_all(bytes) {
            Err(error) if is_hang_up(error.kind()) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Reads to the end, some bytes at a time with pauses if there are any. Fails unless
    /// the response is whole, with one of these statuses.
    fn answered(mut self, statuses: &[u16], pause: Option<Duration>) -> Result<()> {
        let mut whole = Vec::new();
        let mut piece = vec![0; if pause.is_some() { 1024 } else { 64 * 1024 }];
        loop {
            let read = match self.0.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if is_hang_up(error.kind()) => break,
                Err(error) => return Err(error.into()),
            };
            whole.extend_from_slice(piece.get(..read).unwrap_or_default());
            thread::sleep(pause.unwrap_or_default());
        }
        let text = String::from_utf8_lossy(&whole);
        let status = text
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let Some(status) = status else {
            bail!("no response, but {text:.200}");
        };
        ensure!(
            statuses.contains(&status),
            "{statuses:?} expected: {text:.500}"
        );
        let (head, body) = text.split_once("\r\n\r\n").context("no whole head")?;
        let head = head.to_ascii_lowercase();
        let is_whole = match head.contains("transfer-encoding: chunked") {
            true => body.ends_with("0\r\n\r\n"),
            false => head.contains(&format!("content-length: {}", body.len())),
        };
        ensure!(is_whole, "half a response: {head}");
        ensure!(
            status != 200 || body.contains("\"result\""),
            "a call is answered with {body:.300}"
        );
        Ok(())
    }
}

fn is_hang_up(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}
