//! How long a call waits for its task.

use std::env;
use std::time::Duration;

use crate::bindings::proxmox::mcp::tools::{Outcome, Pending, ToolError, ToolResult};
use crate::failure::Failure;
use crate::{Answer, Kind};

/// Names the seconds in the environment.
const VARIABLE: &str = "PROXMOX_MCP_WAIT_SECONDS";

/// Most clients give up after a minute.
const DEFAULT_SECONDS: u64 = 45;

const MOST_SECONDS: u64 = 3600;

/// The component says when to look again. This keeps a mistake there from
/// becoming a flood of requests.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// How long a call waits for its task, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience(Duration);

/// What is known of a task that is being waited for.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// What is going on, for a person.
    pub message: String,
    /// From 0 to 1, where the task's log tells.
    pub fraction: Option<f32>,
}

/// What the wait needs of the world.
pub(crate) trait Follow {
    /// The time since the call began.
    fn waited(&self) -> Duration;

    /// Waits this long before the next look at the task.
    fn sleep(&mut self, time: Duration);

    /// Looks after the task once.
    fn resume(&mut self, ticket: &str) -> Result<Outcome, ToolError>;
}

impl Patience {
    /// For so long.
    pub const fn new(longest: Duration) -> Self {
        Self(longest)
    }

    /// As `PROXMOX_MCP_WAIT_SECONDS` says: a whole number from 0 to 3600,
    /// otherwise 45. Fails where it is anything else, so that a call with a
    /// wrong setting starts nothing.
    pub fn from_env() -> Result<Self, Failure> {
        Self::read(env::var(VARIABLE).ok().as_deref().unwrap_or_default())
    }

    fn read(text: &str) -> Result<Self, Failure> {
        let seconds = match text.trim() {
            "" => Some(DEFAULT_SECONDS),
            text => text.parse().ok().filter(|seconds| *seconds <= MOST_SECONDS),
        };
        let seconds = seconds.ok_or_else(|| {
            Failure::new(
                Kind::Internal,
                format!(
                    "{VARIABLE} is {text:?}: give the seconds to wait for a task as a whole \
                     number from 0 to {MOST_SECONDS}"
                ),
            )
        })?;
        Ok(Self(Duration::from_secs(seconds)))
    }

    /// Follows a call to its end, or as far as the time allows.
    pub(crate) fn settle(
        self,
        mut outcome: Outcome,
        world: &mut dyn Follow,
        on_progress: &mut dyn FnMut(&Progress),
    ) -> Result<Answer, Failure> {
        loop {
            let pending = match outcome {
                Outcome::Done(result) => return Ok(Answer::new(result, false)),
                Outcome::Running(pending) => pending,
            };
            on_progress(&Progress::of(&pending));
            let pause = Duration::from_millis(pending.retry_after_ms.into()).max(SHORTEST_PAUSE);
            outcome = loop {
                let left = self.0.saturating_sub(world.waited());
                if left.is_zero() {
                    return Ok(Answer::new(pending.interim, true));
                }
                world.sleep(pause.min(left));
                match world.resume(&pending.ticket) {
                    // The task continues all the same.
                    Err(ToolError::Unreachable(_)) => {}
                    looked => break looked?,
                }
            };
        }
    }
}

impl Progress {
    fn of(pending: &Pending) -> Self {
        Self {
            message: pending.message.clone(),
            fraction: pending.progress,
        }
    }
}

