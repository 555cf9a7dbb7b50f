//! `/nodes/{node}/tasks`.

use serde_json::{Value, json};

use crate::api::nodes::numbered;
use crate::endpoint::{Answer, Call, Endpoint, on};
use crate::fail::Fail;
use crate::formats::{TASK_STATUSES, VMID, split_list};
use crate::params::{BOOL, INT, TEXT, opt};
use crate::permission::Permission::Everyone;
use crate::state::Task;
use crate::tasks::is_upid;
use pve_api::calls;

pub(crate) static ENDPOINTS: &[Endpoint] = &[
    on(
        &calls::nodes::TASKS,
        &[
            opt("errors", BOOL),
            opt("limit", INT.min(0)),
            opt("since", INT),
            opt("source", TEXT.choices(&["archive", "active", "all"])),
            opt("start", INT.min(0)),
            opt("statusfilter", TASK_STATUSES),
            opt("typefilter", TEXT),
            opt("until", INT),
            opt("userfilter", TEXT),
            opt("vmid", VMID),
        ],
        Everyone,
        list,
    ),
    on(&calls::nodes::TASK_STATUS, &[], Everyone, status),
    on(
        &calls::nodes::TASK_LOG,
        &[
            opt("download", BOOL),
            opt("limit", INT.min(0)),
            opt("start", INT.min(0)),
        ],
        Everyone,
        log,
    ),
    on(&calls::nodes::STOP_TASK, &[], Everyone, stop),
];

/// `ok`, `warning`, `error` or `unknown`, as filters name it.
fn category(status: &str) -> &'static str {
    match status {
        "OK" => "ok",
        "unknown" => "unknown",
        status if status.starts_with("WARNINGS: ") => "warning",
        _ => "error",
    }
}

fn list(call: &mut Call<'_>) -> Answer {
    let node = call.node();
    let all = call.may(&format!("/nodes/{node}"), "Sys.Audit");
    let own = call.auth.token.id.clone();
    let source = call.get("source").unwrap_or("archive");
    let statuses: Option<Vec<String>> = call
        .get("statusfilter")
        .map(|list| split_list(list).map(str::to_ascii_lowercase).collect());
    let (since, until) = (call.int("since"), call.int("until"));
    let keep = |task: &&Task| {
        let status = task.status.as_deref();
        task.node == node
            && (all || task.user == own)
            && match source {
                "active" => status.is_none(),
                "archive" => status.is_some(),
                _ => true,
            }
            && call.get("vmid").is_none_or(|vmid| task.id == vmid)
            && call.get("typefilter").is_none_or(|kind| task.kind == kind)
            && call
                .get("userfilter")
                .is_none_or(|user| task.user.contains(user))
            && since.is_none_or(|since| task.start >= since)
            && until.is_none_or(|until| task.start <= until)
            && (!call.flag("errors") || status.is_some_and(|status| category(status) == "error"))
            && statuses.as_ref().is_none_or(|wanted| {
                status.is_some_and(|status| wanted.iter().any(|wanted| wanted == category(status)))
            })
    };
    let mut tasks: Vec<&Task> = call.cluster.tasks.list.iter().filter(keep).collect();
    tasks.sort_by_key(|task| {
        (
            task.status.is_some(),
            std::cmp::Reverse((task.start, task.pid)),
        )
    });
    let count = |name: &str, default: usize| {
        call.int(name)
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or(default)
    };
    let total = tasks.len();
    let page: Value = tasks
        .into_iter()
        .skip(count("start", 0))
        .take(count("limit", 50))
        .map(Task::node_json)
        .collect();
    call.total = Some(total);
    Ok(page)
}

/// The task of the path, if the token may see it.
fn task<'a>(call: &'a Call<'_>) -> Result<&'a Task, Fail> {
    let upid = call.get("upid").unwrap_or_default();
    if !is_upid(upid) {
        return Err(Fail::param("upid", "unable to parse worker upid"));
    }
    let node = call.node();
    let known = call
        .cluster
        .tasks
        .find(upid)
        .filter(|task| task.node == node);
    let task = known.ok_or_else(|| Fail::param("upid", "no such task"))?;
    if task.user != call.auth.token.id {
        call.require(&format!("/nodes/{node}"), "Sys.Audit")?;
    }
    Ok(task)
}

fn status(call: &mut Call<'_>) -> Answer {
    task(call).map(Task::status_json)
}

fn log(call: &mut Call<'_>) -> Answer {
    let (start, limit) = (
        call.int("start").unwrap_or(0),
        call.int("limit").unwrap_or(50),
    );
    let lines = task(call)?.log(call.cluster.clock.at());
    let total = lines.len();
    let data = if lines.is_empty() {
        json!([{"n": 1, "t": "no content"}])
    } else {
        numbered(lines.into_iter(), start, limit)
    };
    call.total = Some(total.max(1));
    Ok(data)
}

fn stop(call: &mut Call<'_>) -> Answer {
    let task = task(call)?;
    let upid = task.upid.clone();
    if task.user != call.auth.token.id {
        call.require(&format!("/nodes/{}", call.node()), "Sys.Modify")?;
    }
    call.cluster.stop_task(&upid);
    Ok(Value::Null)
}
