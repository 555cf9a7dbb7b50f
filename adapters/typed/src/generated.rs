// Made from the tool list by `cargo xtask adapters`: edit nothing here.

use serde_json::Value;

use crate::Adapter;
use crate::arguments::{Arguments, record};
use crate::bindings as wit;

#[rustfmt::skip]
impl wit::Guest for Adapter {
    fn list_nodes(options: Vec<wit::ListNodesOption>) -> Result<String, String> {
        let mut arguments = Arguments::default();
        for option in options {
            match option {
                wit::ListNodesOption::Status(value) => arguments.option("status", value)?,
            }
        }
        arguments.call("list_nodes")
    }

    fn get_node(node: String) -> Result<String, String> {
        let arguments = Arguments::default()
            .required("node", node);
        arguments.call("get_node")
    }

    fn list_guests(options: Vec<wit::ListGuestsOption>) -> Result<String, String> {
        let mut arguments = Arguments::default();
        for option in options {
            match option {
                wit::ListGuestsOption::Kind(value) => arguments.option("kind", value)?,
                wit::ListGuestsOption::Status(value) => arguments.option("status", value)?,
                wit::ListGuestsOption::Node(value) => arguments.option("node", value)?,
                wit::ListGuestsOption::Name(value) => arguments.option("name", value)?,
                wit::ListGuestsOption::Tag(value) => arguments.option("tag", value)?,
                wit::ListGuestsOption::Pool(value) => arguments.option("pool", value)?,
                wit::ListGuestsOption::Template(value) => arguments.option("template", value)?,
                wit::ListGuestsOption::Sort(value) => arguments.option("sort", value)?,
                wit::ListGuestsOption::Limit(value) => arguments.option("limit", value)?,
            }
        }
        arguments.call("list_guests")
    }

    fn get_guest(vmid: u64) -> Result<String, String> {
        let arguments = Arguments::default()
            .required("vmid", vmid);
        arguments.call("get_guest")
    }

    fn get_guest_network(vmid: u64, options: Vec<wit::GetGuestNetworkOption>) -> Result<String, String> {
        let mut arguments = Arguments::default()
            .required("vmid", vmid);
        for option in options {
            match option {
                wit::GetGuestNetworkOption::IncludeLoopback(value) => arguments.option("include_loopback", value)?,
                wit::GetGuestNetworkOption::Limit(value) => arguments.option("limit", value)?,
            }
        }
        arguments.call("get_guest_network")
    }

    fn get_guest_metrics(vmid: u64, options: Vec<wit::GetGuestMetricsOption>) -> Result<String, String> {
        let mut arguments = Arguments::default()
            .required("vmid", vmid);
        for option in options {
            match option {
                wit::GetGuestMetricsOption::Timeframe(value) => arguments.option("timeframe", value)?,
            }
        }
        arguments.call("get_guest_metrics")
    }

    fn start_guest(vmid: u64, options: Vec<wit::StartGuestOption>) -> Result<String, String> {
        let mut arguments = Arguments::default()
            .required("vmid", vmid);
        for option in options {
            match option {
                wit::StartGuestOption::Wait(value) => arguments.option("wait", value)?,
            }
        }
        arguments.call("start_guest")
    }

    fn stop_guest(vmid: u64, options: Vec<wit::StopGuestOption>) -> Result<String, String> {
        let mut arguments = Arguments::default()
            .required("vmid", vmid);
        for option in options {
            match option {
                wit::StopGuestOption::Mode(value) => arguments.option("mode", value)?,
                wit::StopGuestOption::TimeoutSeconds(value) => arguments.option("timeout_seconds", value)?,
                wit::StopGuestOption::ForceAfterTimeout(value) => arguments.option("force_after_timeout", value)?,
                wit::StopGuestOption::Wait(value) => arguments.option("wait", value)?,
            }
        }
        arguments.call("stop_guest")
    }

    fn restart_guest(vmid: u64, options: Vec<wit::RestartGuestOption>) -> Result<String, String> {
        let mut arguments = Arguments::default()
            .required("vmid", vmid);
        for option in options {
            match option {
                wit::RestartGuestOption::Mode(value) => arguments.option("mode", value)?,
                wit::RestartGuestOption::TimeoutSeconds(value) => arguments.option("timeout_seconds", value)?,
                wit::RestartGuestOption::Wait(value) => arguments.option("wait", value)?,
            }
        }
        arguments.call("restart_guest")
    }

    fn suspend_guest(vmid: u64, options: Vec<wit::SuspendGuestOption>) -> Result<String, String> {
        let mut arguments = Arguments::default()
            .required("vmid", vmid);
        for option in options {
            match option {
                wit::SuspendGuestOption::ToDisk(value) => arguments.option("to_disk", value)?,
                wit::SuspendGuestOption::StateStorage(value) => arguments.option("state_storage", value)?,
                wit::SuspendGuestOption::Wait(value) => arguments.option("wait", value)?,
            }
        }
        arguments.call("suspend_guest")
    }

