//! Asks the user about a change, while the call that is to make it waits.
//!
//! The request that was shown is the one that is sent: it stays inside the call
//! until the answer comes. So a yes cannot be used for another request, nor
//! twice.

use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use host_runner_policy::{ApiRequest, Consequences, Directory, Meaning, Method};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::redact;
use crate::turn::Turn;

/// How long the user may take to answer.
pub(crate) const ANSWER_TIME: Duration = Duration::from_secs(10 * 60);
/// Calls that may wait for their users at the same time; half of them, for the same user
/// over HTTP. Each may hold what an
/// instance takes without asking, beside the calls that run.
pub(crate) const MAX_WAITING: usize = 8;
/// The longest change that is shown to the user, in bytes. What does not fit
/// is refused: a part of it would hide the rest.
const MAX_SHOWN_BYTES: usize = 16 * 1024;

/// Takes the questions of one call to the client or terminal of its user.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    questions: mpsc::Sender<Question>,
    closing: CancellationToken,
}

/// A change that waits for the user's answer. Dropped without one, the answer
/// is no.
#[derive(Debug)]
pub(crate) struct Question {
    /// What is about to be sent.
    pub change: Change,
    answer: oneshot::Sender<bool>,
}

/// A change as it is shown to the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// The request: its first line names method and path, each further one a
    /// parameter.
    pub text: String,
    /// What it is about, what happens, what harm that may do and what cannot be undone,
    /// line by line.
    about: String,
    /// The cluster that it is sent to, where there are several.
    cluster: Option<Arc<str>>,
    /// It changes nothing in Proxmox VE, but makes a node connect to something.
    is_read: bool,
}

impl Change {
    /// What the user is asked before a tool makes the change.
    pub(crate) fn question(&self, tool: &str) -> String {
        let what = match self.is_read {
            true => "send a request to",
            false => "make a change in",
        };
        let cluster = self.cluster.iter();
        let cluster: String = cluster.map(|name| format!("Cluster: {name}\n")).collect();
        format!(
            "{tool} wants to {what} Proxmox VE.\n{cluster}{}The whole request:\n{}\nAllow it?",
            self.about, self.text
        )
    }
}

/// How a question ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    No,
    /// The user cannot be asked.
    Unavailable,
    /// [`MAX_WAITING`] calls wait already, or half as many of the same user.
    Crowd,
    /// The change is longer than [`MAX_SHOWN_BYTES`].
    TooLong,
    /// No answer came within [`ANSWER_TIME`].
    Late,
}

/// The time that a call has spent waiting for its user.
#[derive(Debug, Default)]
pub(super) struct Pause {
    /// Held while a question of the call is open.
    one: tokio::sync::Mutex<()>,
    time: Mutex<Waited>,
}

#[derive(Debug, Default)]
struct Waited {
    before: Duration,
    since: Option<Instant>,
}

impl Asker {
    /// An asker for a call, and where its questions arrive. Once `closing` is cancelled,
    /// nobody can answer: that is a no.
    pub(crate) fn new(closing: CancellationToken) -> (Self, mpsc::Receiver<Question>) {
        let (questions, receiver) = mpsc::channel(1);
        (Self { questions, closing }, receiver)
    }

    /// Asks, and waits for the answer. Another call may use this one's `turn`
    /// until then, if it is given.
    pub(super) async fn ask(&self, change: Change, pause: &Pause, turn: Option<&Turn>) -> Answer {
        if change.text.len() > MAX_SHOWN_BYTES {
            return Answer::TooLong;
        }
        let _one = pause.one.lock().await;
        let _waiting = pause.begin();
        let given_up = turn.and_then(|turn| Some((turn, turn.give_up()?)));
        let answer = self.answer(change).await;
        if let Some((turn, given_up)) = given_up {
            turn.take_back(given_up).await;
        }
        answer
    }

