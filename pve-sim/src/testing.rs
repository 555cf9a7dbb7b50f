//! What the tests share: requests over a plain socket, and their answers.

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Running;

/// A status line and a body.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) body: Option<Value>,
}

pub(crate) fn exchange(text: &str) -> Option<Exchange> {
    let mut lines = text
        .lines()
        .skip_while(|line| !line.starts_with("HTTP/1.1 "));
    let (status, reason) = lines.next()?.strip_prefix("HTTP/1.1 ")?.split_once(' ')?;
    let body = lines
        .find(|line| line.starts_with('{'))
        .and_then(|line| serde_json::from_str(line).ok());
    Some(Exchange {
        status: status.parse().ok()?,
        reason: reason.to_owned(),
        body,
    })
}

/// `METHOD PATH name=value …`; a word without a name belongs to the value before it.
pub(crate) fn request(line: &str) -> (String, String, Vec<(String, String)>) {
    let mut words = line.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let mut params: Vec<(String, String)> = Vec::new();
    for word in words {
        let named = word.split_once('=').filter(|(name, _)| {
            name.starts_with(|c: char| c.is_ascii_lowercase())
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        });
        match (named, params.last_mut()) {
            (Some((name, value)), _) => params.push((name.into(), value.into())),
            (None, Some((_, value))) => {
                value.push(' ');
                value.push_str(word);
            }
            (None, None) => panic!("{line}: no parameter before '{word}'"),
        }
    }
    (method.into(), path.into(), params)
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

pub(crate) async fn send(sim: &Running, token: Option<&str>, line: &str) -> Exchange {
    let (method, path, params) = request(line);
    let form: Vec<String> = params
        .iter()
        .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
        .collect();
    let form = form.join("&");
    let authorization = token
        .map(|token| format!("Authorization: {token}\r\n"))
        .unwrap_or_default();
    let (query, body) = match method.as_str() {
        "POST" | "PUT" => (String::new(), form),
        _ if form.is_empty() => (String::new(), form),
        _ => (format!("?{form}"), String::new()),
    };
    let typed = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/x-www-form-urlencoded\r\n"
    };
    let text = format!(
        "{method} /api2/json{path}{query} HTTP/1.1\r\nHost: pve\r\nConnection: close\r\n{authorization}{typed}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let address = sim.url().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    exchange(&answer).unwrap_or_else(|| panic!("{line}: no answer: {answer}"))
}

/// A GET whose path has nothing added.
pub(crate) async fn send_as_is(sim: &Running, token: Option<&str>, path: &str) -> Exchange {
    let authorization = token
        .map(|token| format!("Authorization: {token}\r\n"))
        .unwrap_or_default();
    let text =
        format!("GET {path} HTTP/1.1\r\nHost: pve\r\nConnection: close\r\n{authorization}\r\n");
    let address = sim.url().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    exchange(&answer).unwrap_or_else(|| panic!("{path}: no answer: {answer}"))
}

pub(crate) const TOKENS: [(&str, &str); 4] = [
    ("ROOT", "root@pam!full=r"),
    ("VIEWER", "audit@pve!viewer=v:audit"),
    ("NOBODY", "nobody@pve!none=n:none"),
    ("PRIVSEP", "root@pam!privsep=p:none"),
];

pub(crate) fn authorization(name: &str) -> Option<String> {
    match TOKENS.iter().find(|(known, _)| *known == name) {
        Some((_, token)) => {
            let secret = token.split(':').next().unwrap();
            Some(format!("PVEAPIToken={secret}"))
        }
        None if name == "X" => None,
        None => Some(name.to_owned()),
    }
}

/// Waits for the end of the task, and gives its status and log.
pub(crate) async fn ended(sim: &Running, token: &str, upid: &str) -> (Exchange, Exchange) {
    let path = format!("/nodes/pve1/tasks/{upid}");
    loop {
        let status = send(sim, Some(token), &format!("GET {path}/status")).await;
        if status
            .body
            .as_ref()
            .is_some_and(|body| body["data"]["status"] == "stopped")
        {
            return (
                status,
                send(sim, Some(token), &format!("GET {path}/log limit=500")).await,
            );
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