    fn resume_guest(vmid: u64, options: Vec<wit::ResumeGuestOption>) -> Result<String, String> {
        let mut arguments = Arguments::default()
            .required("vmid", vmid);
        for option in options {
            match option {
                wit::ResumeGuestOption::Wait(value) => arguments.option("wait", value)?,
            }
        }
        arguments.call("resume_guest")
    }

    fn get_console_url(vmid: u64, options: Vec<wit::GetConsoleUrlOption>) -> Result<String, String> {
        let mut arguments = Arguments::default()
            .required("vmid", vmid);
        for option in options {
            match option {
                wit::GetConsoleUrlOption::Viewer(value) => arguments.option("viewer", value)?,
            }
        }
        arguments.call("get_console_url")
    }

    fn list_templates(options: Vec<wit::ListTemplatesOption>) -> Result<String, String> {
        let mut arguments = Arguments::default();
        for option in options {
            match option {
                wit::ListTemplatesOption::Source(value) => arguments.option("source", value)?,
                wit::ListTemplatesOption::Name(value) => arguments.option("name", value)?,
                wit::ListTemplatesOption::Limit(value) => arguments.option("limit", value)?,
            }
        }
        arguments.call("list_templates")
    }

    fn clone_guest(options: Vec<wit::CloneGuestOption>) -> Result<String, String> {
        let mut arguments = Arguments::default();
        for option in options {
            match option {
                wit::CloneGuestOption::Vmid(value) => arguments.option("vmid", value)?,
                wit::CloneGuestOption::SourceName(value) => arguments.option("source_name", value)?,
                wit::CloneGuestOption::NewVmid(value) => arguments.option("new_vmid", value)?,
                wit::CloneGuestOption::Name(value) => arguments.option("name", value)?,
                wit::CloneGuestOption::Full(value) => arguments.option("full", value)?,
                wit::CloneGuestOption::Snapshot(value) => arguments.option("snapshot", value)?,
                wit::CloneGuestOption::TargetNode(value) => arguments.option("target_node", value)?,
                wit::CloneGuestOption::Storage(value) => arguments.option("storage", value)?,
                wit::CloneGuestOption::Pool(value) => arguments.option("pool", value)?,
                wit::CloneGuestOption::Description(value) => arguments.option("description", value)?,
                wit::CloneGuestOption::Wait(value) => arguments.option("wait", value)?,
            }
        }
        arguments.call("clone_guest")
    }

    fn download_template(template: String, options: Vec<wit::DownloadTemplateOption>) -> Result<String, String> {
        let mut arguments = Arguments::default()
            .required("template", template);
        for option in options {
            match option {
                wit::DownloadTemplateOption::Node(value) => arguments.option("node", value)?,
                wit::DownloadTemplateOption::Storage(value) => arguments.option("storage", value)?,
                wit::DownloadTemplateOption::Wait(value) => arguments.option("wait", value)?,
            }
        }
        arguments.call("download_template")
    }

    fn download_iso(url: String, options: Vec<wit::DownloadIsoOption>) -> Result<String, String> {
        let mut arguments = Arguments::default()
            .required("url", url);
        for option in options {
            match option {
                wit::DownloadIsoOption::Node(value) => arguments.option("node", value)?,
                wit::DownloadIsoOption::Storage(value) => arguments.option("storage", value)?,
                wit::DownloadIsoOption::Content(value) => arguments.option("content", value)?,
                wit::DownloadIsoOption::Filename(value) => arguments.option("filename", value)?,
                wit::DownloadIsoOption::Checksum(value) => arguments.option("checksum", value)?,
                wit::DownloadIsoOption::ChecksumAlgorithm(value) => arguments.option("checksum_algorithm", value)?,
                wit::DownloadIsoOption::VerifyCertificates(value) => arguments.option("verify_certificates", value)?,
                wit::DownloadIsoOption::Wait(value) => arguments.option("wait", value)?,
            }
        }
        arguments.call("download_iso")
    }

    fn get_cloud_init(vmid: u64) -> Result<String, String> {
        let arguments = Arguments::default()
            .required("vmid", vmid);
        arguments.call("get_cloud_init")
    }

    fn set_cloud_init(vmid: u64, options: Vec<wit::SetCloudInitOption>) -> Result<String, String> {
        let mut arguments = Arguments::default()
            .required("vmid", vmid);
        for option in options {
            match option {
                wit::SetCloudInitOption::User(value) => arguments.option("user", value)?,
                wit::SetCloudInitOption::Password(value) => arguments.option("password", value)?,
                wit::SetCloudInitOption::SshKeys(value) => arguments.option("ssh_keys", value)?,
                wit::SetCloudInitOption::Addresses(value) => arguments.option("addresses", value)?,
                wit::SetCloudInitOption::DnsServers(value) => arguments.option("dns_servers", value)?,
                wit::SetCloudInitOption::SearchDomain(value) => arguments.option("search_domain", value)?,
                wit::SetCloudInitOption::Upgrade(value) => arguments.option("upgrade", value)?,
            }
        }
        arguments.call("set_cloud_init")
    }

