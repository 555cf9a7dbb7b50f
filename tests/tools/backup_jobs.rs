//! Backup jobs that are added and changed, without which no backup is deleted.

use harness::{Sim, assert_says, each};
use serde_json::{Value, json};

/// A job as a result lists it.
fn job<'a>(list: &'a Value, id: &str) -> &'a Value {
    let jobs = list["jobs"].as_array().into_iter().flatten();
    jobs.into_iter()
        .find(|job| job["job"] == id)
        .unwrap_or(&Value::Null)
}

#[tokio::test]
async fn a_new_job_covers_guests_and_keeps_all_backups() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let report = client
        .call(
            "set_backup_job",
            json!({ "vmids": [103], "storage": "nas", "schedule": "sun 04:00", "comment": "weekly" }),
        )
        .await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_says(&report["action"].to_string(), &["1 guest", "nas"]);
    assert_says(&report["warnings"].to_string(), &["keeps every backup"]);
    let sent = each(&sim.sent_to("POST", "/cluster/backup")?.into(), "params");
    let [sent] = sent.as_slice() else {
        anyhow::bail!("{sent:?}");
    };
    let id = sent["id"].as_str().unwrap_or_default();
    assert_eq!(
        *sent,
        json!({
            "id": id, "vmid": "103", "storage": "nas", "schedule": "sun 04:00", "mode": "snapshot",
            "prune-backups": "keep-all=1", "compress": "zstd", "notes-template": "{{guestname}}",
            "comment": "weekly",
        })
    );
    let list = client.call("list_backup_jobs", json!({})).await?;
    assert_eq!(job(&list, id)["vmids"], json!([103]), "{list:#}");
    assert_eq!(job(&list, id)["retention"], "keep-all=1");
    assert!(
        !list["uncovered"].to_string().contains("103"),
        "{:#}",
        list["uncovered"]
    );
    // All guests to a storage where no job deletes backups, but not enabled yet.
    let report = client
        .call(
            "set_backup_job",
            json!({ "all": true, "storage": "local", "schedule": "daily", "enabled": false,
                "mode": "stop" }),
        )
        .await?;
    assert_says(&report["warnings"].to_string(), &["disabled"]);
    let sent = each(&sim.sent_to("POST", "/cluster/backup")?.into(), "params");
    let last = sent.last().unwrap_or(&Value::Null);
    assert_eq!(
        (
            &last["all"],
            &last["enabled"],
            &last["mode"],
            &last["prune-backups"]
        ),
        (
            &json!("1"),
            &json!("0"),
            &json!("stop"),
            &json!("keep-all=1")
        )
    );
    Ok(())
}

#[tokio::test]
async fn a_guest_is_added_to_a_job_that_then_keeps_all() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    // It would delete backups that the guest has there already.
    let add = json!({ "job": "nightly", "add_vmids": [103] });
    let error = client.error("set_backup_job", add).await?;
    assert_says(
        &error,
        &["nightly keeps only keep-daily=7,keep-weekly=4", "keep_all"],
    );
    assert!(sim.writes()?.is_empty());
    let report = client
        .call(
            "set_backup_job",
            json!({ "job": "nightly", "add_vmids": [103], "keep_all": true }),
        )
        .await?;
    assert_eq!(
        report["changes"],
        json!([
            { "what": "guests", "from": "all but 102, 103", "to": "all but 102" },
            { "what": "retention", "from": "keep-daily=7,keep-weekly=4", "to": "keep-all=1" },
        ]),
        "{report:#}"
    );
    let put = || -> anyhow::Result<Vec<Value>> {
        Ok(each(&sim.sent_to("PUT", "/nightly")?.into(), "params"))
    };
    assert_eq!(
        put()?,
        [json!({ "exclude": "102", "prune-backups": "keep-all=1" })]
    );
    // The last one that is left out.
    client
        .call(
            "set_backup_job",
            json!({ "job": "nightly", "add_vmids": [102] }),
        )
        .await?;
    assert_eq!(
        put()?.last(),
        Some(&json!({ "delete": "exclude", "prune-backups": "keep-all=1" }))
    );
    let list = client.call("list_backup_jobs", json!({})).await?;
    assert_eq!(list["uncovered_total"], 0, "{list:#}");
    let report = client
        .call(
            "set_backup_job",
            json!({ "job": "nightly", "add_vmids": [102] }),
        )
        .await?;
    assert_eq!(report["status"], "unchanged", "{report:#}");
    assert_eq!(put()?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn what_cannot_delete_more_changes_without_the_retention() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    let off = json!({ "job": "nightly", "enabled": false });
    let error = client.error("set_backup_job", off).await?;
    assert_says(
        &error,
        &["no enabled job would cover", "100", "accept_fewer_guests"],
    );
    let report = client
        .call(
            "set_backup_job",
            json!({ "job": "nightly", "enabled": false, "comment": "moving", "mode": "suspend",
                "accept_fewer_guests": true }),
        )
        .await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_eq!(
        each(&sim.sent_to("PUT", "/nightly")?.into(), "params"),
        [json!({ "enabled": "0", "comment": "moving", "mode": "suspend" })]
    );
    // Its next runs would delete again.
    let on = json!({ "job": "nightly", "enabled": true });
    let error = client.error("set_backup_job", on).await?;
    assert_says(&error, &["keeps only", "keep_all"]);
    Ok(())
}

