//! The moves, some at a time. All that is needed to go on is in the ticket, which
//! a host gives back for the next look.

use super::super::migrate_guest::MigrateGuest;
use super::super::storage_map::StorageMap;
use super::super::survey::How;
use super::result::{Evacuation, GuestMove, Progress, State};
use crate::error::{Error, Result};
use crate::json::{DeserializeFields, SerializeFields};
use crate::pve::{Guest, Pve, Vmid, check_node_name, guests};
use crate::tool::follow::{Detail, Look};
use crate::tool::report::Status;
use crate::tool::ticket::Pending;
use crate::tool::{Finished, Outcome, Reply, Running};
use crate::{text, tool_names};

/// How many moves one call makes at most: the ticket holds them all.
pub(crate) const MOST_MOVES: usize = 60;

/// How many of the guests that stay are named.
const MOST_STAYING: usize = 20;

/// After so many failures, no other move is begun.
const MOST_FAILURES: usize = 5;

/// How many looks in a row may show nothing.
const MOST_GAPS: u32 = 12;

/// How long to wait before the next look, longer after each look that showed no
/// change: the requests of a call are limited, and a migration takes a while.
const PAUSE_MS: u32 = 1_000;
const LONGEST_PAUSE_MS: u32 = 5_000;

/// How long a reason may be, in characters.
const REASON_LENGTH: usize = 220;

/// How many notes on what could not be seen are kept, and how long each may be.
const MOST_NOTES: usize = 6;
const NOTE_LENGTH: usize = 160;

/// How the guests of a plan are moved.
#[derive(Debug, Default)]
pub(crate) struct Order {
    pub(crate) parallel: usize,
    pub(crate) with_local_disks: Option<bool>,
    pub(crate) target_storage: Option<String>,
    pub(crate) may_restart: bool,
    /// The node that is to be empty in the end, except for templates.
    pub(crate) emptied: Option<String>,
    pub(crate) not_visible: Vec<String>,
}

/// Moves that were begun, and those that wait for them.
#[derive(Debug, SerializeFields, DeserializeFields)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    parallel: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    with_local_disks: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target_storage: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    may_restart: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    emptied: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    not_visible: Vec<String>,
    moves: Vec<Move>,
    /// Guests that cannot move, with the first reason of each.
    stays: Vec<Staying>,
    /// How many others cannot move.
    #[serde(default)]
    unnamed: usize,
    /// Guests that another call has to move.
    left: usize,
    /// Looks in a row that showed nothing.
    gaps: u32,
    /// Looks in a row that showed no change.
    quiet: u32,
    /// Why no other move is begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stopped: Option<String>,
}

#[derive(Debug, SerializeFields, DeserializeFields)]
#[serde(deny_unknown_fields)]
struct Move {
    vmid: Vmid,
    from: String,
    /// Absent of a migration that somebody else has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    state: State,
    /// Whether it is shut down and started.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    restarts: bool,
    /// The `target_storage` with which its disks come back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    back: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What is followed; absent of a migration that somebody else has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pending: Option<Pending>,
}

#[derive(Debug, SerializeFields, DeserializeFields)]
#[serde(deny_unknown_fields)]
struct Staying {
    vmid: Vmid,
    node: String,
    reason: String,
    /// Whether the run is complete without it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    settled: bool,
}