    fn set_guest_resources(vmid: u64, options: Vec<wit::SetGuestResourcesOption>) -> Result<String, String> {
        let mut arguments = Arguments::default()
            .required("vmid", vmid);
        for option in options {
            match option {
                wit::SetGuestResourcesOption::Cores(value) => arguments.option("cores", value)?,
                wit::SetGuestResourcesOption::Sockets(value) => arguments.option("sockets", value)?,
                wit::SetGuestResourcesOption::CpuLimit(value) => arguments.option("cpu_limit", value)?,
                wit::SetGuestResourcesOption::MemoryMib(value) => arguments.option("memory_mib", value)?,
                wit::SetGuestResourcesOption::MinMemoryMib(value) => arguments.option("min_memory_mib", value)?,
                wit::SetGuestResourcesOption::SwapMib(value) => arguments.option("swap_mib", value)?,
                wit::SetGuestResourcesOption::AcceptLowMemory(value) => arguments.option("accept_low_memory", value)?,
            }
        }
        arguments.call("set_guest_resources")
    }

    fn resize_disk(vmid: u64, disk: String, size: String, options: Vec<wit::ResizeDiskOption>) -> Result<String, String> {
        let mut arguments = Arguments::default()
            .required("vmid", vmid)
            .required("disk", disk)
            .required("size", size);
        for option in options {
            match option {
                wit::ResizeDiskOption::Wait(value) => arguments.option("wait", value)?,
            }
        }
        arguments.call("resize_disk")
    }

    fn set_guest_options(vmid: u64, options: Vec<wit::SetGuestOptionsOption>) -> Result<String, String> {
        let mut arguments = Arguments::default()
            .required("vmid", vmid);
        for option in options {
            match option {
                wit::SetGuestOptionsOption::Name(value) => arguments.option("name", value)?,
                wit::SetGuestOptionsOption::Description(value) => arguments.option("description", value)?,
                wit::SetGuestOptionsOption::Tags(value) => arguments.option("tags", value)?,
                wit::SetGuestOptionsOption::AddTags(value) => arguments.option("add_tags", value)?,
                wit::SetGuestOptionsOption::RemoveTags(value) => arguments.option("remove_tags", value)?,
                wit::SetGuestOptionsOption::StartAtBoot(value) => arguments.option("start_at_boot", value)?,
                wit::SetGuestOptionsOption::Protection(value) => arguments.option("protection", value)?,
            }
        }
        arguments.call("set_guest_options")
    }

    fn check_migration(vmid: u64, options: Vec<wit::CheckMigrationOption>) -> Result<String, String> {
        let mut arguments = Arguments::default()
            .required("vmid", vmid);
        for option in options {
            match option {
                wit::CheckMigrationOption::TargetNode(value) => arguments.option("target_node", value)?,
            }
        }
        arguments.call("check_migration")
    }

    fn migrate_guest(vmid: u64, target_node: String, options: Vec<wit::MigrateGuestOption>) -> Result<String, String> {
        let mut arguments = Arguments::default()
            .required("vmid", vmid)
            .required("target_node", target_node);
        for option in options {
            match option {
                wit::MigrateGuestOption::Online(value) => arguments.option("online", value)?,
                wit::MigrateGuestOption::WithLocalDisks(value) => arguments.option("with_local_disks", value)?,
                wit::MigrateGuestOption::TargetStorage(value) => arguments.option("target_storage", value)?,
                wit::MigrateGuestOption::ShutdownTimeoutSeconds(value) => arguments.option("shutdown_timeout_seconds", value)?,
                wit::MigrateGuestOption::BandwidthLimitKibps(value) => arguments.option("bandwidth_limit_kibps", value)?,
                wit::MigrateGuestOption::Wait(value) => arguments.option("wait", value)?,
            }
        }
        arguments.call("migrate_guest")
    }

    fn list_snapshots(vmid: u64, options: Vec<wit::ListSnapshotsOption>) -> Result<String, String> {
        let mut arguments = Arguments::default()
            .required("vmid", vmid);
        for option in options {
            match option {
                wit::ListSnapshotsOption::Limit(value) => arguments.option("limit", value)?,
            }
        }
        arguments.call("list_snapshots")
    }

    fn create_snapshot(vmid: u64, snapshot: String, options: Vec<wit::CreateSnapshotOption>) -> Result<String, String> {
        let mut arguments = Arguments::default()
            .required("vmid", vmid)
            .required("snapshot", snapshot);
        for option in options {
            match option {
                wit::CreateSnapshotOption::Description(value) => arguments.option("description", value)?,
                wit::CreateSnapshotOption::WithRam(value) => arguments.option("with_ram", value)?,
                wit::CreateSnapshotOption::Wait(value) => arguments.option("wait", value)?,
            }
        }
        arguments.call("create_snapshot")
    }

    fn rollback_snapshot(vmid: u64, snapshot: String, options: Vec<wit::RollbackSnapshotOption>) -> Result<String, String> {
        let mut arguments = Arguments::default()
            .required("vmid", vmid)
            .required("snapshot", snapshot);
        for option in options {
            match option {
                wit::RollbackSnapshotOption::Start(value) => arguments.option("start", value)?,
                wit::RollbackSnapshotOption::Preview(value) => arguments.option("preview", value)?,
                wit::RollbackSnapshotOption::Wait(value) => arguments.option("wait", value)?,
            }
        }
        arguments.call("rollback_snapshot")
    }

