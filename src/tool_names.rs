//! The names of the tools that messages point to.
//!
//! A message of any layer may name the tool that helps next, and no layer but
//! the table knows the tools. So the names are constants here, at the bottom;
//! a test of the table checks that each of them is the name of a tool.

macro_rules! tool_names {
    ($($constant:ident = $name:literal;)*) => {
        $(pub(crate) const $constant: &str = $name;)*

        /// Every name above.
        #[cfg(test)]
        pub(crate) const ALL: &[&str] = &[$($constant),*];
    };
}

tool_names! {
    ADD_FIREWALL_RULE = "add_firewall_rule";
    AUDIT_FIREWALL = "audit_firewall";
    CHECK_MIGRATION = "check_migration";
    CLONE_GUEST = "clone_guest";
    CREATE_BACKUP = "create_backup";
    CREATE_SNAPSHOT = "create_snapshot";
    DOWNLOAD_ISO = "download_iso";
    DOWNLOAD_TEMPLATE = "download_template";
    DELETE_FIREWALL_RULE = "delete_firewall_rule";
    DELETE_SNAPSHOT = "delete_snapshot";
    GET_CLOUD_INIT = "get_cloud_init";
    GET_CLUSTER_STATUS = "get_cluster_status";
    GET_CONSOLE_URL = "get_console_url";
    GET_GUEST = "get_guest";
    GET_GUEST_METRICS = "get_guest_metrics";
    GET_GUEST_NETWORK = "get_guest_network";
    GET_HA = "get_ha";
    GET_NODE_HEALTH = "get_node_health";
    GET_NODE_LOG = "get_node_log";
    GET_TASK = "get_task";
    LIST_BACKUP_JOBS = "list_backup_jobs";
    LIST_BACKUPS = "list_backups";
    LIST_GUESTS = "list_guests";
    LIST_NETWORKS = "list_networks";
    LIST_NODES = "list_nodes";
    LIST_SNAPSHOTS = "list_snapshots";
    LIST_STORAGE = "list_storage";
    LIST_STORAGE_CONTENT = "list_storage_content";
    LIST_TASKS = "list_tasks";
    LIST_TEMPLATES = "list_templates";
    MIGRATE_GUEST = "migrate_guest";
    MOVE_DISK = "move_disk";
    RESIZE_DISK = "resize_disk";
    RESTART_GUEST = "restart_guest";
    RESTORE_BACKUP = "restore_backup";
    ROLLBACK_SNAPSHOT = "rollback_snapshot";
    RESUME_GUEST = "resume_guest";
    RUN_IN_GUEST = "run_in_guest";
    SET_BACKUP_JOB = "set_backup_job";
    SET_CDROM = "set_cdrom";
    SET_CLOUD_INIT = "set_cloud_init";
    SET_FIREWALL_OPTIONS = "set_firewall_options";
    SET_GUEST_AGENT = "set_guest_agent";
    SET_GUEST_OPTIONS = "set_guest_options";
    SET_GUEST_RESOURCES = "set_guest_resources";
    SET_HA_RESOURCE = "set_ha_resource";
    SET_NIC = "set_nic";
    START_GUEST = "start_guest";
    STOP_GUEST = "stop_guest";
    STOP_TASK = "stop_task";
    UPDATE_FIREWALL_RULE = "update_firewall_rule";
    WAIT_TASK = "wait_task";
}
