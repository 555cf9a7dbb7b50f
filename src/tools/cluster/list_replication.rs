//! `list_replication`: replication jobs, and how their last runs went.

use std::collections::{BTreeMap, BTreeSet};

use pve_api::calls;
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::json::{DeserializeFields, SerializeFields};
use crate::order;
use crate::pve::{At, Failure, Flag, Listed, Num, Params, Pve, Vmid, nodes};
use crate::text;
use crate::tool::declared::Calls;
use crate::tool::{Offset, Page, Reply, Run};

/// The replication jobs of the cluster.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListReplication {
    /// Only jobs of this guest.
    vmid: Option<Vmid>,
    /// Default 100.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
    offset: Option<Offset>,
}

const DEFAULT_LIMIT: u32 = 100;

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct ReplicationList {
    /// Failing jobs first.
    jobs: Vec<Job>,
    /// Number of matches, including those not shown.
    total: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
struct Job {
    /// The guest's vmid and a number: `100-0`.
    job: String,
    vmid: Vmid,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_node: Option<String>,
    /// Absent if it is outside of the scope of this server.
    #[serde(skip_serializing_if = "Option::is_none")]
    target_node: Option<String>,
    /// When it runs, as a systemd calendar event.
    schedule: String,
    state: JobState,
    /// Absent before the first run that succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_sync_at: Option<String>,
    /// Absent before the first run.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_try_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_sync_at: Option<String>,
    /// How long the last run took.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<f64>,
    /// Runs that failed since the last one that succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    failures: Option<u64>,
    /// Of the last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
}

/// In the order of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum JobState {
    Failing,
    /// The source node does not answer.
    Unknown,
    Running,
    /// Never run.
    Pending,
    Ok,
    Disabled,
    /// Is removed at its next run.
    Removing,
}

/// A job in the cluster's configuration. Its source node has its state.
#[derive(Debug, DeserializeFields)]
struct ConfiguredJob {
    id: String,
    guest: Num<Vmid>,
    /// Absent in a job that has not run since PVE 5, or was written by hand.
    source: Option<String>,
    target: Option<String>,
    schedule: Option<String>,
    #[serde(default)]
    disable: Flag,
    remove_job: Option<String>,
    comment: Option<String>,
}

/// A job as its source node reports it. A time of 0 means never.
#[derive(Debug, DeserializeFields)]
struct JobStatus {
    id: String,
    source: Option<String>,
    last_sync: Option<Num<u64>>,
    last_try: Option<Num<u64>>,
    next_sync: Option<Num<u64>>,
    duration: Option<Num<f64>>,
    fail_count: Option<Num<u64>>,
    /// The process of the current run.
    pid: Option<Num<u64>>,
    error: Option<String>,
}

/// Proxmox's default.
const SCHEDULE: &str = "*/15";

/// The longest error that is shown.
const ERROR_LENGTH: usize = 400;

impl Run for ListReplication {
    type Output = ReplicationList;

    const CALLS: &'static [Calls] = &[
        Calls::One(&calls::cluster::REPLICATION),
        Calls::One(&calls::cluster::STATUS),
        Calls::One(&calls::nodes::LIST),
        Calls::One(&calls::cluster::NODE_REPLICATION),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<ReplicationList>> {
        let request = calls::cluster::REPLICATION.at([]);
        let mut configured: Vec<ConfiguredJob> = pve.send(&request, &Params::new())?;
        let is_empty = configured.is_empty();
        configured.retain(|job| self.vmid.is_none_or(|vmid| vmid == job.guest.0));
        let (statuses, mut notes) = statuses(pve, &configured)?;
        let mut jobs: Vec<Job> = configured
            .into_iter()
            .map(|job| {
                let status = statuses.get(&job.id);
                Job::new(job, status)
            })
            .collect();
        order::by(&mut jobs, |a, b| {
            (a.state, a.vmid, &a.job).cmp(&(b.state, b.vmid, &b.job))
        });
        let total = jobs.len();
        let failing = jobs.iter().filter(|job| job.state == JobState::Failing);
        let text = format!(
            "{}, {} failing",
            text::count(total, "replication job"),
            failing.count()
        );
        let page = Page::new(self.offset, self.limit, DEFAULT_LIMIT);
        let part = page.cut(&mut jobs, "/jobs", "vmid");
        match is_empty {
            true => notes.push(pve.empty_hint(Listed::Guests)),
            false => notes.extend(part.note()),
        }
        let hint = (!notes.is_empty()).then(|| notes.join("; "));
        let list = ReplicationList { jobs, total, hint };
        Ok(Reply::Listed(list, text, part))
    }
}