    fn delete_snapshot(vmid: u64, snapshot: String, options: Vec<wit::DeleteSnapshotOption>) -> Result<String, String> {
        let mut arguments = Arguments::default()
            .required("vmid", vmid)
            .required("snapshot", snapshot);
        for option in options {
            match option {
                wit::DeleteSnapshotOption::Wait(value) => arguments.option("wait", value)?,
            }
        }
        arguments.call("delete_snapshot")
    }

    fn list_backups(options: Vec<wit::ListBackupsOption>) -> Result<String, String> {
        let mut arguments = Arguments::default();
        for option in options {
            match option {
                wit::ListBackupsOption::Vmid(value) => arguments.option("vmid", value)?,
                wit::ListBackupsOption::Storage(value) => arguments.option("storage", value)?,
                wit::ListBackupsOption::Node(value) => arguments.option("node", value)?,
                wit::ListBackupsOption::Limit(value) => arguments.option("limit", value)?,
            }
        }
        arguments.call("list_backups")
    }

    fn create_backup(vmid: u64, options: Vec<wit::CreateBackupOption>) -> Result<String, String> {
        let mut arguments = Arguments::default()
            .required("vmid", vmid);
        for option in options {
            match option {
                wit::CreateBackupOption::Storage(value) => arguments.option("storage", value)?,
                wit::CreateBackupOption::Mode(value) => arguments.option("mode", value)?,
                wit::CreateBackupOption::Compress(value) => arguments.option("compress", value)?,
                wit::CreateBackupOption::Notes(value) => arguments.option("notes", value)?,
                wit::CreateBackupOption::Protected(value) => arguments.option("protected", value)?,
                wit::CreateBackupOption::Wait(value) => arguments.option("wait", value)?,
            }
        }
        arguments.call("create_backup")
    }

    fn restore_backup(volid: String, options: Vec<wit::RestoreBackupOption>) -> Result<String, String> {
        let mut arguments = Arguments::default()
            .required("volid", volid);
        for option in options {
            match option {
                wit::RestoreBackupOption::NewVmid(value) => arguments.option("new_vmid", value)?,
                wit::RestoreBackupOption::Storage(value) => arguments.option("storage", value)?,
                wit::RestoreBackupOption::Node(value) => arguments.option("node", value)?,
                wit::RestoreBackupOption::Name(value) => arguments.option("name", value)?,
                wit::RestoreBackupOption::KeepMacs(value) => arguments.option("keep_macs", value)?,
                wit::RestoreBackupOption::Wait(value) => arguments.option("wait", value)?,
            }
        }
        arguments.call("restore_backup")
    }

    fn audit_firewall(options: Vec<wit::AuditFirewallOption>) -> Result<String, String> {
        let mut arguments = Arguments::default();
        for option in options {
            match option {
                wit::AuditFirewallOption::Vmid(value) => arguments.option("vmid", value)?,
                wit::AuditFirewallOption::Node(value) => arguments.option("node", value)?,
                wit::AuditFirewallOption::Cluster(value) => arguments.option("cluster", value)?,
                wit::AuditFirewallOption::Limit(value) => arguments.option("limit", value)?,
            }
        }
        arguments.call("audit_firewall")
    }

    fn add_firewall_rule(direction: wit::AddFirewallRuleDirection, action: String, options: Vec<wit::AddFirewallRuleOption>) -> Result<String, String> {
        let mut arguments = Arguments::default()
            .required("direction", direction)
            .required("action", action);
        for option in options {
            match option {
                wit::AddFirewallRuleOption::Vmid(value) => arguments.option("vmid", value)?,
                wit::AddFirewallRuleOption::Node(value) => arguments.option("node", value)?,
                wit::AddFirewallRuleOption::Cluster(value) => arguments.option("cluster", value)?,
                wit::AddFirewallRuleOption::Position(value) => arguments.option("position", value)?,
                wit::AddFirewallRuleOption::Enabled(value) => arguments.option("enabled", value)?,
                wit::AddFirewallRuleOption::Macro(value) => arguments.option("macro", value)?,
                wit::AddFirewallRuleOption::Interface(value) => arguments.option("interface", value)?,
                wit::AddFirewallRuleOption::Source(value) => arguments.option("source", value)?,
                wit::AddFirewallRuleOption::Dest(value) => arguments.option("dest", value)?,
                wit::AddFirewallRuleOption::Proto(value) => arguments.option("proto", value)?,
                wit::AddFirewallRuleOption::Dport(value) => arguments.option("dport", value)?,
                wit::AddFirewallRuleOption::Sport(value) => arguments.option("sport", value)?,
                wit::AddFirewallRuleOption::IcmpType(value) => arguments.option("icmp_type", value)?,
                wit::AddFirewallRuleOption::Log(value) => arguments.option("log", value)?,
                wit::AddFirewallRuleOption::Comment(value) => arguments.option("comment", value)?,
                wit::AddFirewallRuleOption::AcceptLockout(value) => arguments.option("accept_lockout", value)?,
            }
        }
        arguments.call("add_firewall_rule")
    }