    async fn answer(&self, change: Change) -> Answer {
        let (answer, answered) = oneshot::channel();
        if self
            .questions
            .send(Question { change, answer })
            .await
            .is_err()
        {
            return Answer::No;
        }
        let answered = tokio::time::timeout(ANSWER_TIME, answered);
        let answered = tokio::select! {
            answered = answered => answered,
            () = self.closing.cancelled() => return Answer::No,
        };
        match answered {
            Ok(Ok(true)) => Answer::Yes,
            Ok(Ok(false) | Err(_)) => Answer::No,
            Err(_) => Answer::Late,
        }
    }
}

impl Question {
    /// Returns when the call no longer waits for the answer.
    pub(crate) async fn expired(&mut self) {
        self.answer.closed().await;
    }

    /// Lets the change be sent, or refuses it.
    pub(crate) fn answer(self, agreed: bool) {
        // A call that has ended does not wait for it any more.
        let _ = self.answer.send(agreed);
    }
}

impl Change {
    /// A request, whole: a command with all its words, and of other parameters
    /// all but what is a password, a key or a token. No character of it is
    /// invisible or turns the direction of writing.
    pub(super) fn new(request: &ApiRequest, meaning: &Meaning, guests: &Directory) -> Self {
        let mut text = format!("{} {}", request.method.as_str(), visible(&request.path()));
        for (name, value) in redact::asked(&request.params) {
            text.push_str(&format!("\n  {} = {value:?}", name.escape_debug()));
        }
        Self {
            text,
            about: about(request, meaning, guests),
            cluster: None,
            is_read: request.method == Method::Get,
        }
    }

    /// The same, for the cluster of this name.
    pub(super) fn of_cluster(self, cluster: Option<&Arc<str>>) -> Self {
        Self {
            cluster: cluster.cloned(),
            ..self
        }
    }
}

/// Guests and nodes that are named before the request, which names them all.
const MAX_NAMED: usize = 10;

/// What a request is about and what it does, as the request itself shows it. Only the
/// names of guests are from Proxmox VE: their owners choose them, so they are quoted,
/// and nothing in them can be taken for a line of the question.
fn about(request: &ApiRequest, meaning: &Meaning, guests: &Directory) -> String {
    let guest = |vmid: &u32| match guests.get(vmid).and_then(|guest| guest.name.as_deref()) {
        Some(name) => format!("{vmid}, named {name:?} in Proxmox VE"),
        None => vmid.to_string(),
    };
    let vmids = |all: &[u32]| listed(all.iter().map(guest), "; ");
    let nodes = meaning.nodes.iter().map(|node| visible(node));
    let Consequences {
        happens,
        harm,
        irreversible,
    } = Consequences::of(request, meaning);
    let lines = [
        ("Guest", vmids(&meaning.vmids)),
        ("New guest", vmids(&meaning.new_vmids)),
        ("Node", listed(nodes, ", ")),
        ("What happens", happens.join(" ")),
        ("Possible harm", harm.join(" ")),
        ("What cannot be undone", irreversible.join(" ")),
    ];
    let mut about = String::new();
    for (name, value) in lines {
        if !value.is_empty() {
            about.push_str(&format!("{name}: {value}\n"));
        }
    }
    about
}

/// The first ones, and how many more there are.
fn listed(all: impl ExactSizeIterator<Item = String>, between: &str) -> String {
    let more = all.len().saturating_sub(MAX_NAMED);
    let mut text = all.take(MAX_NAMED).collect::<Vec<_>>().join(between);
    if more > 0 {
        text.push_str(&format!("{between}and {more} more"));
    }
    text
}

/// A path in which every character is seen. Quotes and backslashes are in the
/// names of users.
fn visible(path: &str) -> String {
    let mut shown = String::with_capacity(path.len());
    for c in path.chars() {
        match c {
            '\'' | '"' | '\\' => shown.push(c),
            c => shown.extend(c.escape_debug()),
        }
    }
    shown
}