impl Run {
    /// The moves of a plan, as far as one call makes them; nothing has begun.
    pub(crate) fn new(planned: &[GuestMove], order: Order) -> Self {
        let of = |state| planned.iter().filter(move |guest| guest.state == state);
        let stays = of(State::Stays).count();
        // Those that keep the run from being complete first.
        let staying = || {
            of(State::Stays)
                .filter(|guest| !guest.settled)
                .chain(of(State::Stays).filter(|guest| guest.settled))
        };
        // Those under way first: they count, whoever has begun them.
        let all = of(State::Moving).chain(of(State::Planned));
        let moves: Vec<Move> = all
            .take(MOST_MOVES)
            .map(|guest| Move {
                vmid: guest.vmid,
                from: guest.node.clone(),
                to: guest.target_node.clone(),
                state: match guest.state {
                    State::Moving => State::Moving,
                    _ => State::Waiting,
                },
                restarts: guest.how == Some(How::Restart),
                back: guest.back.clone(),
                reason: None,
                pending: None,
            })
            .collect();
        Self {
            parallel: order.parallel,
            with_local_disks: order.with_local_disks,
            target_storage: order.target_storage,
            may_restart: order.may_restart,
            emptied: order.emptied,
            not_visible: order
                .not_visible
                .iter()
                .take(MOST_NOTES)
                .map(|note| text::cut(note, NOTE_LENGTH))
                .collect(),
            left: planned.len() - stays - moves.len(),
            moves,
            unnamed: stays.saturating_sub(MOST_STAYING),
            stays: staying()
                .take(MOST_STAYING)
                .map(|guest| Staying {
                    vmid: guest.vmid,
                    node: guest.node.clone(),
                    reason: text::cut(&guest.reasons.join("; "), REASON_LENGTH),
                    settled: guest.settled,
                })
                .collect(),
            gaps: 0,
            quiet: 0,
            stopped: None,
        }
    }

    fn count(&self, state: State) -> usize {
        self.moves.iter().filter(|one| one.state == state).count()
    }

    /// Changes with every change of a move's state.
    fn counts(&self) -> [usize; 4] {
        [State::Waiting, State::Moving, State::Moved, State::Failed].map(|state| self.count(state))
    }

    /// Whether nothing is left to be done or followed.
    fn is_over(&self) -> bool {
        let moving = self.count(State::Moving);
        let waiting = self.count(State::Waiting);
        self.gaps > MOST_GAPS || moving == 0 && (waiting == 0 || self.stopped.is_some())
    }

    /// Looks at the migrations under way, and begins others.
    pub(crate) fn step(&mut self, pve: &Pve) -> Result<()> {
        for one in &self.moves {
            // A ticket comes back from outside.
            check_node_name("target_node", one.to.as_deref())?;
        }
        check_node_name("node", self.emptied.as_deref())?;
        let list = match guests(pve) {
            Ok(list) => list,
            Err(Error::Denied(why)) => {
                self.gaps = MOST_GAPS + 1;
                self.stopped = Some(text::cut(&why, REASON_LENGTH));
                return Ok(());
            }
            Err(error) => {
                self.gaps += 1;
                if self.gaps > MOST_GAPS {
                    self.stopped = Some(text::cut(&error.message(), REASON_LENGTH));
                }
                return Ok(());
            }
        };
        self.gaps = 0;
        let before = self.counts();
        for one in self
            .moves
            .iter_mut()
            .filter(|one| one.state == State::Moving)
        {
            one.look(pve, &list);
        }
        self.begin(pve, &list)?;
        self.quiet = match self.counts() == before {
            true => self.quiet.saturating_add(1),
            false => 0,
        };
        Ok(())
    }

    fn begin(&mut self, pve: &Pve, list: &[Guest]) -> Result<()> {
        let storages = self
            .target_storage
            .as_deref()
            .map(StorageMap::parse)
            .transpose()?;
        while self.stopped.is_none() && self.count(State::Moving) < self.parallel {
            if self.count(State::Failed) >= MOST_FAILURES {
                self.stopped = Some(format!("{MOST_FAILURES} moves have failed"));
                break;
            }
            let Some(next) = self
                .moves
                .iter_mut()
                .find(|one| one.state == State::Waiting)
            else {
                break;
            };
            let Some(guest) = list.iter().find(|guest| guest.vmid == next.vmid) else {
                next.fail("the guest is no longer there");
                continue;
            };
            if guest.node != next.from {
                next.arrived(&guest.node);
                continue;
            }
            let Some(to) = next.to.clone() else {
                next.fail("no target is known for it");
                continue;
            };
            if guest.is_migrating() {
                next.state = State::Moving;
                next.to = None;
                continue;
            }
            let call = MigrateGuest::to(next.vmid, &to)
                .disks(self.with_local_disks, self.target_storage.as_deref())
                .restarting(self.may_restart);
            match call.begin(pve, guest.clone(), storages.as_ref()) {
                Ok(Reply::Done(..) | Reply::Listed(..)) => next.arrived(&to),
                Ok(Reply::Running(pending, ..)) => {
                    next.state = State::Moving;
                    next.pending = Some(slim(pending));
                }
                // A limit of the server, or something that holds for the others as well: they
                // wait for another call.
                Err(Error::Denied(why)) => self.stopped = Some(text::cut(&why, REASON_LENGTH)),
                Err(error) => next.fail(&error.message()),
            }
        }
        Ok(())
    }

