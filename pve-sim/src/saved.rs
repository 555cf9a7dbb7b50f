//! A cluster as text, which outlives the process.
//!
//! What runs when a cluster is saved has ended in the text, as it would have on nodes that
//! keep running. Times are absolute: a loaded cluster has been up in between. Not saved are
//! tokens and faults, which the options give, and what follows from the rest, such as the
//! reports of pvestatd.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::state::{
    Cluster, Firewall, Guest, HaResource, LogEntry, Node, Pool, Reports, Storage, Task, Volume,
};

/// What the text says first of itself.
const FORMAT: &str = "pve-sim cluster";
/// Another number for every change of what the text has: a field more, or one less.
const VERSION: u64 = 1;
/// A node forgets its oldest tasks, too.
const MAX_TASKS: usize = 1000;
/// Twice as many: each task begins and ends.
const MAX_LOG: usize = 2 * MAX_TASKS;
/// Nothing that is simulated takes more steps.
const MAX_STEPS: usize = 10_000;

/// Takes the state of a cluster, as text that [`Saved::parse`] reads.
pub type Save = dyn Fn(&str) -> Result<(), String> + Send + Sync;

/// Where a served cluster comes from, and what it does with its state.
pub struct Keep {
    /// What to start with; None: with the world of the options.
    pub saved: Option<Saved>,
    /// Takes the state after each change. If it fails, the change is not made, and its request
    /// is answered with the error.
    pub save: Arc<Save>,
}

impl std::fmt::Debug for Keep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keep").finish_non_exhaustive()
    }
}

/// A cluster that was saved.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    format: String,
    version: u64,
    /// Seconds since 1970, when all that was running has ended.
    time: f64,
    name: String,
    local: String,
    quorate: bool,
    nodes: Vec<Node>,
    guests: BTreeMap<u32, Guest>,
    storages: Vec<Storage>,
    volumes: Vec<Volume>,
    pools: BTreeMap<String, Pool>,
    ha: BTreeMap<String, HaResource>,
    backup_jobs: BTreeMap<String, BTreeMap<String, String>>,
    firewall: Firewall,
    guest_firewalls: BTreeMap<u32, Firewall>,
    tasks: Vec<Task>,
    next_pid: u32,
    log: Vec<LogEntry>,
}

impl std::fmt::Debug for Saved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Saved")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Why a text is not a saved cluster.
#[derive(Debug)]
pub enum SavedError {
    /// It is about something else.
    Foreign,
    /// It is one, but parts of it are missing or wrong.
    Damaged(String),
    /// Its version is not this one.
    Version(u64),
}

impl std::fmt::Display for SavedError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SavedError::Foreign => f.write_str("does not contain a simulated cluster"),
            SavedError::Damaged(error) => write!(f, "is damaged ({error})"),
            SavedError::Version(found) => write!(
                f,
                "was written by another version of this program: its format is {found}, and \
                 this version reads format {VERSION}"
            ),
        }
    }
}

impl std::error::Error for SavedError {}

impl Saved {
    /// Reads what [`Save`] was given.
    ///
    /// # Errors
    ///
    /// When it is something else, incomplete, or from a version with another format.
    pub fn parse(text: &str) -> Result<Saved, SavedError> {
        let value: Value = serde_json::from_str(text).map_err(|error| {
            // Whatever was cut off, it was at the end.
            match text.starts_with(&format!("{{\"format\":\"{FORMAT}\"")) {
                true => SavedError::Damaged(error.to_string()),
                false => SavedError::Foreign,
            }
        })?;
        if value.get("format").and_then(Value::as_str) != Some(FORMAT) {
            return Err(SavedError::Foreign);
        }
        match value.get("version").and_then(Value::as_u64) {
            Some(VERSION) => {}
            Some(other) => return Err(SavedError::Version(other)),
            None => return Err(SavedError::Damaged("it has no version".into())),
        }
        // From the text: its errors say where.
        serde_json::from_str(text).map_err(|error| SavedError::Damaged(error.to_string()))
    }

    /// Replaces a cluster that has just been built by this one.
    pub(crate) fn restore(self, cluster: &mut Cluster) {
        cluster.clock.begin_at(self.time);
        cluster.name = self.name;
        cluster.local = self.local;
        cluster.quorate = self.quorate;
        cluster.nodes = self.nodes;
        cluster.guests = self.guests;
        cluster.storages = self.storages;
        cluster.volumes = self.volumes;
        cluster.pools = self.pools;
        cluster.ha = self.ha;
        cluster.backup_jobs = self.backup_jobs;
        cluster.firewall = self.firewall;
        cluster.guest_firewalls = self.guest_firewalls;
        cluster.tasks.list = self.tasks;
        cluster.tasks.next_pid = self.next_pid;
        cluster.log = self.log;
        cluster.jobs.clear();
        cluster.later.clear();
        cluster.reports = Reports::default();
        cluster.settle();
        cluster.report_all();
    }

    /// The cluster as it will be when all that is running has ended.
    fn of(cluster: &Cluster) -> Saved {
        let mut copy = cluster.clone();
        for _ in 0..MAX_STEPS {
            let Some(next) = next_event(&copy) else { break };
            let by = next.saturating_sub(copy.clock.shown());
            copy.clock.advance(by);
            copy.settle();
        }
        let time = copy.clock.wall();
        // The copy's time is not that of this thread.
        cluster.clock.pin();
        let tasks = copy.tasks.list.into_iter();
        let tasks = tasks.filter(|task| task.status.is_some()).collect();
        Saved {
            format: FORMAT.to_owned(),
            version: VERSION,
            time,
            name: copy.name,
            local: copy.local,
            quorate: copy.quorate,
            nodes: copy.nodes,
            guests: copy.guests,
            storages: copy.storages,
            volumes: copy.volumes,
            pools: copy.pools,
            ha: copy.ha,
            backup_jobs: copy.backup_jobs,
            firewall: copy.firewall,
            guest_firewalls: copy.guest_firewalls,
            tasks: last(MAX_TASKS, tasks),
            next_pid: copy.tasks.next_pid,
            log: last(MAX_LOG, copy.log),
        }
    }
}