impl Answer {
    fn new(result: ToolResult, running: bool) -> Self {
        Self {
            structured: result.structured,
            text: result.text,
            running,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A task that ends after so many looks, on a clock that only sleeping
    /// moves.
    struct Task {
        now: Duration,
        looks_left: u32,
        looks: Vec<Duration>,
        end: Result<Outcome, ToolError>,
    }

    impl Follow for Task {
        fn waited(&self) -> Duration {
            self.now
        }

        fn sleep(&mut self, time: Duration) {
            self.now += time;
        }

        fn resume(&mut self, ticket: &str) -> Result<Outcome, ToolError> {
            assert_eq!(ticket, "ticket");
            self.looks.push(self.now);
            self.looks_left -= 1;
            match self.looks_left {
                0 => self.end.clone(),
                _ => Ok(running(2000)),
            }
        }
    }

    fn result(structured: &str) -> ToolResult {
        ToolResult {
            structured: structured.to_owned(),
            text: String::new(),
        }
    }

    fn running(retry_after_ms: u32) -> Outcome {
        Outcome::Running(Pending {
            ticket: "ticket".to_owned(),
            message: "clone: 10%".to_owned(),
            progress: Some(0.1),
            retry_after_ms,
            interim: result("interim"),
            task: None,
        })
    }

    fn task(looks_left: u32, end: Result<Outcome, ToolError>) -> Task {
        Task {
            now: Duration::ZERO,
            looks_left,
            looks: Vec::new(),
            end,
        }
    }

    fn settle(task: &mut Task, seconds: u64) -> Result<Answer, Failure> {
        let patience = Patience::new(Duration::from_secs(seconds));
        patience.settle(running(500), task, &mut |_| {})
    }

    #[test]
    fn a_task_is_followed_to_its_end() {
        let mut task = task(3, Ok(Outcome::Done(result("done"))));
        let answer = settle(&mut task, 45).unwrap();
        assert_eq!(answer.structured, "done");
        assert!(!answer.running);
        assert_eq!(
            task.looks,
            [500, 2500, 4500].map(Duration::from_millis),
            "as often as the component asks for"
        );
    }

    #[test]
    fn a_wait_that_is_over_gives_the_interim_result() {
        let mut task = task(100, Ok(Outcome::Done(result("done"))));
        let answer = settle(&mut task, 3).unwrap();
        assert_eq!(answer.structured, "interim");
        assert!(answer.running);
        assert_eq!(task.looks, [500, 2500, 3000].map(Duration::from_millis));
    }

    #[test]
    fn no_patience_looks_at_nothing() {
        let mut task = task(1, Ok(Outcome::Done(result("done"))));
        assert!(settle(&mut task, 0).unwrap().running);
        assert_eq!(task.looks, []);
    }

    #[test]
    fn a_task_that_fails_is_a_failure() {
        let mut task = task(1, Err(ToolError::Conflict("locked".to_owned())));
        let failure = settle(&mut task, 45).unwrap_err();
        assert_eq!(
            (failure.kind, failure.text().as_str()),
            (Kind::Conflict, "locked")
        );
    }

    #[test]
    fn a_node_that_does_not_answer_is_asked_until_the_wait_is_over() {
        struct Away(Task);
        impl Follow for Away {
            fn waited(&self) -> Duration {
                self.0.now
            }
            fn sleep(&mut self, time: Duration) {
                self.0.sleep(time);
            }
            fn resume(&mut self, ticket: &str) -> Result<Outcome, ToolError> {
                if self.0.now < Duration::from_secs(2) {
                    return Err(ToolError::Unreachable("no answer".to_owned()));
                }
                self.0.resume(ticket)
            }
        }
        let mut away = Away(task(1, Ok(Outcome::Done(result("done")))));
        let follow = |away: &mut Away, seconds| {
            Patience::new(Duration::from_secs(seconds))
                .settle(running(500), away, &mut |_| {})
                .unwrap()
        };
        assert_eq!(follow(&mut away, 1).structured, "interim");
        assert_eq!(follow(&mut away, 45).structured, "done");
    }

    #[test]
    fn an_immediate_retry_is_still_paused() {
        let mut task = task(2, Ok(Outcome::Done(result("done"))));
        let patience = Patience::new(Duration::from_secs(45));
        let mut seen = Vec::new();
        patience
            .settle(running(0), &mut task, &mut |progress| {
                seen.push(progress.clone());
            })
            .unwrap();
        assert_eq!(task.looks, [100, 2100].map(Duration::from_millis));
        assert_eq!(seen.len(), 2);
        assert_eq!(seen.first().unwrap().fraction, Some(0.1));
    }

    #[test]
    fn seconds_are_read_and_others_refused() {
        for (text, seconds) in [("", 45), ("0", 0), (" 90 ", 90), ("3600", 3600)] {
            let patience = Patience::read(text).unwrap();
            assert_eq!(patience, Patience::new(Duration::from_secs(seconds)));
        }
        for text in ["3601", "-1", "1.5", "soon"] {
            let failure = Patience::read(text).unwrap_err();
            assert!(failure.text().contains(&format!("{text:?}")), "{failure:?}");
        }
    }
}