/// The states of jobs by their ids, from the source nodes of the jobs, and which nodes
/// do not answer. A job without a source may be on any node.
fn statuses(
    pve: &Pve,
    jobs: &[ConfiguredJob],
) -> Result<(BTreeMap<String, JobStatus>, Vec<String>)> {
    let mut statuses = BTreeMap::new();
    let mut notes = Vec::new();
    if jobs.is_empty() {
        return Ok((statuses, notes));
    }
    let sources: Option<BTreeSet<&str>> = jobs.iter().map(|job| job.source.as_deref()).collect();
    let may_have = |node: &str| sources.as_ref().is_none_or(|names| names.contains(node));
    let mut nodes = nodes(pve)?;
    nodes.retain(|node| may_have(&node.node));
    let online = nodes.iter().filter(|node| !node.is_offline());
    let request = |node: &str| calls::cluster::NODE_REPLICATION.at([node]);
    pve.start(online.map(|node| (request(&node.node), Params::new())));
    for node in nodes {
        if node.is_offline() {
            notes.push(format!(
                "node {} is offline: the state of its jobs is unknown",
                node.node
            ));
            continue;
        }
        match pve.send::<Vec<JobStatus>>(&request(&node.node), &Params::new()) {
            Ok(found) => statuses.extend(found.into_iter().map(|job| (job.id.clone(), job))),
            Err(failure @ Failure::Api(_)) => notes.push(format!(
                "node {} did not report its jobs: {}",
                node.node,
                Error::from(failure).message()
            )),
            Err(failure) => return Err(failure.into()),
        }
    }
    Ok((statuses, notes))
}

impl Job {
    fn new(job: ConfiguredJob, status: Option<&JobStatus>) -> Self {
        let time = |time: Option<Num<u64>>| time.filter(|time| time.0 > 0);
        let at = |moment| time(moment).map(|moment| text::time(moment.0));
        let failures = status.and_then(|status| status.fail_count);
        let failures = failures.map(|count| count.0).filter(|count| *count > 0);
        let error = status.and_then(|status| status.error.as_deref());
        let error = error.map(str::trim).filter(|error| !error.is_empty());
        let state = match status {
            _ if job.remove_job.is_some() => JobState::Removing,
            _ if job.disable.0 => JobState::Disabled,
            None => JobState::Unknown,
            Some(status) if status.pid.is_some() => JobState::Running,
            Some(_) if failures.is_some() || error.is_some() => JobState::Failing,
            Some(status) if time(status.last_sync).is_none() => JobState::Pending,
            Some(_) => JobState::Ok,
        };
        let runs = !matches!(state, JobState::Disabled | JobState::Removing);
        Self {
            job: job.id,
            vmid: job.guest.0,
            source_node: job
                .source
                .or_else(|| status.and_then(|status| status.source.clone())),
            target_node: job.target,
            schedule: job.schedule.unwrap_or_else(|| SCHEDULE.to_owned()),
            state,
            last_sync_at: status.and_then(|status| at(status.last_sync)),
            last_try_at: status.and_then(|status| at(status.last_try)),
            next_sync_at: status
                .filter(|_| runs)
                .and_then(|status| at(status.next_sync)),
            duration_seconds: status
                .and_then(|status| status.duration)
                .map(|seconds| text::round(seconds.0, 1)),
            failures,
            error: error.map(|error| text::cut(error, ERROR_LENGTH)),
            comment: job.comment.filter(|comment| !comment.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn job(job: Value, status: Option<Value>) -> Value {
        let job = serde_json::from_value(job).unwrap();
        let status = status.map(|status| serde_json::from_value(status).unwrap());
        serde_json::to_value(Job::new(job, status.as_ref())).unwrap()
    }

    #[test]
    fn the_state_is_that_of_the_source_node() {
        let configured = json!({"id": "100-0", "guest": 100, "target": "beta", "source": "alpha"});
        let state = |status: Option<Value>| job(configured.clone(), status)["state"].clone();
        let status = |more: Value| {
            let mut status = json!({"id": "100-0", "last_sync": 1_700_000_000, "fail_count": 0});
            let fields = more.as_object().unwrap().clone();
            status.as_object_mut().unwrap().extend(fields);
            Some(status)
        };
        assert_eq!(state(None), "unknown");
        assert_eq!(state(status(json!({}))), "ok");
        assert_eq!(state(status(json!({"last_sync": 0}))), "pending");
        assert_eq!(state(status(json!({"pid": 4711}))), "running");
        assert_eq!(state(status(json!({"fail_count": "2"}))), "failing");
    }

    #[test]
    fn a_job_that_does_not_run_has_no_next_run() {
        let status = json!({"id": "100-0", "next_sync": 1_700_000_000});
        for (field, value, state) in [
            ("disable", json!(1), "disabled"),
            ("remove_job", json!("full"), "removing"),
        ] {
            let mut configured = json!({"id": "100-0", "guest": 100, "target": "beta"});
            configured[field] = value;
            let job = job(configured, Some(status.clone()));
            assert_eq!(job["state"], state);
            assert_eq!(job.get("next_sync_at"), None);
            assert_eq!(job["schedule"], "*/15");
        }
    }
}
