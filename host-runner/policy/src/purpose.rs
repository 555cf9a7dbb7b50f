//! What a policy can never allow of a tool, by the calls that the tool declares.
//!
//! Where it is not certain, it may be allowed: a request is refused in any case when it
//! is made. The scope does not count, since what is in it depends on the cluster.

use std::ptr;

use pve_api::{Action, Call, Method, calls};

use crate::declared::{rows_of, split};
use crate::{Policy, READS_ONLY, denied_action, denied_by, preset};

/// What a tool declares, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub struct Tool<'a> {
    /// The calls that it may make, each as `GET /nodes`.
    pub calls: &'a [String],
    /// It changes nothing.
    pub reads: bool,
    /// It is allowed to do what no request shows.
    pub dangerous: bool,
}

/// A call that a tool is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Purpose<'a> {
    /// The row of the table.
    pub(crate) call: &'static Call,
    /// The parameters that each of its requests has, as far as they are declared.
    pub(crate) given: Option<&'a str>,
}

impl Purpose<'_> {
    fn is(&self, call: &Call) -> bool {
        ptr::eq(self.call, call)
    }
}

/// Calls, each with those that are only steps before or after it where a tool makes it: no
/// tool is of use by them alone.
static STEPS: [(&Call, &[&Call]); 11] = [
    (
        &calls::create::VM,
        &[&calls::guests::RESIZE.qemu, &calls::power::START.qemu],
    ),
    (
        &calls::create::CONTAINER,
        &[&calls::storage::DOWNLOAD_TEMPLATE, &calls::power::START.lxc],
    ),
    (
        &calls::guests::UPDATE_CLOUD_INIT,
        &[&calls::guests::SET_CONFIG.qemu],
    ),
    (
        &calls::storage::DOWNLOAD_URL,
        &[&calls::storage::URL_METADATA],
    ),
    (
        &calls::guests::MIGRATION_TARGETS.qemu,
        &[
            &calls::guests::CONFIG.qemu,
            &calls::guests::CONFIG.lxc,
            &calls::guests::STATUS.qemu,
            &calls::guests::STATUS.lxc,
        ],
    ),
    (&calls::nodes::SYSLOG, &[&calls::nodes::TIME]),
    (&calls::cluster::HA_STATUS, &[&calls::nodes::TASKS]),
    (
        &calls::cluster::BACKUP_JOBS,
        &[&calls::cluster::BACKUP_VOLUMES, &calls::storage::CONFIGURED],
    ),
    (
        &calls::firewall::CLUSTER_RULES,
        &[&calls::firewall::GROUPS, &calls::nodes::NETWORK],
    ),
    // What is wrong with a guest may be on its node or in the cluster.
    (
        &calls::agent::FILESYSTEMS,
        &[
            &calls::firewall::CLUSTER_OPTIONS,
            &calls::firewall::CLUSTER_RULES,
            &calls::firewall::GROUP_RULES,
            &calls::firewall::IPSET,
            &calls::firewall::NODE_OPTIONS,
            &calls::firewall::NODE_RULES,
            &calls::nodes::STATUS,
            &calls::nodes::TASKS,
            &calls::storage::LIST,
        ],
    ),
    (
        &calls::guests::METRICS.qemu,
        &[&calls::cluster::REPLICATION, &calls::nodes::TASKS],
    ),
];

impl<'a> Tool<'a> {
    /// The calls that the tool is for: the changes of a tool that changes something,
    /// or the reads of another. Calls by which many tools look up what they are about,
    /// follow a task or explain an error are left out, unless the tool has no others, and
    /// so are the steps that only come with another call. None if one of them is not in the
    /// table.
    pub(crate) fn purpose(&self) -> Option<Vec<Purpose<'a>>> {
        let mut declared: Vec<Purpose<'a>> = Vec::new();
        for line in self.calls {
            let known = declared.len();
            let given = split(line).1;
            declared.extend(rows_of(line).map(|call| Purpose { call, given }));
            if declared.len() == known {
                return None;
            }
        }
        declared.retain(|one| self.reads == reads(one.call));
        let common = |purpose: &Purpose<'_>| {
            let mut common = calls::EXPLAIN
                .iter()
                .chain(&calls::LOOK_UP)
                .chain(&calls::FOLLOW);
            common.any(|one| purpose.is(one))
        };
        let (common, mut own): (Vec<_>, Vec<_>) = declared.into_iter().partition(common);
        // Taken before a change, unless it is what the tool is for.
        let is_snapshot = |purpose: &Purpose<'_>| {
            let both = &calls::snapshots::CREATE;
            purpose.is(&both.qemu) || purpose.is(&both.lxc)
        };
        if !own.iter().all(is_snapshot) {
            own.retain(|purpose| !is_snapshot(purpose));
        }
        for (main, steps) in STEPS {
            if own.iter().any(|purpose| purpose.is(main)) {
                own.retain(|purpose| !steps.iter().any(|step| purpose.is(step)));
            }
        }
        Some(if own.is_empty() { common } else { own })
    }
}

impl Policy {
    /// Why this policy refuses whatever a tool is for, in all cases. None if it may allow
    /// a part of it.
    pub fn never_allows(&self, tool: Tool<'_>) -> Option<String> {
        let mut refusal = None;
        for purpose in tool.purpose()? {
            match self.refuses_always(purpose.call, tool.dangerous) {
                None => return None,
                Some(reason) => refusal = refusal.or(Some(reason)),
            }
        }
        refusal
    }

