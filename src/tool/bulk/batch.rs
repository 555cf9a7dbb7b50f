//! Changes several guests, one after the other or a few at a time.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::pace::{Pace, SILENCE, Turn};
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
    /// Nodes that do not answer.
    silent: BTreeSet<String>,
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
    /// Its node does not answer.
    OutOfReach,
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
            silent: BTreeSet::new(),
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
    /// its tasks begins those that need not wait for others.
    fn begin_those_whose_turn_it_is(&mut self, left: Duration, follows: bool) -> Duration {
        let mut spent = Duration::ZERO;
        while spent < left || !follows {
            let Some(index) = self.next(follows) else {
                break;
            };
            let started = Instant::now();
            let state = self.begin(index);
            let passed = started.elapsed();
            let is_silent = matches!(state, Err(Error::Unreachable(_)));
            spent = spent.saturating_add(match is_silent {
                true => passed,
                false => passed.min(MOST_COUNTED),
            });
            self.set(index, state);
            if is_silent && passed >= SILENCE {
                self.give_up_node_of(index);
            }
        }
        spent
    }

    /// Begins no other change on the node of a guest: each would wait as long in vain.
    fn give_up_node_of(&mut self, index: usize) {
        let Some(node) = self.entries.get(index).map(|one| one.guest.node.clone()) else {
            return;
        };
        for entry in &mut self.entries {
            if entry.guest.node == node && matches!(entry.state, State::Waiting) {
                entry.state = State::OutOfReach;
            }
        }
        self.silent.insert(node);
    }

    /// The first guest that waits and may be begun.
    fn next(&self, follows: bool) -> Option<usize> {
        let waits = |entry: &&Entry| matches!(entry.state, State::Waiting);
        let first = self.entries.iter().find(waits)?;
        let running = || self.entries.iter().filter(|entry| entry.is_running());
        let is_earlier = |entry: &Entry| entry.turn.rank < first.turn.rank;
        if running().any(is_earlier) || !self.hold.is_zero() {
            return None;
        }
        self.entries.iter().position(|entry| {
            let on_its_node = running().filter(|other| other.guest.node == entry.guest.node);
            // Without following them, it is not known when others have made room.
            let in_all = if follows { running().count() } else { 0 };
            waits(&entry)
                && entry.turn.rank == first.turn.rank
                && self.pace.has_room(in_all, on_its_node.count())
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
            Reply::Done(report, _) | Reply::Listed(report, ..) => State::Ended(Box::new(report)),
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

    /// What has to be over before the next guests may be begun, as the start of a sentence;
    /// nothing if only time was missing.
    fn what_comes_first(&self, running: &[String]) -> String {
        let waits = |entry: &&Entry| matches!(entry.state, State::Waiting);
        let Some(next) = self.entries.iter().find(waits) else {
            return String::new();
        };
        let is_earlier = |entry: &&Entry| entry.turn.rank < next.turn.rank;
        let earlier = self
            .entries
            .iter()
            .filter(|entry| is_earlier(entry) && entry.is_running());
        let delay = earlier
            .clone()
            .map(|entry| entry.turn.up)
            .fold(self.hold, Duration::max);
        let is_blocked = earlier.count() > 0 || self.pace == Pace::OnePerNode;
        let mut before = String::new();
        if is_blocked && !running.is_empty() {
            before = format!(
                "first call {} for {}; ",
                tool_names::WAIT_TASK,
                text::names(running.iter().map(String::as_str))
            );
        }
        if !delay.is_zero() {
            let seconds = delay
                .as_secs()
                .saturating_add(1)
                .saturating_sub(u64::from(delay.subsec_nanos() == 0));
            before.push_str(&format!(
                "then wait {seconds} s, the delay in their startup order; "
            ));
        }
        before
    }

    fn finish(self) -> Result<Reports> {
        let verb = self.change.verb();
        let not_started: Vec<String> = self
            .entries
            .iter()
            .filter(|entry| matches!(entry.state, State::Waiting))
            .map(|entry| entry.guest.vmid.to_string())
            .collect();
        let running: Vec<String> = self
            .entries
            .iter()
            .filter(|entry| entry.is_running())
            .filter_map(Entry::upid)
            .collect();
        let is_running = self.entries.iter().any(Entry::is_running);
        let before = self.what_comes_first(&running);
        let is_in_time = self.change.wait() == Some(false);
        let silent: Vec<(String, Vec<String>)> = self
            .silent
            .iter()
            .map(|node| {
                let guests = self.entries.iter().filter(|entry| {
                    entry.guest.node == *node && matches!(entry.state, State::OutOfReach)
                });
                let vmids = guests.map(|entry| entry.guest.vmid.to_string());
                (node.clone(), vmids.collect())
            })
            .collect();
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
            let why = match is_in_time {
                true => "this call does not wait, and other guests come first",
                false => "this call ran out of time",
            };
            steps.push(format!(
                "{why}: {before}call again with vmids [{}] for the guests that were not started",
                not_started.join(", ")
            ));
        }
        for (node, vmids) in silent.iter().filter(|(_, vmids)| !vmids.is_empty()) {
            steps.push(format!(
                "node {node} does not answer, so its other guests were not started: {} shows its \
                 state; once it answers, call again with vmids [{}]",
                tool_names::GET_CLUSTER_STATUS,
                vmids.join(", ")
            ));
        }
        if is_running && before.is_empty() {
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
            State::Waiting | State::Failed(_) | State::OutOfReach => false,
        }
    }

    /// The task that changes it.
    fn upid(&self) -> Option<String> {
        match &self.state {
            State::Running(_, report) | State::Ended(report) => report.upid.clone(),
            State::Waiting | State::Failed(_) | State::OutOfReach => None,
        }
    }

    fn is_open(&self) -> bool {
        matches!(self.state, State::Waiting | State::Running(..))
    }

    fn report(self) -> GuestReport {
        let guest = &self.guest;
        match &self.state {
            State::Waiting => GuestReport::new(guest, Status::NotStarted),
            State::OutOfReach => {
                GuestReport::not_started(guest, format!("node {} does not answer", guest.node))
            }
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

    const UPID: &str = "UPID:a:0000011D:000BED85:6B02AFAA:qmstart:100:root@pam!full:";

    /// Starts guests whose tasks do not end.
    struct Order(Pace);

    impl ChangeGuest for Order {
        fn selector(&self) -> Selector<'_> {
            unreachable!("the guests are given")
        }

        fn verb(&self) -> String {
            "start".into()
        }

        fn wait(&self) -> Option<bool> {
            Some(false)
        }

        fn pace(&self) -> Pace {
            self.0
        }

        fn begin(&self, _: &Pve, guest: &Guest, _: bool) -> Result<Begun> {
            let upid = crate::pve::Started::Task(UPID.parse().unwrap());
            Ok(Begun::Started(Report::done("start").on(guest), upid, None))
        }
    }

    fn selected(count: u32) -> Selected {
        let guests = (100..100 + count).map(|vmid| {
            let json = format!(r#"{{"vmid":{vmid},"type":"qemu","node":"a","status":"stopped"}}"#);
            serde_json::from_str(&json).unwrap()
        });
        Selected {
            guests: guests.collect(),
            left_out: Vec::new(),
            notes: Vec::new(),
            words: String::new(),
            preview: false,
        }
    }

    #[test]
    fn a_call_that_does_not_wait_begins_one_backup_on_a_node() {
        let pve = Pve::scripted(Settings::sample(), Script::default());
        let change = Order(Pace::OnePerNode);
        let batch = Batch::new(&pve, &change, |_, _, report| report, selected(3));
        let text = batch.run().unwrap().text();
        assert!(text.contains("1 running, 2 not started"), "{text}");
        assert!(
            text.contains(&format!("first call wait_task for {UPID}")),
            "{text}"
        );
        let change = Order(Pace::Any);
        let batch = Batch::new(&pve, &change, |_, _, report| report, selected(6));
        let text = batch.run().unwrap().text();
        assert!(text.contains(": 6 running"), "{text}");
    }

    #[test]
    fn a_call_that_does_not_wait_begins_the_first_rank() {
        let config = |startup: &str| {
            format!("200 OK\n{{\"data\":{{\"startup\":\"{startup}\"}}}}").into_bytes()
        };
        let script = Script::new(vec![config("order=1,up=30"), config("order=2")]);
        let pve = Pve::scripted(Settings::sample(), script);
        let change = Order(Pace::StartupOrder);
        let batch = Batch::new(&pve, &change, |_, _, report| report, selected(2));
        let text = batch.run().unwrap().text();
        assert!(text.contains("1 running, 1 not started"), "{text}");
        assert!(text.contains("then wait 30 s"), "{text}");
        assert!(text.contains("call again with vmids [101]"), "{text}");
    }

    #[test]
    fn guests_of_a_node_that_does_not_answer_are_not_started() {
        let pve = Pve::scripted(Settings::sample(), Script::default());
        let mut batch = Batch::new(&pve, &Start, |_, _, report| report, selected(3));
        batch.set(0, Err(Error::Unreachable("node a did not answer".into())));
        batch.give_up_node_of(0);
        let text = batch.finish().unwrap().text();
        assert!(text.contains("1 failed, 2 not started"), "{text}");
        assert!(
            text.contains("node a does not answer, so its other guests were not started"),
            "{text}"
        );
        assert!(text.contains("call again with vmids [101, 102]"), "{text}");
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