    /// What to return now, and what to follow if it is not over.
    pub(crate) fn outcome(self, pve: &Pve) -> Result<Outcome> {
        if self.is_over() {
            let result = self.finished(pve);
            let text = result.text();
            return Ok(Outcome::Done(Finished::new(&result, text)?));
        }
        let interim = self.shown(Progress::Running);
        let (text, message) = (interim.text(), self.message());
        Ok(Outcome::Running(Running {
            progress: self.progress(),
            message,
            retry_after_ms: self
                .quiet
                .saturating_add(1)
                .saturating_mul(PAUSE_MS)
                .min(LONGEST_PAUSE_MS),
            interim: Finished::new(&interim, text)?,
            pending: Pending::own(&self)?,
        }))
    }

    /// The same for the call that has begun it.
    pub(crate) fn reply(self, pve: &Pve) -> Result<Reply<Evacuation>> {
        if self.is_over() {
            let result = self.finished(pve);
            let text = result.text();
            return Ok(Reply::Done(result, text));
        }
        let interim = self.shown(Progress::Running);
        let text = interim.text();
        Ok(Reply::Running(Pending::own(&self)?, interim, text))
    }

    fn message(&self) -> String {
        format!(
            "{} of {} moved, {} moving, {} failed",
            self.count(State::Moved),
            text::count(self.moves.len(), "guest"),
            self.count(State::Moving),
            self.count(State::Failed)
        )
    }

    fn progress(&self) -> Option<f32> {
        let ended = self.count(State::Moved) + self.count(State::Failed);
        Some(ended as f32 / self.moves.len().max(1) as f32)
    }

    /// What was done, with the names of the guests, and with those that are still on the node
    /// that was to be empty.
    pub(crate) fn finished(&self, pve: &Pve) -> Evacuation {
        let mut result = self.shown(Progress::Incomplete);
        let list = match guests(pve) {
            Ok(list) => list,
            Err(error) => {
                result.not_visible.push(format!(
                    "whether other guests are still there: {}",
                    text::cut(&error.message(), NOTE_LENGTH)
                ));
                return result;
            }
        };
        for one in &mut result.guests {
            let Some(guest) = list.iter().find(|guest| guest.vmid == one.vmid) else {
                continue;
            };
            one.name.clone_from(&guest.name);
            if one.state == State::Moved && guest.node == one.node {
                one.state = State::Failed;
                one.reasons.push(match guest.hastate {
                    Some(_) => format!(
                        "high availability has moved it back: {} shows the rule",
                        tool_names::GET_HA
                    ),
                    None => "it has been moved back since: call again".to_owned(),
                });
            }
        }
        let mut left = self.left_behind(&list);
        let is_done = left.is_empty()
            && self.left == 0
            && result.guests.iter().all(|one| match one.state {
                State::Moved => true,
                State::Stays => one.settled,
                _ => false,
            });
        let (unnamed, others) = (self.unnamed, left.len().saturating_sub(MOST_STAYING));
        left.truncate(MOST_STAYING);
        let guests = result.guests.into_iter().chain(left).collect();
        let status = match is_done {
            true => Progress::Done,
            false => Progress::Incomplete,
        };
        let mut result = self.with_notes(Evacuation::new(status, guests));
        result.stays += unnamed + others;
        result
    }

    /// The guests of the node that was to be empty that this run knows nothing of.
    fn left_behind(&self, list: &[Guest]) -> Vec<GuestMove> {
        let is_known = |vmid: Vmid| {
            self.moves.iter().any(|one| one.vmid == vmid)
                || self.stays.iter().any(|one| one.vmid == vmid)
        };
        // Those that are not named are known, too.
        let has_unsettled = self.stays.iter().any(|one| !one.settled);
        if self.emptied.is_none() || self.left > 0 || self.unnamed > 0 && has_unsettled {
            return Vec::new();
        }
        list.iter()
            .filter(|guest| self.emptied.as_ref() == Some(&guest.node))
            .filter(|guest| !guest.template.0 && !is_known(guest.vmid))
            .map(|guest| {
                let reason = "it came to this node after the moves were planned: call again";
                GuestMove::stays(guest, reason.to_owned())
            })
            .collect()
    }