    /// Why all requests of a call are refused.
    fn refuses_always(&self, call: &Call, dangerous: bool) -> Option<String> {
        if self.read_only && !reads(call) {
            return Some(READS_ONLY.to_owned());
        }
        if let Some(pattern) = self.deny.iter().find(|pattern| pattern.covers(call)) {
            return Some(denied_by(pattern));
        }
        let granted = self.allow.iter().any(|pattern| pattern.overlaps(call));
        let mut refusal = None;
        for action in call.actions() {
            if self.denied.contains(&action) {
                refusal = Some(denied_action(action));
            } else if granted
                || self.actions.contains(&action)
                || action.is_dangerous() && dangerous
            {
                return None;
            } else {
                refusal = refusal.or_else(|| Some(preset::refusal(action)));
            }
        }
        refusal
    }
}

/// Whether a call is a mere read: some that are made by GET are more.
fn reads(call: &Call) -> bool {
    call.method() == Method::Get && call.action() == Action::Read
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{ACTIONS, Preset};

    fn tool<'a>(calls: &'a [String]) -> Tool<'a> {
        Tool {
            calls,
            reads: false,
            dangerous: false,
        }
    }

    fn names(calls: &[&Call]) -> Vec<String> {
        calls.iter().map(ToString::to_string).collect()
    }

    fn policy(preset: Preset) -> Policy {
        Policy::preset(preset)
    }

    #[test]
    fn every_preset_leaves_out_what_none_of_its_actions_is_for() {
        for (preset, _) in Preset::ALL {
            let allowed: BTreeSet<Action> = preset.actions().collect();
            for call in calls::all().filter(|call| !reads(call)) {
                let does: BTreeSet<Action> = call.actions().into_iter().collect();
                let is_possible = does.intersection(&allowed).next().is_some();
                let declared = names(&[call, &calls::cluster::STATUS, &calls::nodes::TASK_LOG]);
                let refusal = policy(preset).never_allows(tool(&declared));
                assert_eq!(
                    refusal.is_none(),
                    is_possible,
                    "{preset:?} {call}: {refusal:?}"
                );
            }
        }
    }

    #[test]
    fn stopping_its_own_task_is_not_what_a_tool_is_for() {
        let declared = names(&[&calls::snapshots::ROLLBACK.qemu, &calls::nodes::STOP_TASK]);
        let refusal = policy(Preset::Operate)
            .never_allows(tool(&declared))
            .unwrap();
        assert!(refusal.contains("does not allow rollback"), "{refusal}");
        assert!(refusal.contains("--preset admin"), "{refusal}");
        assert_eq!(policy(Preset::Admin).never_allows(tool(&declared)), None);
        let stop = names(&[&calls::nodes::STOP_TASK]);
        assert_eq!(policy(Preset::Operate).never_allows(tool(&stop)), None);
    }

    #[test]
    fn one_call_that_may_be_allowed_is_enough() {
        let declared = names(&[&calls::power::STOP.qemu, &calls::power::SHUTDOWN.lxc]);
        assert_eq!(policy(Preset::Operate).never_allows(tool(&declared)), None);
        assert!(
            policy(Preset::Observe)
                .never_allows(tool(&declared))
                .is_some()
        );
    }

    #[test]
    fn rules_and_denied_actions_count_where_they_are_about_every_request() {
        let start = names(&[&calls::power::START.qemu]);
        let with = |deny: &[&str], allow: &[&str]| {
            let parse = |rules: &[&str]| rules.iter().map(|rule| rule.parse().unwrap()).collect();
            let mut policy = policy(Preset::Observe);
            policy.actions.extend(ACTIONS.map(|(action, _)| action));
            policy.deny = parse(deny);
            if !allow.is_empty() {
                policy.actions = BTreeSet::from([Action::Read]);
                policy.allow = parse(allow);
            }
            policy.never_allows(tool(&start)).is_some()
        };
        assert!(!with(&[], &[]));
        assert!(with(&["POST /nodes/**"], &[]));
        assert!(with(&["POST /nodes/*/qemu/*/status/start"], &[]));
        assert!(!with(&["POST /nodes/*/qemu/100/status/start"], &[]));
        assert!(!with(&["POST /nodes/pve1/**"], &[]));
        assert!(!with(&[], &["POST /nodes/pve1/qemu/100/**"]));
        assert!(with(&[], &["POST /nodes/*/lxc/**"]));

        let denied = Policy {
            denied: BTreeSet::from([Action::Power]),
            ..policy(Preset::Admin)
        };
        let refusal = denied.never_allows(tool(&start)).unwrap();
        assert!(refusal.contains("denies power"), "{refusal}");
    }

    #[test]
    fn what_is_not_certain_may_be_allowed() {
        let observe = policy(Preset::Observe);
        let unknown = ["POST /nodes/{node}/unheard".to_owned()];
        assert_eq!(observe.never_allows(tool(&unknown)), None);
        assert_eq!(observe.never_allows(tool(&[])), None);
        let little = names(&[&calls::cluster::VERSION]);
        assert_eq!(observe.never_allows(tool(&little)), None);
    }

    #[test]
    fn a_dangerous_action_is_allowed_to_a_dangerous_tool_alone() {
        let exec = names(&[&calls::agent::EXEC]);
        let operate = policy(Preset::Operate);
        assert!(operate.never_allows(tool(&exec)).is_some());
        let allowed = Tool {
            dangerous: true,
            ..tool(&exec)
        };
        assert_eq!(operate.never_allows(allowed), None);
    }
}
