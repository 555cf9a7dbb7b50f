//! Questions at the terminal. Without one, nothing is asked.

use std::io::{self, IsTerminal as _, Write as _};

use zeroize::Zeroizing;

use crate::commands::CommandError;
use crate::render;
use crate::system::terminal::Hidden;

/// The user, if there is one.
#[derive(Debug, Clone, Copy)]
pub(super) struct User {
    /// Whether the user can be asked.
    pub can_answer: bool,
}

impl User {
    /// The one at the terminal, if stdin and stderr are one.
    pub(super) fn new() -> Self {
        Self {
            can_answer: io::stdin().is_terminal() && io::stderr().is_terminal(),
        }
    }

    /// Shows lines on stderr.
    pub(super) fn tell(self, text: &str) {
        let mut stderr = io::stderr().lock();
        // There is nowhere else to say it.
        let _ = writeln!(stderr, "{}", render::for_terminal(text)).and_then(|()| stderr.flush());
    }

    /// Asks for a line. An empty answer is the default.
    pub(super) async fn ask(self, question: &str, default: &str) -> Result<String, CommandError> {
        match default {
            "" => prompt(&format!("{question}: ")),
            _ => prompt(&format!("{question} [{default}]: ")),
        }
        let line = read_line().await?;
        Ok(match line.trim() {
            "" => default.to_owned(),
            answer => answer.to_owned(),
        })
    }

    /// Asks for a line that is not shown.
    async fn ask_secret(self, question: &str) -> Result<Zeroizing<String>, CommandError> {
        // Before the question, so that no answer is too early.
        let hidden = Hidden::new()?;
        prompt(&format!("{question} (not shown): "));
        let line = read_line().await;
        drop(hidden);
        let line = line?;
        prompt("\n");
        Ok(Zeroizing::new(line.trim().to_owned()))
    }

    /// Asks for a line that is not shown, until there is one.
    pub(super) async fn choose_secret(
        self,
        question: &str,
    ) -> Result<Zeroizing<String>, CommandError> {
        loop {
            let secret = self.ask_secret(question).await?;
            if !secret.is_empty() {
                return Ok(secret);
            }
            self.tell("nothing was entered");
        }
    }

    /// Asks until the answer can be used.
    pub(super) async fn choose<T>(
        self,
        question: &str,
        default: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, CommandError> {
        loop {
            match read(&self.ask(question, default).await?) {
                Ok(value) => return Ok(value),
                Err(problem) => self.tell(&problem),
            }
        }
    }

    /// Whether the user answers with `yes`.
    pub(super) async fn agrees(self, question: &str) -> Result<bool, CommandError> {
        let answer = self.ask(&format!("{question} (yes/no)"), "no").await?;
        Ok(matches!(answer.to_ascii_lowercase().as_str(), "yes" | "y"))
    }
}

fn prompt(text: &str) {
    let mut stderr = io::stderr().lock();
    // The question may be lost, the answer is checked.
    let _ = stderr
        .write_all(text.as_bytes())
        .and_then(|()| stderr.flush());
}

/// What is wrong when nobody answers any more.
pub(super) const ENDED: &str = "stdin has ended";

/// A line of stdin. Fails at its end, as nobody answers any more.
async fn read_line() -> Result<Zeroizing<String>, CommandError> {
    let read = tokio::task::spawn_blocking(|| {
        let mut line = Zeroizing::new(String::new());
        let count = io::stdin().read_line(&mut line)?;
        Ok::<_, io::Error>((count > 0).then_some(line))
    });
    let line = read.await.map_err(io::Error::other)??;
    line.ok_or_else(|| {
        prompt("\n");
        CommandError::Usage(ENDED.to_owned())
    })
}
