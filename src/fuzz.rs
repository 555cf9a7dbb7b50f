//! What must hold for whatever comes from outside: answers of Proxmox, and
//! tickets. The fuzzers in `fuzz/` call these functions, and so do the tests,
//! with the fuzzers' seeds.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a fuzzer learns of a mistake"
)]

use percent_encoding::percent_decode_str;
use url::Url;

use crate::error::{Error, Result};
use crate::pve::{Pve, Script, Sent};
use crate::settings::Settings;
use crate::tool::ticket::Ticket;
use crate::tool::{Finished, Outcome};
use crate::tools;

const BASE: &str = "https://pve.example.com:8006/prefix";
const SECRET: &str = "7c1e5c0a-secret-of-the-token";
/// What separates the parts of an input.
const LINE: &[u8] = b"\n===\n";
/// How often a task is looked after.
const LOOKS: usize = 4;

/// A tool call and what Proxmox answers to its requests.
///
/// The first part is a tool's name, a blank and its arguments; each other one
/// an answer, see [`Script::new`].
pub fn response(input: &[u8]) {
    let mut parts = parts(input);
    let Some(Ok(call)) = parts.next().map(String::from_utf8) else {
        return;
    };
    let (name, arguments) = call.split_once(' ').unwrap_or((&call, "{}"));
    let Some(tool) = tools::find(name.trim()) else {
        return;
    };
    let script = Script::new(parts);
    let mut outcome = tools::call(|| pve(&script), tool.name, arguments);
    for _ in 0..LOOKS {
        check_words(input, &outcome);
        let Ok(Outcome::Running(running)) = outcome else {
            break;
        };
        // The ticket is resumed as it comes back from the host.
        let ticket = Ticket {
            tool: tool.name.to_owned(),
            pending: running.pending,
        };
        let decoded = ticket.encode().and_then(|text| {
            let decoded = Ticket::decode(&text);
            assert_eq!(decoded.as_ref().ok(), Some(&ticket), "{text}");
            decoded
        });
        outcome = decoded.and_then(|ticket| tools::resume(|| pve(&script), ticket));
    }
    for sent in script.sent() {
        assert!(
            sent.method == "GET" || !tool.effects.read_only,
            "{name} is to read, and sent {sent:?}"
        );
        check_request(&sent);
    }
}

/// A ticket, and what Proxmox answers to whoever holds it.
pub fn ticket(input: &[u8]) {
    let mut parts = parts(input);
    let Some(Ok(text)) = parts.next().map(String::from_utf8) else {
        return;
    };
    let ticket = match Ticket::decode(&text) {
        Ok(ticket) => ticket,
        Err(error) => {
            // A ticket is refused in the same words, whatever is in it.
            let known = Ticket::decode("").expect_err("nothing is no ticket");
            assert_eq!(error, known);
            return;
        }
    };
    let encoded = ticket.encode().expect("what was read can be written");
    assert_eq!(Ticket::decode(&encoded).as_ref(), Ok(&ticket));

    let script = Script::new(parts);
    let outcome = tools::resume(|| pve(&script), ticket.clone());
    check_words(input, &outcome);
    for sent in script.sent() {
        assert_eq!(sent.method, "GET", "to look after a task is to read");
        check_request(&sent);
    }

    let script = Script::new([b"200 OK\n{\"data\":null}".to_vec()]);
    let outcome = tools::cancel(|| pve(&script), ticket);
    check_words(input, &outcome.map(Outcome::Done));
    for sent in script.sent() {
        let path = check_request(&sent);
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        assert!(
            matches!(path.as_slice(), ["nodes", _, "tasks", _]),
            "to stop a task is all that a ticket is good for: {sent:?}"
        );
    }
}

fn parts(input: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let mut rest = Some(input);
    std::iter::from_fn(move || {
        let now = rest?;
        let end = now.windows(LINE.len()).position(|window| window == LINE);
        let Some(end) = end else {
            rest = None;
            return Some(now.strip_suffix(b"\n").unwrap_or(now).to_vec());
        };
        rest = now.get(end + LINE.len()..);
        now.get(..end).map(<[u8]>::to_vec)
    })
}