impl Answer {
    /// Why the change is not sent, unless the user agreed.
    pub(super) fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Yes => None,
            Self::No => Some("the user did not agree to this change"),
            Self::Unavailable => {
                Some("the policy requires the user's consent, and this client cannot ask for it")
            }
            Self::Crowd => Some(
                "too many other calls already wait for the user's answer: answer these first, then \
                 call again",
            ),
            Self::TooLong => Some("the request is too long to show to the user in full"),
            Self::Late => Some("the user did not answer within ten minutes"),
        }
    }
}

impl Pause {
    /// In all, up to now.
    pub(super) fn total(&self) -> Duration {
        let time = self.time();
        time.before + time.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn begin(&self) -> impl Drop {
        struct End<'a>(&'a Pause);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                let mut time = self.0.time();
                let last = time.since.take().map_or(Duration::ZERO, |at| at.elapsed());
                time.before += last;
            }
        }
        self.time().since = Some(Instant::now());
        End(self)
    }

    fn time(&self) -> MutexGuard<'_, Waited> {
        self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use host_runner_policy::{Action, Resident};

    use super::*;

    fn change(params: &[(&str, &str)]) -> Change {
        let form: Vec<_> = params
            .iter()
            .map(|(name, value)| {
                let bytes = value.bytes().map(|byte| format!("%{byte:02X}"));
                format!("{name}={}", bytes.collect::<String>())
            })
            .collect();
        let request = ApiRequest::parse(
            "POST",
            "/api2/json/nodes/pve1/qemu/100/agent/exec",
            Some("application/x-www-form-urlencoded"),
            form.join("&").as_bytes(),
        );
        Change::new(&request.unwrap(), &Meaning::default(), &Directory::new())
    }

    fn shutdown(name: &str) -> String {
        let path = "/api2/json/nodes/pve1/qemu/103/status/shutdown";
        let request = ApiRequest::parse("POST", path, None, b"").unwrap();
        let meaning = Meaning {
            actions: vec![Action::Shutdown],
            nodes: vec!["pve1".to_owned()],
            vmids: vec![103],
            ..Meaning::default()
        };
        let guest = Resident {
            name: Some(name.to_owned()),
            ..Resident::default()
        };
        let guests = Directory::from([(103, guest)]);
        Change::new(&request, &meaning, &guests).question("stop_guest")
    }

    #[test]
    fn a_question_says_what_happens_to_what() {
        assert_eq!(
            shutdown("db01"),
            "stop_guest wants to make a change in Proxmox VE.\n\
             Guest: 103, named \"db01\" in Proxmox VE\n\
             Node: pve1\n\
             What happens: The guest is shut down.\n\
             Possible harm: The guest's services are interrupted.\n\
             The whole request:\n\
             POST /nodes/pve1/qemu/103/status/shutdown\n\
             Allow it?"
        );
    }

    #[test]
    fn a_read_is_not_called_a_change() {
        let path = "/api2/json/nodes/pve1/query-url-metadata";
        let request = ApiRequest::parse("GET", path, None, b"").unwrap();
        let meaning = Meaning {
            actions: vec![Action::Download],
            nodes: vec!["pve1".to_owned()],
            ..Meaning::default()
        };
        let change = Change::new(&request, &meaning, &Directory::new());
        assert_eq!(
            change.question("download_iso"),
            "download_iso wants to send a request to Proxmox VE.\n\
             Node: pve1\n\
             What happens: A node connects to a URL to read its metadata.\n\
             The whole request:\n\
             GET /nodes/pve1/query-url-metadata\n\
             Allow it?"
        );
    }

    #[test]
    fn only_what_is_lost_for_good_is_said_to_be_irreversible() {
        let path = "/api2/json/nodes/pve1/qemu/103/status/stop";
        let request = ApiRequest::parse("POST", path, None, b"").unwrap();
        let meaning = Meaning {
            actions: vec![Action::Shutdown, Action::HardStop],
            ..Meaning::default()
        };
        let question = Change::new(&request, &meaning, &Directory::new()).question("stop_guest");
        let lines = "Possible harm: The guest's services are interrupted.\n\
                     What cannot be undone: What the guest has not yet written to its disks is \
                     lost.\n";
        assert!(question.contains(lines), "{question}");
    }

    /// Who owns a guest chooses its name.
    #[test]
    fn the_name_of_a_guest_cannot_forge_a_line() {
        let lines = shutdown("db01").lines().count();
        for name in [
            "a\nWhat happens: nothing",
            "a\r\nAllow it?",
            "a\u{2028}b\u{85}c",
            "a\" in Proxmox VE\u{202e}\u{200b}",
            "\u{1b}[2J",
        ] {
            let question = shutdown(name);
            assert_eq!(question.lines().count(), lines, "{question}");
            let line = question.lines().nth(1).unwrap();
            assert!(line.starts_with("Guest: 103, named \""), "{line}");
            assert!(line.ends_with("\" in Proxmox VE"), "{line}");
            for forged in ['\u{2028}', '\u{85}', '\u{202e}', '\u{200b}', '\u{1b}', '\r'] {
                assert!(!question.contains(forged), "{question:?}");
            }
        }
        // A quote in a name does not end it.
        assert!(shutdown("a\" b").contains(r#"named "a\" b" in"#));
    }

    #[test]
    fn many_guests_are_counted() {
        let all = |count: usize| listed((0..count).map(|one| one.to_string()), ", ");
        assert_eq!(all(2), "0, 1");
        assert_eq!(all(12), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, and 2 more");
    }

    #[test]
    fn a_command_is_shown_whole() {
        let change = change(&[
            ("command", "sh"),
            ("command", "-c"),
            ("command", "mount /dev/sdb1 /mnt && rm -rf /mnt/x"),
        ]);
        assert_eq!(
            change.text,
            "POST /nodes/pve1/qemu/100/agent/exec\n  command = \"sh\"\n  command = \"-c\"\n  \
             command = \"mount /dev/sdb1 /mnt && rm -rf /mnt/x\""
        );
    }

    #[test]
    fn no_part_of_a_command_looks_like_a_secret() {
        for command in [
            &["git", "-c", "credential.helper=!poweroff", "fetch"][..],
            &["env", "VAULT_TOKEN_HELPER=/tmp/evil", "vault", "login"],
            &["rm", "-rf", "/srv/token=x/../../etc"],
            &["find", "/srv", "-name", "token=x", "-delete"],
            &["mysql", "-pHush1", "--password=hush2", "shop"],
        ] {
            let params: Vec<_> = command.iter().map(|word| ("command", *word)).collect();
            let text = change(&params).text;
            for word in command {
                assert!(text.contains(&format!("command = {word:?}")), "{text}");
            }
        }
        let text = change(&[("command", "sh"), ("input-data", "token=x/../../etc")]).text;
        assert!(
            text.ends_with("input-data = \"token=x/../../etc\""),
            "{text}"
        );
        // What no guest acts on is still hidden.
        let text = change(&[("cipassword", "hush"), ("description", "password=hush")]).text;
        assert!(!text.contains("hush"), "{text}");
    }

    #[test]
    fn nothing_in_a_path_is_invisible() {
        assert_eq!(
            visible("/nodes/pve1/tasks/UPID:pve1:1:1:1:qmstart:1\u{202e}\u{200b}0:LAB\\o'né@ldap:"),
            "/nodes/pve1/tasks/UPID:pve1:1:1:1:qmstart:1\\u{202e}\\u{200b}0:LAB\\o'né@ldap:"
        );
    }

    #[tokio::test]
    async fn an_unanswered_question_is_a_no() {
        let (asker, mut questions) = Asker::new(CancellationToken::new());
        let pause = Pause::default();
        let short = change(&[("command", "id")]);
        let (answer, ()) = tokio::join!(asker.ask(short.clone(), &pause, None), async {
            drop(questions.recv().await);
        });
        assert_eq!(answer, Answer::No);
        drop(questions);
        assert_eq!(asker.ask(short, &pause, None).await, Answer::No);
        let long = "x".repeat(MAX_SHOWN_BYTES);
        let long = change(&[("command", &long)]);
        assert_eq!(asker.ask(long, &pause, None).await, Answer::TooLong);
    }
}
