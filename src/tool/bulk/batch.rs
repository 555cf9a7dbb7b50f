//! Changes several guests, one after the other or a few at a time.

use std::time::{Duration, Instant};

use super::pace::{Pace, Turn};
use super::result::{GuestReport, Reports};
use super::selection::Selected;
use super::{Begun, ChangeGuest};
use crate::error::{Error, Result};
use crate::pve::{Guest, Pve};
use crate::text;
use crate::tool::follow::{Complete, Detail, Look};
use crate::tool::outcome::Reply;
use crate::tool::report::{Report, Status};
use crate::tool::ticket::Pending;
use crate::tool_names;

/// How long a call changes guests before it returns with some not started: MCP clients
/// give a call up after 60 seconds.
const PATIENCE: Duration = Duration::from_secs(45);

/// How much of the time that a guest's first requests take counts: the user may have been
/// asked, and may have taken minutes to answer.
const MOST_COUNTED: Duration = Duration::from_secs(2);

/// How long to wait before the first looks at the tasks, and before later ones.
const FIRST_PAUSES: [Duration; 4] = [Duration::from_millis(250); 4];
const PAUSE: Duration = Duration::from_secs(1);

/// The guests of a call, in the order in which they are changed.
pub(super) struct Batch<'a> {
    pve: &'a Pve,
    change: &'a dyn ChangeGuest,
    complete: Complete,
    pace: Pace,
    entries: Vec<Entry>,
    /// Nothing is begun until this time has passed.
    hold: Duration,
    left_out: Vec<String>,
    notes: Vec<String>,
    words: String,
    preview: bool,
}

struct Entry {
    guest: Guest,
    turn: Turn,
    state: State,
}

enum State {
    Waiting,
    Running(Pending, Box<Report>),
    Ended(Box<Report>),
    Failed(Error),
}

impl<'a> Batch<'a> {
    pub(super) fn new(
        pve: &'a Pve,
        change: &'a dyn ChangeGuest,
        complete: Complete,
        selected: Selected,
    ) -> Self {
        let pace = change.pace();
        let turns = pace.turns(pve, &selected.guests);
        let mut entries: Vec<Entry> = selected
            .guests
            .into_iter()
            .zip(turns)
            .map(|(guest, turn)| Entry {
                guest,
                turn,
                state: State::Waiting,
            })
            .collect();
        crate::order::by_key(&mut entries, |entry| (entry.turn.rank, entry.guest.vmid));
        Self {
            pve,
            change,
            complete,
            pace,
            entries,
            hold: Duration::ZERO,
            left_out: selected.left_out,
            notes: selected.notes,
            words: selected.words,
            preview: selected.preview,
        }
    }

    /// Changes the guests, for as long as there is time. Fails if every guest did.
    pub(super) fn run(self) -> Result<Reports> {
        self.run_for(PATIENCE)
    }

    fn run_for(mut self, patience: Duration) -> Result<Reports> {
        let follows = self.change.wait() != Some(false) && !self.preview;
        let mut left = patience;
        let mut pauses = FIRST_PAUSES.into_iter();
        loop {
            left = left.saturating_sub(self.begin_those_whose_turn_it_is(left, follows));
            let is_open = self.entries.iter().any(Entry::is_open);
            if !is_open || !follows || left.is_zero() {
                break;
            }
            let pause = pauses.next().unwrap_or(PAUSE);
            self.pve.pause(pause);
            let looked = self.look();
            let passed = pause.saturating_add(looked);
            self.hold = self.hold.saturating_sub(passed);
            left = left.saturating_sub(passed);
        }
        self.finish()
    }

    /// Begins changes, and returns how much time that took. A call that does not follow
    /// its tasks begins all of them, in their order.
    fn begin_those_whose_turn_it_is(&mut self, left: Duration, follows: bool) -> Duration {
        let mut spent = Duration::ZERO;
        while spent < left || !follows {
            let Some(index) = self.next(follows) else {
                break;
            };
            let started = Instant::now();
            let state = self.begin(index);
            spent = spent.saturating_add(started.elapsed().min(MOST_COUNTED));
            self.set(index, state);
        }
        spent
    }

    /// The first guest that waits and may be begun.
    fn next(&self, follows: bool) -> Option<usize> {
        let waits = |entry: &&Entry| matches!(entry.state, State::Waiting);
        if !follows {
            return self.entries.iter().position(|entry| waits(&entry));
        }
        let first = self.entries.iter().find(waits)?;
        let running = || self.entries.iter().filter(|entry| entry.is_running());
        let is_earlier = |entry: &Entry| entry.turn.rank < first.turn.rank;
        if running().any(is_earlier) || !self.hold.is_zero() {
            return None;
        }
        self.entries.iter().position(|entry| {
            let on_its_node = running().filter(|other| other.guest.node == entry.guest.node);
            waits(&entry)
                && entry.turn.rank == first.turn.rank
                && self.pace.has_room(running().count(), on_its_node.count())
        })
    }

    fn begin(&self, index: usize) -> Result<State> {
        let Some(entry) = self.entries.get(index) else {
            return Ok(State::Waiting);
        };
        entry.guest.reachable(self.pve)?;
        let begun: Begun = entry
            .guest
            .clone()
            .retry_if_moved(self.pve, |guest| {
                self.change.begin(self.pve, guest, self.preview)
            })?
            .1;
        Ok(match begun.reply(self.change.wait())? {
            Reply::Done(report, _) => State::Ended(Box::new(report)),
            Reply::Running(pending, interim, _) => State::Running(pending, Box::new(interim)),
        })
    }

