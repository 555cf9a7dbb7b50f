//! A DNS server that knows one name.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::thread;

use anyhow::{Context, Result};

/// The name that has the address 127.0.0.1.
pub(super) const NAME: &str = "in-dns.example";

/// The loopback network is large: no other program listens here.
const ADDRESS: &str = "127.111.53.1";

/// Answers for as long as xtask runs.
pub(super) struct Server {}

impl Server {
    pub(super) fn start() -> Result<Self> {
        let socket = UdpSocket::bind((ADDRESS, 53))
            .with_context(|| format!("cannot answer DNS queries at {ADDRESS}:53"))?;
        thread::spawn(move || serve(&socket));
        Ok(Self {})
    }

    pub(super) fn address(&self) -> &'static str {
        ADDRESS
    }
}

fn serve(socket: &UdpSocket) {
    let mut buffer = [0; 512];
    loop {
        match socket.recv_from(&mut buffer) {
            Ok((length, client)) => {
                if let Some(answer) = buffer.get(..length).and_then(answer) {
                    // Who asked asks again.
                    let _ = socket.send_to(&answer, client);
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// The answer to a query with one question (RFC 1035, section 4).
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    const HEADER: usize = 12;
    const A: [u8; 2] = [0, 1];
    let (header, rest) = query.split_at_checked(HEADER)?;
    let id = header.get(..2)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    let name = rest.get(..end)?;
    let question = rest.get(..end + 5)?;
    let kind = question.get(end + 1..end + 3)?;

    let known = name == labels();
    let has_address = known && kind == A;
    // Recursion is available; NXDOMAIN for every other name.
    let flags = [0x81, if known { 0x80 } else { 0x83 }];
    let counts = [0, 1, 0, u8::from(has_address), 0, 0, 0, 0];
    let mut answer = [id, &flags, &counts, question].concat();
    if has_address {
        // The name of the question, in class IN, for a minute.
        answer.extend([0xc0, HEADER as u8, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend([127, 0, 0, 1]);
    }
    Some(answer)
}

/// The name as a query has it: each label after its length.
fn labels() -> Vec<u8> {
    NAME.split('.')
        .flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat())
        .collect()
}