    fn shown(&self, status: Progress) -> Evacuation {
        let moves = self.moves.iter().map(|one| GuestMove {
            target_node: one.to.clone(),
            how: one.restarts.then_some(How::Restart),
            back: one.back.clone(),
            reasons: one.reason.iter().cloned().collect(),
            ..GuestMove::new(one.vmid, &one.from, one.state)
        });
        let stays = self.stays.iter().map(|one| GuestMove {
            reasons: vec![one.reason.clone()],
            settled: one.settled,
            ..GuestMove::new(one.vmid, &one.node, State::Stays)
        });
        let mut result = self.with_notes(Evacuation::new(status, moves.chain(stays).collect()));
        result.stays += self.unnamed;
        result
    }

    fn with_notes(&self, mut result: Evacuation) -> Evacuation {
        result.next_step = self.next_step(result.status);
        result.not_visible.clone_from(&self.not_visible);
        result
    }

    fn next_step(&self, status: Progress) -> Option<String> {
        let waiting = self.count(State::Waiting) + self.left;
        let mut steps = Vec::new();
        if let Some(why) = &self.stopped {
            steps.push(format!("no further moves were started: {why}"));
        }
        if status == Progress::Running || waiting > 0 || self.count(State::Moving) > 0 {
            let count = waiting + self.count(State::Moving);
            steps.push(format!(
                "call again with the same arguments: it continues with the {} that are not yet \
                 moved",
                text::count(count, "guest")
            ));
        } else if status == Progress::Incomplete {
            steps.push(
                "resolve the reasons given, then call again with the same arguments".to_owned(),
            );
        }
        (!steps.is_empty()).then(|| steps.join("; "))
    }
}

impl Move {
    fn fail(&mut self, reason: &str) {
        self.state = State::Failed;
        self.pending = None;
        self.reason = Some(text::cut(reason, REASON_LENGTH));
    }

    fn arrived(&mut self, node: &str) {
        self.state = State::Moved;
        self.pending = None;
        self.to = Some(node.to_owned());
    }

    /// Looks at a migration under way.
    fn look(&mut self, pve: &Pve, list: &[Guest]) {
        let Some(pending) = self.pending.take() else {
            return self.look_at_guest(list);
        };
        // The requests of a call are limited: no log is read.
        match pending.look(pve, |_, _, report| report, Detail::StatusOnly) {
            Ok(Look::Running { pending, .. }) => self.pending = Some(pending),
            // The HA manager may not have acted in time.
            Ok(Look::Ended(report)) if report.status == Status::Requested => {
                let guest = list.iter().find(|guest| guest.vmid == self.vmid);
                match guest {
                    // A large one takes longer than it was followed for.
                    Some(guest) if guest.is_migrating() => {}
                    Some(guest) if guest.node != self.from => self.arrived(&guest.node),
                    _ => self.fail(&report.text()),
                }
            }
            Ok(Look::Ended(_)) => {
                let to = self.to.clone().unwrap_or_default();
                self.arrived(&to);
            }
            Err(error) => self.fail(&error.message()),
        }
    }

    /// A migration that somebody else has begun ends as soon as the guest is
    /// elsewhere, or no longer locked.
    fn look_at_guest(&mut self, list: &[Guest]) {
        match list.iter().find(|guest| guest.vmid == self.vmid) {
            None => self.fail("the guest is no longer there"),
            Some(guest) if guest.node != self.from => self.arrived(&guest.node),
            Some(guest) if guest.is_migrating() => {}
            Some(_) => self.fail("the migration that was under way has ended without moving it"),
        }
    }
}

/// What is followed, without what only its report has.
fn slim(pending: Pending) -> Pending {
    match pending {
        Pending::Task(mut task) => {
            task.report.warnings.clear();
            Pending::Task(task)
        }
        Pending::Guest(mut guest) => {
            guest.report.warnings.clear();
            Pending::Guest(guest)
        }
        own @ Pending::Own(_) => own,
    }
}