/// The text of a cluster, without what is running in it: that has ended.
pub(crate) fn text(cluster: &Cluster) -> Result<String, String> {
    serde_json::to_string(&Saved::of(cluster)).map_err(|error| error.to_string())
}

/// When the next task ends, or something happens without one.
fn next_event(cluster: &Cluster) -> Option<Duration> {
    let tasks = cluster.tasks.list.iter();
    let tasks = tasks.filter(|task| task.status.is_none());
    let tasks = tasks.map(|task| task.ends);
    tasks
        .chain(cluster.later.iter().map(|later| later.at))
        .min()
}

fn last<T>(most: usize, mut list: Vec<T>) -> Vec<T> {
    list.drain(..list.len().saturating_sub(most));
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Lines;
    use crate::tasks::Plan;
    use crate::{Options, worlds};

    /// Everything that a cluster can have, as version 1 writes it. If this differs, the
    /// version has to change.
    const VERSION_1: &str = include_str!("saved/version-1.json");

    fn demo() -> Cluster {
        worlds::build(&Options::demo()).unwrap()
    }

    #[test]
    fn a_file_of_this_version_is_read_and_written() {
        let mut cluster = demo();
        Saved::parse(VERSION_1).unwrap().restore(&mut cluster);
        let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let (before, mut after) = (json(VERSION_1), json(&text(&cluster).unwrap()));
        // It has been a while.
        assert!(after["time"].as_f64() >= before["time"].as_f64());
        after["time"] = before["time"].clone();
        assert_eq!(after, before);
    }

    #[test]
    fn what_is_saved_is_the_same_when_it_is_loaded() {
        let saved = Saved::parse(&text(&demo()).unwrap()).unwrap();
        let (guests, tasks) = (saved.guests.len(), saved.tasks.len());
        assert!(guests > 10 && tasks > 3);
        let mut other = worlds::build(&Options::default()).unwrap();
        saved.restore(&mut other);
        assert_eq!(
            (other.guests.len(), other.tasks.list.len()),
            (guests, tasks)
        );
        assert!(other.reported_guest(101).is_some() && other.reported_node("pve2").is_some());
        assert!(other.reported_node("pve3").is_none());
        let (one, two) = (text(&demo()).unwrap(), text(&other).unwrap());
        let sizes = |text: &str| (text.len(), text.matches('{').count());
        assert!(
            sizes(&one).1 == sizes(&two).1,
            "{:?} {:?}",
            sizes(&one),
            sizes(&two)
        );
    }

    #[test]
    fn a_running_task_has_ended_in_the_text_alone() {
        let mut cluster = demo();
        let plan = Plan::new("qmstart", 140, |cluster: &mut Cluster, _: &mut Lines| {
            cluster.name = "later".into();
            cluster.after(Duration::from_secs(60), |cluster| cluster.name.push('!'));
            Ok(())
        });
        let upid = cluster.start("pve1", "root@pam!full", plan);
        let upid = upid.as_str().unwrap();
        let saved = Saved::parse(&text(&cluster).unwrap()).unwrap();
        assert_eq!(saved.name, "later!");
        let task = saved.tasks.iter().find(|task| task.upid == upid).unwrap();
        assert_eq!(task.status.as_deref(), Some("OK"));
        assert!(saved.time > crate::clock::now_exact() + 59.0);
        assert_eq!(cluster.name, "homelab");
        assert_eq!(cluster.tasks.find(upid).unwrap().status, None);
        // The time of a loaded cluster never goes back.
        let ended = task.end.unwrap();
        let mut other = demo();
        saved.restore(&mut other);
        assert!(crate::clock::now() >= ended);
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let mut cluster = demo();
        for number in 0..2 * MAX_LOG {
            cluster.note("pve1", 1, "root@pam", number.to_string());
        }
        let saved = Saved::parse(&text(&cluster).unwrap()).unwrap();
        assert_eq!(saved.log.len(), MAX_LOG);
        let mut other = demo();
        saved.restore(&mut other);
        let last = other.log.last().unwrap().uid;
        other.note("pve1", 1, "root@pam", "one more".into());
        assert_eq!(other.log.last().unwrap().uid, last + 1);
    }

    #[test]
    fn other_texts_are_told_apart() {
        let whole = text(&demo()).unwrap();
        let why = |text: &str| Saved::parse(text).map(drop).unwrap_err();
        assert!(matches!(why("[1, 2]"), SavedError::Foreign));
        assert!(matches!(why("name = 1"), SavedError::Foreign));
        assert!(matches!(why("{\"format\":\"other\"}"), SavedError::Foreign));
        let torn = whole.get(..whole.len() / 2).unwrap();
        assert!(matches!(why(torn), SavedError::Damaged(_)));
        let other = whole.replacen("\"version\":1", "\"version\":2", 1);
        assert!(matches!(why(&other), SavedError::Version(2)));
        let more = whole.replacen("\"quorate\":true", "\"quorate\":1", 1);
        assert!(matches!(why(&more), SavedError::Damaged(_)));
        let unknown = whole.replacen("\"content\":\"images\"", "\"content\":\"tapes\"", 1);
        let error = why(&unknown).to_string();
        assert!(error.contains("tapes"), "{error}");
    }
}
