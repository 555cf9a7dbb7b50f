//! One loopback address before several servers, in turn.
//!
//! Each connection carries one request, so that every request may go to another
//! server: there are no sessions that would have to stay with one.

use std::io::{self, Read, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Result;

/// Connections at a time; more are dropped.
const MAX_CONNECTIONS: usize = 64;
/// The longest head of a request.
const MAX_HEAD: usize = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(120);

/// Listens until the process ends; returns its address. With a token, requests
/// get an `Authorization` header: for clients that cannot send one.
pub(super) fn start(servers: Vec<String>, token: Option<String>) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let (open, turn) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let turn = turn.fetch_add(1, Ordering::Relaxed) % servers.len();
            let Some(server) = servers.get(turn).cloned() else {
                continue;
            };
            if open.fetch_add(1, Ordering::Relaxed) >= MAX_CONNECTIONS {
                open.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let (open, token) = (Arc::clone(&open), token.clone());
            thread::spawn(move || {
                // A client that hangs up is no fault of this.
                let _ = relay(client, &server, token.as_deref());
                open.fetch_sub(1, Ordering::Relaxed);
            });
        }
    });
    Ok(address)
}

fn relay(mut client: TcpStream, server: &str, token: Option<&str>) -> io::Result<()> {
    client.set_nodelay(true)?;
    client.set_read_timeout(Some(PATIENCE))?;
    let mut head = Vec::new();
    let mut buffer = [0_u8; 8192];
    let end = loop {
        let read = client.read(&mut buffer)?;
        head.extend_from_slice(buffer.get(..read).unwrap_or_default());
        if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if read == 0 || head.len() > MAX_HEAD {
            return Ok(());
        }
    };
    let mut server = TcpStream::connect(server)?;
    server.set_nodelay(true)?;
    server.write_all(&rewritten(&head, end, token))?;
    let mut upload = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut upload.0, &mut upload.1);
    });
    io::copy(&mut server, &mut client)?;
    // This ends the copying of the client's side, too.
    client.shutdown(Shutdown::Both)
}

/// The head with the balancer's own headers, and what was read after it.
fn rewritten(read: &[u8], end: usize, token: Option<&str>) -> Vec<u8> {
    let (head, rest) = read.split_at_checked(end).unwrap_or((read, b""));
    let head = String::from_utf8_lossy(head);
    let mut lines = head.split("\r\n");
    let mut text = format!(
        "{}\r\nConnection: close\r\n",
        lines.next().unwrap_or_default()
    );
    if let Some(token) = token {
        text.push_str(&format!("Authorization: Bearer {token}\r\n"));
    }
    for line in lines {
        let name = line.split(':').next().unwrap_or_default();
        if !name.eq_ignore_ascii_case("connection") {
            text.push_str(line);
            text.push_str("\r\n");
        }
    }
    // The empty line is at the start of the rest.
    let rest = rest.strip_prefix(b"\r\n").unwrap_or(rest);
    [text.as_bytes(), rest].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_gets_the_token_and_the_body_stays() {
        let read = b"POST /mcp HTTP/1.1\r\nHost: h\r\nconnection: keep-alive\r\n\r\n{}";
        let end = read
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap();
        let text = String::from_utf8(rewritten(read, end, Some("t"))).unwrap();
        assert_eq!(
            text,
            "POST /mcp HTTP/1.1\r\nConnection: close\r\nAuthorization: Bearer t\r\nHost: h\r\n\r\n{}"
        );
    }
}