    /// Looks once at everything that is running, and returns how long that took.
    fn look(&mut self) -> Duration {
        let started = Instant::now();
        for index in 0..self.entries.len() {
            let Some(entry) = self.entries.get_mut(index) else {
                continue;
            };
            let pending = match std::mem::replace(&mut entry.state, State::Waiting) {
                State::Running(pending, _) => pending,
                other => {
                    entry.state = other;
                    continue;
                }
            };
            let look = pending.look(self.pve, self.complete, Detail::StatusOnly);
            let state = look.map(|look| match look {
                Look::Ended(report) => State::Ended(Box::new(report)),
                Look::Running {
                    pending, interim, ..
                } => State::Running(pending, Box::new(interim)),
            });
            self.set(index, state);
        }
        started.elapsed()
    }

    fn set(&mut self, index: usize, state: Result<State>) {
        let Some(entry) = self.entries.get_mut(index) else {
            return;
        };
        entry.state = state.unwrap_or_else(State::Failed);
        let (rank, up) = (entry.turn.rank, entry.turn.up);
        let has_changed =
            matches!(&entry.state, State::Ended(report) if report.status != Status::Unchanged);
        let is_awaited = self
            .entries
            .iter()
            .any(|other| matches!(other.state, State::Waiting) && other.turn.rank > rank);
        if has_changed && is_awaited && !self.preview {
            self.hold = self.hold.max(up);
        }
    }

    fn finish(self) -> Result<Reports> {
        let verb = self.change.verb();
        let not_started: Vec<String> = self
            .entries
            .iter()
            .filter(|entry| matches!(entry.state, State::Waiting))
            .map(|entry| entry.guest.vmid.to_string())
            .collect();
        let is_running = self.entries.iter().any(Entry::is_running);
        let first_error = self.entries.iter().find_map(|entry| match &entry.state {
            State::Failed(error) => Some(error.clone()),
            _ => None,
        });
        let guests = self.entries.into_iter().map(Entry::report).collect();
        let reports = Reports::new(
            &verb,
            &self.words,
            guests,
            self.left_out,
            self.notes,
            self.preview,
        );
        let counts = reports.counts();
        match first_error {
            Some(error) if counts.failed == counts.total && !self.preview => {
                let message = format!(
                    "{verb} {}{}: all failed: {}",
                    text::count(counts.total, "guest"),
                    self.words,
                    reports.failures()
                );
                return Err(error.with_message(message));
            }
            _ => {}
        }
        let mut steps = Vec::new();
        if !not_started.is_empty() {
            steps.push(format!(
                "this call ran out of time: call again with vmids [{}] for the guests that were not \
                 started",
                not_started.join(", ")
            ));
        }
        if is_running {
            steps.push(format!(
                "call {} with a guest's upid to follow its task",
                tool_names::WAIT_TASK
            ));
        }
        Ok(reports.next((!steps.is_empty()).then(|| steps.join("; "))))
    }
}

impl Entry {
    fn is_running(&self) -> bool {
        match &self.state {
            State::Running(..) => true,
            // A task that is not followed still holds its place.
            State::Ended(report) => report.status == Status::Running,
            State::Waiting | State::Failed(_) => false,
        }
    }

    fn is_open(&self) -> bool {
        matches!(self.state, State::Waiting | State::Running(..))
    }

    fn report(self) -> GuestReport {
        let guest = &self.guest;
        match &self.state {
            State::Waiting => GuestReport::new(guest, Status::NotStarted),
            State::Running(_, report) | State::Ended(report) => GuestReport::of(guest, report),
            State::Failed(error) => GuestReport::failed(guest, text::cut(&error.message(), 400)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pve::Script;
    use crate::settings::Settings;
    use crate::tool::bulk::Selector;

    struct Start;

    impl ChangeGuest for Start {
        fn selector(&self) -> Selector<'_> {
            unreachable!("the guests are given")
        }

        fn verb(&self) -> String {
            "start".into()
        }

        fn pace(&self) -> Pace {
            Pace::Any
        }

        fn begin(&self, _: &Pve, guest: &Guest, _: bool) -> Result<Begun> {
            Ok(Begun::Ended(Report::done("start").on(guest)))
        }
    }

    fn run_for(patience: Duration) -> Reports {
        let pve = Pve::scripted(Settings::sample(), Script::default());
        let guests = [100, 101].map(|vmid| {
            let json = format!(r#"{{"vmid":{vmid},"type":"qemu","node":"a","status":"stopped"}}"#);
            serde_json::from_str(&json).unwrap()
        });
        let selected = Selected {
            guests: guests.into(),
            left_out: Vec::new(),
            notes: Vec::new(),
            words: " with tag web".into(),
            preview: false,
        };
        let batch = Batch::new(&pve, &Start, |_, _, report| report, selected);
        batch.run_for(patience).unwrap()
    }

    #[test]
    fn guests_that_are_not_started_in_time_are_named() {
        let text = run_for(Duration::ZERO).text();
        assert!(
            text.starts_with("start 2 guests with tag web: 2 not started"),
            "{text}"
        );
        assert!(text.contains("call again with vmids [100, 101]"), "{text}");
        let text = run_for(PATIENCE).text();
        assert_eq!(text, "start 2 guests with tag web: 2 done");
    }
}
