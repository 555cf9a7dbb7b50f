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
        let params = json!({ "name": "list_guests", "arguments": {} });
        let call = visitor.bytes("tools/call", params);
        let mut connection = Connection::open(visitor.address())?;
        let pause = Duration::from_millis(500 + random.u64(..4000));
        let changed = |what, with| replaced(&call, what, with);
        let (request, statuses): (_, &[u16]) = match self {
            Self::LeavesBeforeTheResponse => {
                return connection.left(&call, Duration::from_millis(random.u64(..200)));
            }
            Self::LeavesInTheBody => {
                let most = call.get(..call.len() - 10).unwrap_or_default();
                return connection.left(most, pause);
            }
            Self::LeavesInTheHead => {
                return connection.left(call.get(..60).unwrap_or_default(), pause);
            }
            Self::LeavesAStream => {
                let uris = json!({ "resourceSubscriptions": ["pve://cluster"] });
                let params = json!({ "notifications": uris });
                return connection.left(&visitor.bytes("subscriptions/listen", params), pause);
            }
            Self::ReadsSlowly => {
                connection.send(&call)?;
                thread::sleep(pause);
                return connection.answered(&[200], Some(Duration::from_millis(2)));
            }
            Self::WritesSlowly => {
                for piece in call.chunks(call.len().div_ceil(20)) {
                    connection.send(piece)?;
                    thread::sleep(pause / 20);
                }
                (Vec::new(), &[200])
            }
            Self::SendsTooMuch => (too_much(&call)?, &[413, 503]),
            Self::HasAWrongToken => {
                let wrong = changed("Authorization: Bearer ", "Authorization: Bearer x");
                (wrong, &[401, 429])
            }
            Self::NamesAnotherHost => (changed("Host: ", "Host: evil.example:"), &[400, 403]),
            Self::ComesFromAnotherSite => {
                let origin = "Origin: https://evil.example\r\nHost: ";
                (changed("Host: ", origin), &[403])
            }
            Self::SendsNoHttp => (b"\x16\x03\x01\x02\x00\x01 hello\r\n\r\n".to_vec(), &[400]),
        };
        connection.send(&request)?;
        connection.answered(statuses, None)
    }
}

/// A call whose body is said to be too large, with as much of it as the server reads: the
/// response to more could get lost.
fn too_much(call: &[u8]) -> Result<Vec<u8>> {
    let head = String::from_utf8_lossy(call);
    let (head, _) = head.split_once("\r\n\r\n").context("no head")?;
    let head = head.replacen("Content-Length: ", "X-Length: ", 1);
    let length = format!("Content-Length: {}", 2 * MAX_BODY_BYTES);
    let mut request = format!("{head}\r\n{length}\r\n\r\n").into_bytes();
    request.resize(request.len() + MAX_BODY_BYTES + 1, b' ');
    Ok(request)
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

    /// Sends this, and hangs up after a while.
    fn left(mut self, bytes: &[u8], pause: Duration) -> Result<()> {
        self.send(bytes)?;
        thread::sleep(pause);
        Ok(())
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
