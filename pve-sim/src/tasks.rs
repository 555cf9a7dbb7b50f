//! Tasks: each POST that takes time returns a UPID, and its effects come when
//! the task ends.

use std::time::Duration;

use serde_json::Value;

use crate::clock::now;
use crate::state::{Cluster, Job, Lines, Task, Work};

/// A task that is about to start.
pub(crate) struct Plan {
    kind: &'static str,
    id: String,
    /// Its length, in units of `--task-seconds`.
    length: f64,
    /// Lines that appear on the way: at which part of the time, and what.
    script: Vec<(f64, String)>,
    work: Work,
    cleanup: Option<Work>,
    on_stop: &'static str,
}

impl Plan {
    pub(crate) fn new(
        kind: &'static str,
        id: impl ToString,
        work: impl FnOnce(&mut Cluster, &mut Lines) -> Result<(), String> + Clone + Send + 'static,
    ) -> Plan {
        Plan {
            kind,
            id: id.to_string(),
            length: 1.0,
            script: Vec::new(),
            work: Work::new(work),
            cleanup: None,
            on_stop: "received interrupt",
        }
    }

    /// A task that fails immediately.
    pub(crate) fn failing(
        kind: &'static str,
        id: impl ToString,
        message: impl Into<String>,
    ) -> Plan {
        let message = message.into();
        Plan::new(kind, id, move |_, _| Err(message)).length(0.0)
    }

    pub(crate) fn length(mut self, length: f64) -> Plan {
        self.length = length;
        self
    }

    /// A line that appears when that part of the time has passed.
    pub(crate) fn line(mut self, at: f64, line: impl Into<String>) -> Plan {
        self.script.push((at, line.into()));
        self
    }

    /// What undoes the beginning when the task is stopped or made to fail.
    pub(crate) fn cleanup(
        mut self,
        cleanup: impl FnOnce(&mut Cluster, &mut Lines) -> Result<(), String> + Clone + Send + 'static,
    ) -> Plan {
        self.cleanup = Some(Work::new(cleanup));
        self
    }

    pub(crate) fn on_stop(mut self, status: &'static str) -> Plan {
        self.on_stop = status;
        self
    }
}

/// A UPID's nine fields, the last of them empty.
pub(crate) fn upid(
    node: &str,
    pid: u32,
    pstart: u32,
    start: i64,
    kind: &str,
    id: &str,
    user: &str,
) -> String {
    format!("UPID:{node}:{pid:08X}:{pstart:08X}:{start:08X}:{kind}:{id}:{user}:")
}

/// Whether a text is a UPID at all.
pub(crate) fn is_upid(text: &str) -> bool {
    crate::params::matches_whole(
        "UPID:[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?:[0-9A-Fa-f]{8}:[0-9A-Fa-f]{8,9}:[0-9A-Fa-f]{8}:[^:\\s]+:[^:\\s]*:[^:\\s]+:",
        text,
    )
}

impl Cluster {
    /// Starts a task and gives its UPID.
    pub(crate) fn start(&mut self, node: &str, user: &str, mut plan: Plan) -> Value {
        // A log only ever grows at its end.
        plan.script.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let pid = self.tasks.next_pid;
        self.tasks.next_pid += 7;
        // In hundredths of a second since the node's start, as in /proc.
        let pstart = 781_000 + u32::try_from(self.clock.at().as_millis() / 10).unwrap_or_default();
        let start = now();
        let upid = upid(node, pid, pstart, start, plan.kind, &plan.id, user);
        self.note(node, 156, user, format!("starting task {upid}"));
        let started = self.clock.at();
        self.tasks.list.push(Task {
            upid: upid.clone(),
            node: node.to_owned(),
            pid,
            pstart,
            kind: plan.kind.to_owned(),
            id: plan.id,
            user: user.to_owned(),
            start,
            end: None,
            status: None,
            started,
            ends: started + Duration::from_secs_f64((self.tasks.seconds * plan.length).max(0.0)),
            script: plan.script,
            lines: Lines::default(),
            on_stop: plan.on_stop,
        });
        let job = Job {
            work: plan.work,
            cleanup: plan.cleanup,
        };
        self.jobs.insert(upid.clone(), job);
        Value::String(upid)
    }

    /// A task of the past, for clusters that have a history: its type and id, how long ago it
    /// started and how long it took.
    pub(crate) fn past_task(
        &mut self,
        node: &str,
        user: &str,
        (kind, id): (&str, &str),
        (ago, took): (i64, i64),
        status: &str,
        log: &[&str],
    ) {
        let pid = self.tasks.next_pid;
        self.tasks.next_pid += 7;
        let start = now() - ago;
        let pstart = 700_000u32.saturating_sub(u32::try_from(ago % 500_000).unwrap_or_default());
        let mut lines = Lines {
            lines: log.iter().map(|line| (*line).to_owned()).collect(),
            warnings: 0,
        };
        lines.push(last_line(status));
        let at = self.clock.at();
        self.tasks.list.push(Task {
            upid: upid(node, pid, pstart, start, kind, id, user),
            node: node.to_owned(),
            pid,
            pstart,
            kind: kind.to_owned(),
            id: id.to_owned(),
            user: user.to_owned(),
            start,
            end: Some(start + took),
            status: Some(status.to_owned()),
            started: at,
            ends: at,
            script: Vec::new(),
            lines,
            on_stop: "",
        });
    }