#[tokio::test]
async fn a_job_that_makes_no_sense_is_refused() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let new = |vmid: u32, storage: &str| json!({ "vmids": [vmid], "storage": storage, "schedule": "daily" });
    for (arguments, words) in [
        (json!({}), &["vmids", "missing"][..]),
        (json!({ "vmids": [100] }), &["storage", "missing"]),
        (
            json!({ "vmids": [100], "all": true, "storage": "nas", "schedule": "daily" }),
            &["only one of"],
        ),
        (new(999, "nas"), &["no guest 999"]),
        (new(103, "bulk"), &["bulk does not hold backups"]),
        (new(103, "gone"), &["no storage", "nas"]),
        // The other job would count the new backups.
        (
            new(100, "nas"),
            &["nightly also backs up 100", "another storage"],
        ),
        (
            json!({ "job": "gone", "enabled": true }),
            &["no backup job", "nightly"],
        ),
        (
            json!({ "job": "lab", "add_vmids": [100] }),
            &["pool lab", "leave job out"],
        ),
        (
            json!({ "job": "nightly", "vmids": [100], "keep_all": true }),
            &["no enabled job would cover", "accept_fewer_guests"],
        ),
    ] {
        let error = client.error("set_backup_job", arguments).await?;
        assert_says(&error, words);
    }
    let error = client
        .error(
            "set_backup_job",
            json!({ "vmids": [103], "storage": "nas", "schedule": "every day" }),
        )
        .await?;
    assert_says(&error, &["schedule"]);
    let auditor = sim.host_with("audit")?.connect().await?;
    let error = auditor.error("set_backup_job", new(103, "nas")).await?;
    assert_says(&error, &["Sys.Modify"]);
    let list = client.call("list_backup_jobs", json!({})).await?;
    assert_eq!(list["total"], 3, "{list:#}");

    // A server that may act on a part of the cluster alone leaves jobs alone.
    let scoped = sim.host()?.arg("--vmids=103").connect().await?;
    let error = scoped.error("set_backup_job", new(103, "nas")).await?;
    assert_says(&error, &["whole cluster"]);
    Ok(())
}

/// A job that is changed may leave guests without backups.
#[tokio::test]
async fn changes_of_a_job_are_for_admins() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    client
        .call(
            "set_backup_job",
            json!({ "job": "nightly", "comment": "to the NAS" }),
        )
        .await?;
    let comment = [json!({ "comment": "to the NAS" })];
    assert_eq!(
        each(&sim.sent_to("PUT", "/nightly")?.into(), "params"),
        comment
    );
    for change in [
        json!({ "job": "nightly", "enabled": false, "accept_fewer_guests": true }),
        json!({ "job": "nightly", "schedule": "sun 04:00", "keep_all": true }),
    ] {
        let error = client.error("set_backup_job", change).await?;
        assert_says(
            &error,
            &[
                "backup-job-change",
                "--preset admin",
                "leave job out",
                "web interface",
            ],
        );
    }
    assert_eq!(sim.sent_to("PUT", "/nightly")?.len(), 1);
    // Where another job deletes backups, many new ones would push out the old ones.
    for schedule in ["*/15", "*:0/30", "minutely"] {
        let new = json!({ "vmids": [103], "storage": "local", "schedule": schedule });
        let error = client.error("set_backup_job", new).await?;
        assert_says(&error, &["schedule", "once an hour"]);
    }
    Ok(())
}