    fn update_firewall_rule(position: u64, options: Vec<wit::UpdateFirewallRuleOption>) -> Result<String, String> {
        let mut arguments = Arguments::default()
            .required("position", position);
        for option in options {
            match option {
                wit::UpdateFirewallRuleOption::Vmid(value) => arguments.option("vmid", value)?,
                wit::UpdateFirewallRuleOption::Node(value) => arguments.option("node", value)?,
                wit::UpdateFirewallRuleOption::Cluster(value) => arguments.option("cluster", value)?,
                wit::UpdateFirewallRuleOption::Digest(value) => arguments.option("digest", value)?,
                wit::UpdateFirewallRuleOption::NewPosition(value) => arguments.option("new_position", value)?,
                wit::UpdateFirewallRuleOption::Direction(value) => arguments.option("direction", value)?,
                wit::UpdateFirewallRuleOption::Action(value) => arguments.option("action", value)?,
                wit::UpdateFirewallRuleOption::Enabled(value) => arguments.option("enabled", value)?,
                wit::UpdateFirewallRuleOption::Macro(value) => arguments.option("macro", value)?,
                wit::UpdateFirewallRuleOption::Interface(value) => arguments.option("interface", value)?,
                wit::UpdateFirewallRuleOption::Source(value) => arguments.option("source", value)?,
                wit::UpdateFirewallRuleOption::Dest(value) => arguments.option("dest", value)?,
                wit::UpdateFirewallRuleOption::Proto(value) => arguments.option("proto", value)?,
                wit::UpdateFirewallRuleOption::Dport(value) => arguments.option("dport", value)?,
                wit::UpdateFirewallRuleOption::Sport(value) => arguments.option("sport", value)?,
                wit::UpdateFirewallRuleOption::IcmpType(value) => arguments.option("icmp_type", value)?,
                wit::UpdateFirewallRuleOption::Log(value) => arguments.option("log", value)?,
                wit::UpdateFirewallRuleOption::Comment(value) => arguments.option("comment", value)?,
                wit::UpdateFirewallRuleOption::AcceptLockout(value) => arguments.option("accept_lockout", value)?,
            }
        }
        arguments.call("update_firewall_rule")
    }

    fn delete_firewall_rule(position: u64, options: Vec<wit::DeleteFirewallRuleOption>) -> Result<String, String> {
        let mut arguments = Arguments::default()
            .required("position", position);
        for option in options {
            match option {
                wit::DeleteFirewallRuleOption::Vmid(value) => arguments.option("vmid", value)?,
                wit::DeleteFirewallRuleOption::Node(value) => arguments.option("node", value)?,
                wit::DeleteFirewallRuleOption::Cluster(value) => arguments.option("cluster", value)?,
                wit::DeleteFirewallRuleOption::Digest(value) => arguments.option("digest", value)?,
                wit::DeleteFirewallRuleOption::AcceptLockout(value) => arguments.option("accept_lockout", value)?,
            }
        }
        arguments.call("delete_firewall_rule")
    }

    fn set_firewall_options(options: Vec<wit::SetFirewallOptionsOption>) -> Result<String, String> {
        let mut arguments = Arguments::default();
        for option in options {
            match option {
                wit::SetFirewallOptionsOption::Vmid(value) => arguments.option("vmid", value)?,
                wit::SetFirewallOptionsOption::Node(value) => arguments.option("node", value)?,
                wit::SetFirewallOptionsOption::Cluster(value) => arguments.option("cluster", value)?,
                wit::SetFirewallOptionsOption::Enabled(value) => arguments.option("enabled", value)?,
                wit::SetFirewallOptionsOption::PolicyIn(value) => arguments.option("policy_in", value)?,
                wit::SetFirewallOptionsOption::PolicyOut(value) => arguments.option("policy_out", value)?,
                wit::SetFirewallOptionsOption::Dhcp(value) => arguments.option("dhcp", value)?,
                wit::SetFirewallOptionsOption::Macfilter(value) => arguments.option("macfilter", value)?,
                wit::SetFirewallOptionsOption::Ipfilter(value) => arguments.option("ipfilter", value)?,
                wit::SetFirewallOptionsOption::More(value) => arguments.option("more", value)?,
                wit::SetFirewallOptionsOption::AcceptLockout(value) => arguments.option("accept_lockout", value)?,
                wit::SetFirewallOptionsOption::AcceptUnprotected(value) => arguments.option("accept_unprotected", value)?,
            }
        }
        arguments.call("set_firewall_options")
    }

    fn list_storage(options: Vec<wit::ListStorageOption>) -> Result<String, String> {
        let mut arguments = Arguments::default();
        for option in options {
            match option {
                wit::ListStorageOption::Node(value) => arguments.option("node", value)?,
                wit::ListStorageOption::Content(value) => arguments.option("content", value)?,
            }
        }
        arguments.call("list_storage")
    }