/// A client as it is where no host keeps the secret from it.
fn pve(script: &Script) -> Result<Pve> {
    let settings = Settings::new(|name| {
        let value = match name {
            "PROXMOX_URL" => BASE,
            "PROXMOX_TOKEN_ID" => "mcp@pve!fuzz",
            "PROXMOX_TOKEN_SECRET" => SECRET,
            _ => return None,
        };
        Some(value.to_owned())
    })?;
    Ok(Pve::scripted(settings, script.clone()))
}

/// Whether a request may be sent at all; its path below the API.
fn check_request(sent: &Sent) -> Vec<String> {
    let path = sent
        .url
        .strip_prefix(BASE)
        .and_then(|rest| rest.strip_prefix("/api2/json/"))
        .unwrap_or_else(|| panic!("{sent:?} is not below the API"));
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    // To anyone who tidies up paths it must still be the same.
    let tidy = Url::parse(&sent.url).unwrap_or_else(|error| panic!("{sent:?}: {error}"));
    assert_eq!(tidy.path(), format!("/prefix/api2/json/{path}"), "{sent:?}");
    let path: Vec<String> = path
        .split('/')
        .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
        .collect();
    assert!(
        path.iter()
            .all(|part| !matches!(part.as_str(), "" | "." | "..")),
        "{sent:?} has a segment that names nothing"
    );
    if sent.method == "DELETE" {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        assert!(
            matches!(
                path.as_slice(),
                ["nodes", _, "tasks", _]
                    | ["nodes", _, "qemu" | "lxc", _, "snapshot", _]
                    | ["nodes", _, "qemu" | "lxc", _, "firewall", "rules", _]
                    | ["nodes", _, "firewall", "rules", _]
                    | ["cluster", "firewall", "rules", _]
            ),
            "{sent:?} removes what no tool may remove"
        );
    }
    path
}

/// Whether what is said of a call may be said.
fn check_words(input: &[u8], outcome: &Result<Outcome>) {
    let finished = |finished: &Finished| format!("{} {}", finished.text, finished.structured);
    let words = match outcome {
        Ok(Outcome::Done(done)) => finished(done),
        Ok(Outcome::Running(running)) => {
            assert!(
                running
                    .progress
                    .is_none_or(|progress| (0.0..=1.0).contains(&progress)),
                "a progress of {:?}",
                running.progress
            );
            format!("{} {}", running.message, finished(&running.interim))
        }
        Err(error) => {
            if let Error::FailedTask(task) = error {
                assert!(!task.upid.is_empty(), "a task without its name failed");
            }
            let message = error.message();
            assert!(!message.trim().is_empty(), "{error:?} says nothing");
            format!("{message} {error:?}")
        }
    };
    let told = input
        .windows(SECRET.len())
        .any(|part| part == SECRET.as_bytes());
    assert!(told || !words.contains(SECRET), "the secret is told");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn play(target: &str, run: fn(&[u8])) {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/seeds")
            .join(target);
        let mut played = 0;
        for entry in std::fs::read_dir(&folder).unwrap() {
            run(&std::fs::read(entry.unwrap().path()).unwrap());
            played += 1;
        }
        assert!(played >= 10, "{played} seeds in {}", folder.display());
    }

    #[test]
    fn seeds_of_responses() {
        play("response", response);
    }

    #[test]
    fn seeds_of_tickets() {
        play("ticket", ticket);
    }

    #[test]
    fn answers_steer_calls() {
        let script = Script::new([b"200 OK\n{\"data\":[]}".to_vec()]);
        let outcome = tools::call(|| pve(&script), "list_nodes", "{}");
        assert!(matches!(outcome, Ok(Outcome::Done(_))), "{outcome:?}");
        let sent: Vec<String> = script.sent().into_iter().map(|sent| sent.url).collect();
        assert!(sent.iter().all(|url| url.starts_with(BASE)), "{sent:?}");
    }

    #[test]
    #[should_panic(expected = "removes what no tool may remove")]
    fn a_deletion_would_be_found() {
        check_request(&Sent {
            method: "DELETE",
            url: format!("{BASE}/api2/json/nodes/pve1/qemu/100"),
            form: None,
        });
    }

    #[test]
    #[should_panic(expected = "nodes")]
    fn a_path_that_means_another_would_be_found() {
        check_request(&Sent {
            method: "GET",
            url: format!("{BASE}/api2/json/nodes/../qemu"),
            form: None,
        });
    }
}