    /// Lets happen what was due since the last request, in its order: tasks end, what was
    /// scheduled for later starts, and pvestatd reports.
    pub(crate) fn settle(&mut self) {
        let shown = self.clock.shown();
        loop {
            let task = self
                .tasks
                .list
                .iter()
                .enumerate()
                .filter(|(_, task)| task.status.is_none() && task.ends <= shown)
                .min_by_key(|(_, task)| task.ends)
                .map(|(index, task)| (index, task.ends));
            let later = self
                .later
                .iter()
                .enumerate()
                .filter(|(_, later)| later.at <= shown)
                .min_by_key(|(_, later)| later.at)
                .map(|(index, later)| (index, later.at));
            let next = [task, later]
                .into_iter()
                .flatten()
                .map(|(_, at)| at)
                .min()
                .unwrap_or(shown);
            self.report_until(next);
            self.clock.reach(next);
            match (task, later) {
                (Some((index, ends)), _) if ends == next => self.finish(index, None),
                (_, Some((index, _))) => {
                    let later = self.later.remove(index);
                    // No task logs what comes of it.
                    let _ = later.work.run(self, &mut Lines::default());
                }
                _ => return,
            }
        }
    }

    /// Stops a running task, as `DELETE /nodes/{node}/tasks/{upid}` does.
    pub(crate) fn stop_task(&mut self, upid: &str) {
        let running = self
            .tasks
            .list
            .iter()
            .position(|task| task.upid == upid && task.status.is_none());
        if let Some(index) = running {
            let status = self
                .tasks
                .list
                .get(index)
                .map_or("received interrupt", |task| task.on_stop);
            self.finish(index, Some(status.to_owned()));
        }
    }

    /// Ends one task: normally, or with `stopped` as its status.
    fn finish(&mut self, index: usize, stopped: Option<String>) {
        let Some(task) = self.tasks.list.get_mut(index) else {
            return;
        };
        let mut lines = std::mem::take(&mut task.lines);
        let passed = task.progress(self.clock.at());
        let script = std::mem::take(&mut task.script);
        lines.lines.extend(
            script
                .into_iter()
                .filter(|(at, _)| *at <= passed)
                .map(|(_, line)| line),
        );
        let (node, user, upid, kind) = (
            task.node.clone(),
            task.user.clone(),
            task.upid.clone(),
            task.kind.clone(),
        );
        let job = self.jobs.remove(&upid);
        let fault = self.tasks.fault_for(&kind);
        let forced = stopped.or_else(|| fault.as_ref().and_then(|fault| fault.error.clone()));
        let outcome = match forced {
            Some(error) => {
                if let Some(cleanup) = job.and_then(|job| job.cleanup) {
                    let _ = cleanup.run(self, &mut lines);
                }
                Err(error)
            }
            None => job.map_or(Ok(()), |job| job.work.run(self, &mut lines)),
        };
        for _ in 0..fault.map_or(0, |fault| fault.warnings) {
            lines.warn("simulated warning");
        }
        let status = match outcome {
            Err(error) => error,
            Ok(()) if lines.warnings > 0 => {
                format!("WARNINGS: {}", lines.warnings)
            }
            Ok(()) => "OK".into(),
        };
        lines.push(last_line(&status));
        self.note(&node, 156, &user, format!("end task {upid} {status}"));
        if let Some(task) = self.tasks.list.get_mut(index) {
            task.lines = lines;
            task.end = Some(now());
            task.status = Some(status);
        }
    }
}

fn last_line(status: &str) -> String {
    match status {
        "OK" => "TASK OK".into(),
        warnings if warnings.starts_with("WARNINGS: ") => format!("TASK {warnings}"),
        error => format!("TASK ERROR: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, worlds};

    #[test]
    fn upids_have_nine_fields() {
        let upid = upid(
            "pve1",
            0x11D,
            0x000B_ED85,
            0x6B02_AFAA,
            "qmstart",
            "100",
            "root@pam!full",
        );
        assert_eq!(
            upid,
            "UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:100:root@pam!full:"
        );
        assert_eq!(upid.split(':').count(), 9);
        assert!(is_upid(&upid));
        assert!(!is_upid("garbage"));
    }

    #[test]
    fn a_task_runs_and_then_takes_effect() {
        let mut cluster = worlds::build(&Options {
            task_seconds: 0.0,
            ..Options::default()
        })
        .unwrap();
        let plan = Plan::new(
            "qmstart",
            100,
            |cluster: &mut Cluster, lines: &mut Lines| {
                cluster.name = "changed".into();
                lines.warn("careful");
                Ok(())
            },
        );
        let upid = cluster.start("pve1", "root@pam!full", plan);
        let upid = upid.as_str().unwrap();
        assert_ne!(cluster.name, "changed");
        assert_eq!(cluster.tasks.find(upid).unwrap().status, None);
        cluster.settle();
        assert_eq!(cluster.name, "changed");
        let task = cluster.tasks.find(upid).unwrap();
        assert_eq!(task.status.as_deref(), Some("WARNINGS: 1"));
        assert_eq!(
            task.log(cluster.clock.at()),
            ["WARN: careful", "TASK WARNINGS: 1"]
        );
    }

    #[test]
    fn a_stopped_task_has_no_effect() {
        let mut cluster = worlds::build(&Options {
            task_seconds: 60.0,
            ..Options::default()
        })
        .unwrap();
        let plan = Plan::new("qmclone", 100, |cluster: &mut Cluster, _: &mut Lines| {
            cluster.name = "changed".into();
            Ok(())
        })
        .line(0.0, "begun")
        .line(0.9, "never seen");
        let upid = cluster.start("pve1", "root@pam!full", plan);
        let upid = upid.as_str().unwrap();
        cluster.stop_task(upid);
        let task = cluster.tasks.find(upid).unwrap();
        assert_eq!(task.status.as_deref(), Some("received interrupt"));
        assert_eq!(
            task.log(cluster.clock.at()),
            ["begun", "TASK ERROR: received interrupt"]
        );
        assert_ne!(cluster.name, "changed");
    }
}