    fn list_storage_content(options: Vec<wit::ListStorageContentOption>) -> Result<String, String> {
        let mut arguments = Arguments::default();
        for option in options {
            match option {
                wit::ListStorageContentOption::Storage(value) => arguments.option("storage", value)?,
                wit::ListStorageContentOption::Node(value) => arguments.option("node", value)?,
                wit::ListStorageContentOption::Content(value) => arguments.option("content", value)?,
                wit::ListStorageContentOption::Vmid(value) => arguments.option("vmid", value)?,
                wit::ListStorageContentOption::Name(value) => arguments.option("name", value)?,
                wit::ListStorageContentOption::Limit(value) => arguments.option("limit", value)?,
            }
        }
        arguments.call("list_storage_content")
    }

    fn get_cluster_status() -> Result<String, String> {
        let arguments = Arguments::default();
        arguments.call("get_cluster_status")
    }

    fn list_tasks(options: Vec<wit::ListTasksOption>) -> Result<String, String> {
        let mut arguments = Arguments::default();
        for option in options {
            match option {
                wit::ListTasksOption::Node(value) => arguments.option("node", value)?,
                wit::ListTasksOption::Vmid(value) => arguments.option("vmid", value)?,
                wit::ListTasksOption::Status(value) => arguments.option("status", value)?,
                wit::ListTasksOption::Type(value) => arguments.option("type", value)?,
                wit::ListTasksOption::User(value) => arguments.option("user", value)?,
                wit::ListTasksOption::Since(value) => arguments.option("since", value)?,
                wit::ListTasksOption::Until(value) => arguments.option("until", value)?,
                wit::ListTasksOption::Limit(value) => arguments.option("limit", value)?,
            }
        }
        arguments.call("list_tasks")
    }

    fn get_task(upid: String, options: Vec<wit::GetTaskOption>) -> Result<String, String> {
        let mut arguments = Arguments::default()
            .required("upid", upid);
        for option in options {
            match option {
                wit::GetTaskOption::LogLines(value) => arguments.option("log_lines", value)?,
                wit::GetTaskOption::LogStart(value) => arguments.option("log_start", value)?,
            }
        }
        arguments.call("get_task")
    }

    fn wait_task(upid: String) -> Result<String, String> {
        let arguments = Arguments::default()
            .required("upid", upid);
        arguments.call("wait_task")
    }

    fn stop_task(upid: String) -> Result<String, String> {
        let arguments = Arguments::default()
            .required("upid", upid);
        arguments.call("stop_task")
    }

    fn get_cluster_log(options: Vec<wit::GetClusterLogOption>) -> Result<String, String> {
        let mut arguments = Arguments::default();
        for option in options {
            match option {
                wit::GetClusterLogOption::Node(value) => arguments.option("node", value)?,
                wit::GetClusterLogOption::User(value) => arguments.option("user", value)?,
                wit::GetClusterLogOption::Contains(value) => arguments.option("contains", value)?,
                wit::GetClusterLogOption::Severity(value) => arguments.option("severity", value)?,
                wit::GetClusterLogOption::Since(value) => arguments.option("since", value)?,
                wit::GetClusterLogOption::Limit(value) => arguments.option("limit", value)?,
            }
        }
        arguments.call("get_cluster_log")
    }

    fn get_node_log(node: String, options: Vec<wit::GetNodeLogOption>) -> Result<String, String> {
        let mut arguments = Arguments::default()
            .required("node", node);
        for option in options {
            match option {
                wit::GetNodeLogOption::Service(value) => arguments.option("service", value)?,
                wit::GetNodeLogOption::Contains(value) => arguments.option("contains", value)?,
                wit::GetNodeLogOption::Since(value) => arguments.option("since", value)?,
                wit::GetNodeLogOption::Until(value) => arguments.option("until", value)?,
                wit::GetNodeLogOption::Limit(value) => arguments.option("limit", value)?,
            }
        }
        arguments.call("get_node_log")
    }

    fn run_in_guest(vmid: u64, options: Vec<wit::RunInGuestOption>) -> Result<String, String> {
        let mut arguments = Arguments::default()
            .required("vmid", vmid);
        for option in options {
            match option {
                wit::RunInGuestOption::Command(value) => arguments.option("command", value)?,
                wit::RunInGuestOption::Pid(value) => arguments.option("pid", value)?,
                wit::RunInGuestOption::Stdin(value) => arguments.option("stdin", value)?,
                wit::RunInGuestOption::TimeoutSeconds(value) => arguments.option("timeout_seconds", value)?,
            }
        }
        arguments.call("run_in_guest")
    }
}

#[rustfmt::skip]
impl From<wit::ListNodesStatus> for Value {
    fn from(value: wit::ListNodesStatus) -> Self {
        match value {
            wit::ListNodesStatus::Online => "online".into(),
            wit::ListNodesStatus::Offline => "offline".into(),
            wit::ListNodesStatus::Unknown => "unknown".into(),
        }
    }
}

