//! What users can have a model do, in the words that the model gets.

/// A prompt.
#[derive(Debug)]
pub(crate) struct Prompt {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// For people.
    pub(crate) description: &'static str,
    /// The tools without which it is of no use.
    pub(crate) tools: &'static [&'static str],
    pub(crate) arguments: &'static [Argument],
    /// The name of an argument in braces stands for its value.
    pub(crate) text: &'static str,
}

/// An argument of a prompt.
#[derive(Debug)]
pub(crate) struct Argument {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    pub(crate) required: bool,
    /// Used if it is not given.
    pub(crate) otherwise: &'static str,
}

/// All prompts. Each ends before anything is changed, or asks first.
pub(crate) const PROMPTS: &[Prompt] = &[
    Prompt {
        name: "diagnose_a_guest",
        title: "Diagnose a guest",
        description: "Find out why a VM or container does not start, is slow or cannot be reached.",
        tools: &["diagnose_guest"],
        arguments: &[
            Argument {
                name: "vmid",
                title: "Guest",
                description: "Its vmid.",
                required: true,
                otherwise: "",
            },
            Argument {
                name: "problem",
                title: "Problem",
                description: "What does not work, with the address and port if it cannot be reached.",
                required: false,
                otherwise: "it does not work as expected",
            },
        ],
        text: "Find out what is wrong with guest {vmid}. The problem: {problem}.\n\n\
            1. Call diagnose_guest for it, with the address and port that do not answer if they \
            are known. Check the evidence of the cause that it ranks first.\n\
            2. If more than one cause remains: list_tasks for this guest with status failed, \
            get_task for the log of the newest, get_guest_metrics for its load, get_guest_network \
            for the addresses inside.\n\
            3. If other guests on the same node or bridge have the problem too, the cause is \
            there: get_node_health.\n\n\
            Change nothing. Report the cause, the evidence for it, what you ruled out, and the \
            smallest change that would fix it, as a tool with its arguments. Then ask whether to \
            make it.",
    },
    Prompt {
        name: "provision_a_guest",
        title: "Provision a guest from a template",
        description: "Clone a template, size the new guest and start it.",
        tools: &["list_templates", "clone_guest"],
        arguments: &[
            Argument {
                name: "name",
                title: "Name",
                description: "The new guest's name, a DNS name.",
                required: true,
                otherwise: "",
            },
            Argument {
                name: "template",
                title: "Template",
                description: "The template's vmid. Without it, the model suggests one.",
                required: false,
                otherwise: "the one that fits best",
            },
            Argument {
                name: "node",
                title: "Node",
                description: "Where it is to run.",
                required: false,
                otherwise: "the one with the most free memory",
            },
            Argument {
                name: "needs",
                title: "Needs",
                description: "CPU, memory, disk, network, and what it is for.",
                required: false,
                otherwise: "the same as the template",
            },
        ],
        text: "Make a new guest named {name}. Template: {template}. Node: {node}. It needs: \
            {needs}.\n\n\
            1. list_templates with source guest, then get_guest of the template: its disks, \
            network cards, and whether it has a cloud-init drive.\n\
            2. list_nodes and list_storage: the node needs free memory for the guest, and the \
            storage has to be active there with room for the disks. A clone on another node than \
            the template's needs shared storage.\n\
            3. Show the plan with every value, chosen or given, and wait for approval.\n\
            4. clone_guest. Use the vmid in its result from here on.\n\
            5. Before the first start: set_guest_resources, resize_disk (disks only grow), and \
            set_cloud_init for user, SSH keys and addresses if there is a cloud-init drive and \
            the tool is offered.\n\
            6. start_guest, then get_guest_network. A VM reports addresses only once its guest \
            agent runs; do not wait for one that is not installed.\n\n\
            If a step fails, say what has been created so far; do not start over. Report vmid, \
            node, address, and what is pending.",
    },
    Prompt {
        name: "audit_the_firewalls",
        title: "Audit the firewalls",
        description: "Find out what is open, what has no effect and what is missing.",
        tools: &["audit_firewall"],
        arguments: &[Argument {
            name: "vmid",
            title: "Guest",
            description: "The vmid of a guest to look at closely.",
            required: false,
            otherwise: "those with serious findings",
        }],
        text: "Audit the firewalls of this Proxmox VE cluster. Guests to look at closely: \
            {vmid}.\n\n\
            1. audit_firewall with cluster and guests: switches, policies, rules, and the serious \
            findings of all guests.\n\
            2. list_nodes, then audit_firewall for each node that is online. The rules of cluster \
            and nodes protect the nodes, not the guests.\n\
            3. audit_firewall for each of the guests above. A guest is filtered only if the \
            firewall is on for the cluster, for the guest and on its network card.\n\n\
            Change nothing. Report first what is reachable from everywhere and should not be, \
            then rules without effect, then what is missing. For each finding: where, the \
            evidence, the risk, and the fix as a tool with its arguments. Say which fixes could \
            lock administrators out, and how to avoid that.",
    },
    Prompt {
        name: "plan_node_maintenance",
        title: "Plan the maintenance of a node",
        description: "Find out what has to move before a node can be taken down, and in which \
            order.",
        tools: &["list_guests", "get_cluster_status"],
        arguments: &[
            Argument {
                name: "node",
                title: "Node",
                description: "The node to take down.",
                required: true,
                otherwise: "",
            },
            Argument {
                name: "work",
                title: "Work",
                description: "What is to be done, and how long it will be down.",
                required: false,
                otherwise: "a restart",
            },
        ],
        text: "Plan the maintenance of node {node}: {work}.\n\n\
            1. get_cluster_status: the cluster must stay quorate without this node, and high \
            availability must have no errors now. get_node_health of the node: what else is \
            pending there.\n\
            2. list_tasks for the node with status running: backups and migrations must end \
            first. list_backup_jobs, if it is offered: which ones would run meanwhile.\n\
            3. evacuate_node with plan true, if it is offered: where each guest can go, and why \
            some cannot. Otherwise list_guests of the node, list_nodes for free memory, \
            list_storage for what is shared; check_migration for each guest, if it is offered.\n\
            4. get_ha, if it is offered: guests that high availability moves by itself, and rules \
            that forbid a target.\n\n\
            Move nothing. Count the configured memory of the guests, not what they use now, and \
            leave room on the targets. Report which guests move live, which restart, which have \
            to stay and what that means for their users; the order; how to check that the node \
            is empty; and how to move everything back. Then ask whether to begin.",
    },
    Prompt {
        name: "review_backups",
        title: "Review the backups",
        description: "Find guests without a recent backup, and backups that could not be restored.",
        tools: &["list_backups"],
        arguments: &[Argument {
            name: "days",
            title: "Days",
            description: "How old the newest backup of a guest may be.",
            required: false,
            otherwise: "2",
        }],
        text: "Review the backups of this Proxmox VE cluster. The newest backup of a guest may be \
            {days} days old.\n\n\
            1. list_backups with older_than_days: guests whose newest backup is too old, and \
            guests without any. What is listed as not known is not proof of a missing backup: the \
            token may not see that storage.\n\
            2. list_backup_jobs, if it is offered: guests that no enabled job covers, jobs \
            whose storage or guests no longer exist, retention.\n\
            3. list_tasks with type vzdump and status failed, then get_task for each: a job can \
            fail for one guest only.\n\
            4. list_guests and, for important guests, get_guest: disks that are excluded from \
            backup.\n\
            5. list_storage with content backup: how full the storages are, and whether they are \
            on the node that they are meant to outlive.\n\n\
            Change nothing. Report by risk: guests without any backup, too old ones, failing \
            ones, unverified or incomplete ones, storages that fill up. For each: the evidence \
            and the fix. Recommend a test restore as a new guest for the most important one.",
    },
];