#[rustfmt::skip]
impl From<wit::ListGuestsKind> for Value {
    fn from(value: wit::ListGuestsKind) -> Self {
        match value {
            wit::ListGuestsKind::Qemu => "qemu".into(),
            wit::ListGuestsKind::Lxc => "lxc".into(),
        }
    }
}

#[rustfmt::skip]
impl From<wit::ListGuestsStatus> for Value {
    fn from(value: wit::ListGuestsStatus) -> Self {
        match value {
            wit::ListGuestsStatus::Running => "running".into(),
            wit::ListGuestsStatus::Stopped => "stopped".into(),
            wit::ListGuestsStatus::Paused => "paused".into(),
            wit::ListGuestsStatus::Suspended => "suspended".into(),
            wit::ListGuestsStatus::Prelaunch => "prelaunch".into(),
            wit::ListGuestsStatus::IoError => "io-error".into(),
            wit::ListGuestsStatus::InternalError => "internal-error".into(),
            wit::ListGuestsStatus::Unknown => "unknown".into(),
            wit::ListGuestsStatus::Other => "other".into(),
        }
    }
}

#[rustfmt::skip]
impl From<wit::ListGuestsSort> for Value {
    fn from(value: wit::ListGuestsSort) -> Self {
        match value {
            wit::ListGuestsSort::Vmid => "vmid".into(),
            wit::ListGuestsSort::Name => "name".into(),
            wit::ListGuestsSort::Cpu => "cpu".into(),
            wit::ListGuestsSort::Memory => "memory".into(),
        }
    }
}

#[rustfmt::skip]
impl From<wit::GetGuestMetricsTimeframe> for Value {
    fn from(value: wit::GetGuestMetricsTimeframe) -> Self {
        match value {
            wit::GetGuestMetricsTimeframe::Hour => "hour".into(),
            wit::GetGuestMetricsTimeframe::Day => "day".into(),
            wit::GetGuestMetricsTimeframe::Week => "week".into(),
            wit::GetGuestMetricsTimeframe::Month => "month".into(),
            wit::GetGuestMetricsTimeframe::Year => "year".into(),
        }
    }
}

#[rustfmt::skip]
impl From<wit::StopGuestMode> for Value {
    fn from(value: wit::StopGuestMode) -> Self {
        match value {
            wit::StopGuestMode::Shutdown => "shutdown".into(),
            wit::StopGuestMode::Hard => "hard".into(),
        }
    }
}

#[rustfmt::skip]
impl From<wit::RestartGuestMode> for Value {
    fn from(value: wit::RestartGuestMode) -> Self {
        match value {
            wit::RestartGuestMode::Reboot => "reboot".into(),
            wit::RestartGuestMode::Reset => "reset".into(),
        }
    }
}

#[rustfmt::skip]
impl From<wit::GetConsoleUrlViewer> for Value {
    fn from(value: wit::GetConsoleUrlViewer) -> Self {
        match value {
            wit::GetConsoleUrlViewer::Novnc => "novnc".into(),
            wit::GetConsoleUrlViewer::Xtermjs => "xtermjs".into(),
        }
    }
}

#[rustfmt::skip]
impl From<wit::ListTemplatesSource> for Value {
    fn from(value: wit::ListTemplatesSource) -> Self {
        match value {
            wit::ListTemplatesSource::Guest => "guest".into(),
            wit::ListTemplatesSource::Storage => "storage".into(),
            wit::ListTemplatesSource::Index => "index".into(),
        }
    }
}

#[rustfmt::skip]
impl From<wit::DownloadIsoContent> for Value {
    fn from(value: wit::DownloadIsoContent) -> Self {
        match value {
            wit::DownloadIsoContent::Iso => "iso".into(),
            wit::DownloadIsoContent::Vztmpl => "vztmpl".into(),
            wit::DownloadIsoContent::Import => "import".into(),
        }
    }
}

#[rustfmt::skip]
impl From<wit::DownloadIsoChecksumAlgorithm> for Value {
    fn from(value: wit::DownloadIsoChecksumAlgorithm) -> Self {
        match value {
            wit::DownloadIsoChecksumAlgorithm::Md5 => "md5".into(),
            wit::DownloadIsoChecksumAlgorithm::Sha1 => "sha1".into(),
            wit::DownloadIsoChecksumAlgorithm::Sha224 => "sha224".into(),
            wit::DownloadIsoChecksumAlgorithm::Sha256 => "sha256".into(),
            wit::DownloadIsoChecksumAlgorithm::Sha384 => "sha384".into(),
            wit::DownloadIsoChecksumAlgorithm::Sha512 => "sha512".into(),
        }
    }
}

#[rustfmt::skip]
impl From<wit::SetCloudInitAddresses> for Value {
    fn from(value: wit::SetCloudInitAddresses) -> Self {
        record([
            ("nic", value.nic.into()),
            ("ipv4", value.ipv4.into()),
            ("ipv4_gateway", value.ipv4_gateway.into()),
            ("ipv6", value.ipv6.into()),
            ("ipv6_gateway", value.ipv6_gateway.into()),
        ])
    }
}

#[rustfmt::skip]
impl From<wit::CreateBackupMode> for Value {
    fn from(value: wit::CreateBackupMode) -> Self {
        match value {
            wit::CreateBackupMode::Snapshot => "snapshot".into(),
            wit::CreateBackupMode::Suspend => "suspend".into(),
            wit::CreateBackupMode::Stop => "stop".into(),
        }
    }
}

#[rustfmt::skip]
impl From<wit::CreateBackupCompress> for Value {
    fn from(value: wit::CreateBackupCompress) -> Self {
        match value {
            wit::CreateBackupCompress::Zstd => "zstd".into(),
            wit::CreateBackupCompress::Gzip => "gzip".into(),
            wit::CreateBackupCompress::Lzo => "lzo".into(),
            wit::CreateBackupCompress::None => "none".into(),
        }
    }
}

#[rustfmt::skip]
impl From<wit::AddFirewallRuleDirection> for Value {
    fn from(value: wit::AddFirewallRuleDirection) -> Self {
        match value {
            wit::AddFirewallRuleDirection::In => "in".into(),
            wit::AddFirewallRuleDirection::Out => "out".into(),
            wit::AddFirewallRuleDirection::Forward => "forward".into(),
            wit::AddFirewallRuleDirection::Group => "group".into(),
        }
    }
}

#[rustfmt::skip]
impl From<wit::UpdateFirewallRuleDirection> for Value {
    fn from(value: wit::UpdateFirewallRuleDirection) -> Self {
        match value {
            wit::UpdateFirewallRuleDirection::In => "in".into(),
            wit::UpdateFirewallRuleDirection::Out => "out".into(),
            wit::UpdateFirewallRuleDirection::Forward => "forward".into(),
            wit::UpdateFirewallRuleDirection::Group => "group".into(),
        }
    }
}

#[rustfmt::skip]
impl From<wit::SetFirewallOptionsPolicyIn> for Value {
    fn from(value: wit::SetFirewallOptionsPolicyIn) -> Self {
        match value {
            wit::SetFirewallOptionsPolicyIn::Accept => "ACCEPT".into(),
            wit::SetFirewallOptionsPolicyIn::Reject => "REJECT".into(),
            wit::SetFirewallOptionsPolicyIn::Drop => "DROP".into(),
        }
    }
}

#[rustfmt::skip]
impl From<wit::SetFirewallOptionsPolicyOut> for Value {
    fn from(value: wit::SetFirewallOptionsPolicyOut) -> Self {
        match value {
            wit::SetFirewallOptionsPolicyOut::Accept => "ACCEPT".into(),
            wit::SetFirewallOptionsPolicyOut::Reject => "REJECT".into(),
            wit::SetFirewallOptionsPolicyOut::Drop => "DROP".into(),
        }
    }
}

#[rustfmt::skip]
impl From<wit::ListStorageContent> for Value {
    fn from(value: wit::ListStorageContent) -> Self {
        match value {
            wit::ListStorageContent::Iso => "iso".into(),
            wit::ListStorageContent::Vztmpl => "vztmpl".into(),
            wit::ListStorageContent::Backup => "backup".into(),
            wit::ListStorageContent::Images => "images".into(),
            wit::ListStorageContent::Rootdir => "rootdir".into(),
            wit::ListStorageContent::Import => "import".into(),
            wit::ListStorageContent::Snippets => "snippets".into(),
        }
    }
}

#[rustfmt::skip]
impl From<wit::ListStorageContentContent> for Value {
    fn from(value: wit::ListStorageContentContent) -> Self {
        match value {
            wit::ListStorageContentContent::Iso => "iso".into(),
            wit::ListStorageContentContent::Vztmpl => "vztmpl".into(),
            wit::ListStorageContentContent::Backup => "backup".into(),
            wit::ListStorageContentContent::Images => "images".into(),
            wit::ListStorageContentContent::Rootdir => "rootdir".into(),
            wit::ListStorageContentContent::Import => "import".into(),
            wit::ListStorageContentContent::Snippets => "snippets".into(),
        }
    }
}

#[rustfmt::skip]
impl From<wit::ListTasksStatus> for Value {
    fn from(value: wit::ListTasksStatus) -> Self {
        match value {
            wit::ListTasksStatus::Running => "running".into(),
            wit::ListTasksStatus::Ok => "ok".into(),
            wit::ListTasksStatus::Warnings => "warnings".into(),
            wit::ListTasksStatus::Failed => "failed".into(),
            wit::ListTasksStatus::Unknown => "unknown".into(),
        }
    }
}

#[rustfmt::skip]
impl From<wit::GetClusterLogSeverity> for Value {
    fn from(value: wit::GetClusterLogSeverity) -> Self {
        match value {
            wit::GetClusterLogSeverity::Critical => "critical".into(),
            wit::GetClusterLogSeverity::Error => "error".into(),
            wit::GetClusterLogSeverity::Warning => "warning".into(),
            wit::GetClusterLogSeverity::Notice => "notice".into(),
            wit::GetClusterLogSeverity::Info => "info".into(),
            wit::GetClusterLogSeverity::Debug => "debug".into(),
        }
    }
}
