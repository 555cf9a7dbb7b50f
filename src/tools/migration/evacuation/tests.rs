//! Where guests go, by what is known of them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::preflight::Preflight;
use super::super::storage_map::StorageMap;
use super::super::survey::Survey;
use super::facts::{Ha, Mover, Node, SourceNode};
use super::plan::{Cluster, Limits, Plan};
use super::result::{Evacuation, GuestMove, Progress, State};
use super::run::{MOST_MOVES, Order, Run};
use crate::pve::{
    Guest, GuestConfig, GuestType, HaEntry, HaRule, NodeState, Pve, Script, StorageResource,
};
use crate::settings::Settings;

const GIB: u64 = 1 << 30;

fn guest(vmid: u32, kind: &str, gib: u64) -> Guest {
    serde_json::from_value(json!({
        "vmid": vmid, "type": kind, "node": "alpha", "status": "running", "maxmem": gib * GIB
    }))
    .unwrap()
}

fn vm(vmid: u32, gib: u64, config: Value, preflight: Value) -> Mover {
    let guest = guest(vmid, "qemu", gib);
    let config = GuestConfig::sample(GuestType::Qemu, config);
    let preflight: Preflight = serde_json::from_value(preflight).unwrap();
    let survey = Survey::of_vm(&guest, preflight, &config.disks());
    Mover::new(guest, survey, Some(&config))
}

fn running(vmid: u32, gib: u64) -> Mover {
    vm(vmid, gib, json!({"cores": 2}), json!({"running": 1}))
}

fn node(name: &str, total: u64, free: u64) -> Node {
    Node {
        name: name.to_owned(),
        memory_total: Some(total * GIB),
        memory_free: Some(free * GIB),
        cpus: Some(8),
        cpu_model: Some("one".into()),
        version: Some("9.2.11".into()),
        bridges: ["vmbr0".to_owned()].into(),
    }
}

#[derive(Default)]
struct World {
    rules: Value,
    entries: Value,
    guests: Vec<Guest>,
    storages: Value,
    map: Option<&'static str>,
    no_local_disks: bool,
    may_restart: bool,
}

impl World {
    fn plan(&self, movers: Vec<Mover>, targets: Vec<Node>) -> Plan {
        fn list<T: serde::de::DeserializeOwned>(value: &Value) -> Vec<T> {
            match value {
                Value::Null => Vec::new(),
                other => serde_json::from_value(other.clone()).unwrap(),
            }
        }
        let nodes: Vec<NodeState> = list(&json!([
            {"node": "alpha", "status": "online"}, {"node": "beta", "status": "online"},
            {"node": "gamma", "status": "online"},
        ]));
        let storages: Vec<StorageResource> = list(&self.storages);
        let map = self.map.map(|map| StorageMap::parse(map).unwrap());
        let rules: Vec<HaRule> = list(&self.rules);
        let ha = Ha::new(&list::<HaEntry>(&self.entries), rules);
        let cluster = Cluster {
            guests: &self.guests,
            nodes: &nodes,
            storages: &storages,
            ha: &ha,
            sources: &BTreeMap::from([(
                "alpha".to_owned(),
                SourceNode {
                    cpu_model: Some("one".into()),
                    version: Some("9.2.11".into()),
                },
            )]),
            limits: Limits {
                reserve_percent: 10,
                with_local_disks: !self.no_local_disks,
                storages: map.as_ref(),
                may_restart: self.may_restart,
            },
        };
        cluster.plan(movers, targets)
    }
}

fn moves(plan: &Plan) -> Vec<(u32, &str)> {
    let mut moves: Vec<(u32, &str)> = plan
        .moves
        .iter()
        .map(|(mover, target)| (mover.guest.vmid.get(), target.as_str()))
        .collect();
    moves.sort_unstable();
    moves
}

/// Why the only guest stays.
fn reason(plan: &Plan) -> String {
    let [(_, reasons)] = plan.stays.as_slice() else {
        panic!("{:?} {:?}", plan.moves, plan.stays);
    };
    reasons.join("; ")
}

#[test]
fn guests_are_spread_by_the_memory_that_is_left() {
    let movers = vec![
        running(100, 4),
        running(101, 16),
        running(102, 4),
        running(103, 8),
    ];
    let targets = vec![node("beta", 64, 40), node("gamma", 64, 36)];
    let plan = World::default().plan(movers, targets);
    // The largest first, each where most is left after the others.
    assert_eq!(
        moves(&plan),
        [(100, "gamma"), (101, "beta"), (102, "beta"), (103, "gamma")]
    );
    let first = plan.moves.first().map(|(mover, _)| mover.guest.vmid.get());
    assert_eq!(first, Some(101));
    let left: Vec<_> = plan.loads.iter().map(|load| load.left()).collect();
    assert_eq!(left, [Some(20 * GIB), Some(24 * GIB)]);
}

#[test]
fn the_reserve_remains_free_whatever_comes_first() {
    // 10 GiB are available, of which 4 are the reserve: one fits, two do not.
    let plan = World::default().plan(
        vec![running(100, 4), running(101, 4)],
        vec![node("beta", 40, 10)],
    );
    assert_eq!(moves(&plan), [(100, "beta")]);
    assert!(
        reason(&plan).starts_with("beta: 4 GiB of memory are needed, and 2 GiB are left"),
        "{}",
        reason(&plan)
    );
    // A guest that does not run takes none.
    let stopped = vm(
        102,
        64,
        json!({}),
        json!({"running": 0, "allowed_nodes": ["beta"]}),
    );
    let plan = World::default().plan(vec![stopped], vec![node("beta", 40, 1)]);
    assert_eq!(moves(&plan), [(102, "beta")]);
    // What is not known is not compared.
    let blind = Node {
        name: "beta".into(),
        ..Node::default()
    };
    assert_eq!(
        moves(&World::default().plan(vec![running(100, 64)], vec![blind])).len(),
        1
    );
}

#[test]
fn what_keeps_a_guest_is_named_with_what_solves_it() {
    let live = json!({"running": 1});
    let host = json!({"cpu": "host,flags=+aes", "cores": 2});
    let other_cpu = Node {
        cpu_model: Some("other".into()),
        ..node("beta", 64, 60)
    };
    for (mover, target, says) in [
        (
            vm(
                100,
                1,
                json!({"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr9"}),
                live.clone(),
            ),
            node("beta", 64, 60),
            "beta: bridge vmbr9 (net0) does not exist there: list_networks",
        ),
        (
            vm(100, 1, json!({"cores": 8, "sockets": 2}), live.clone()),
            node("beta", 64, 60),
            "the VM has 16 vCPUs, and the node 8: reduce them with set_guest_resources",
        ),
        (
            vm(100, 1, host, live.clone()),
            other_cpu,
            "stop it first with stop_guest",
        ),
        (
            vm(
                100,
                1,
                json!({"hostpci0": "01:00"}),
                json!({"running": 1, "local_resources": ["hostpci0"]}),
            ),
            node("beta", 64, 60),
            "it uses devices of node alpha: hostpci0",
        ),
        (
            vm(
                100,
                1,
                json!({"ide2": "local:iso/a.iso,media=cdrom"}),
                json!({"running": 1, "local_disks": [{"volid": "local:iso/a.iso", "cdrom": 1}]}),
            ),
            node("beta", 64, 60),
            "the CD-ROM drive contains local:iso/a.iso, which is on local storage: eject it first",
        ),
    ] {
        let plan = World::default().plan(vec![mover], vec![target]);
        assert!(reason(&plan).contains(says), "{}", reason(&plan));
    }
    let same = vm(100, 1, json!({"cpu": "host"}), live);
    assert_eq!(
        moves(&World::default().plan(vec![same], vec![node("beta", 64, 60)])).len(),
        1
    );
}

#[test]
fn volumes_need_a_storage_with_room_on_the_target() {
    let storages = json!([
        {"storage": "tank", "node": "alpha", "status": "available", "disk": 0, "maxdisk": 100 * GIB},
        {"storage": "tank", "node": "beta", "status": "available", "disk": 70 * GIB, "maxdisk": 100 * GIB},
        {"storage": "bulk", "node": "gamma", "status": "available", "disk": 0, "maxdisk": 100 * GIB},
    ]);
    let with_disk = |vmid| {
        vm(
            vmid,
            1,
            json!({"scsi0": format!("tank:vm-{vmid}-disk-0,size=20G")}),
            json!({"running": 1, "local_disks":
                [{"volid": format!("tank:vm-{vmid}-disk-0"), "size": 20 * GIB}]}),
        )
    };
    let world = World {
        storages: storages.clone(),
        ..World::default()
    };
    let both = || vec![node("beta", 64, 60), node("gamma", 64, 60)];
    let plan = world.plan(vec![with_disk(100), with_disk(101)], both());
    assert_eq!(moves(&plan), [(100, "beta")]);
    let why = reason(&plan);
    assert!(
        why.contains("beta: storage tank has room for 10 GiB, and 20 GiB are needed"),
        "{why}"
    );
    assert!(
        why.contains("gamma: storage tank is not available there"),
        "{why}"
    );
    let world = World {
        storages: storages.clone(),
        map: Some("tank:bulk"),
        ..World::default()
    };
    let plan = world.plan(vec![with_disk(100), with_disk(101)], both());
    assert_eq!(moves(&plan), [(100, "gamma"), (101, "gamma")]);
    let world = World {
        storages,
        no_local_disks: true,
        ..World::default()
    };
    let why = reason(&world.plan(vec![with_disk(100)], both()));
    assert!(
        why.starts_with("with_local_disks is false, and 20 GiB"),
        "{why}"
    );
}

#[test]
fn rules_of_high_availability() {
    let managed = |vmid| {
        let mut mover = running(vmid, 1);
        mover.guest.hastate = Some("started".into());
        mover
    };
    let targets = || vec![node("beta", 64, 60), node("gamma", 64, 50)];
    let world = |rules: Value| World {
        rules,
        ..World::default()
    };
    // Together: the pair goes where both fit, though one alone would fit elsewhere.
    let together = world(json!([{"rule": "pair", "type": "resource-affinity",
        "affinity": "positive", "resources": "vm:100,vm:102"}]));
    let plan = together.plan(
        vec![managed(100), running(101, 30), managed(102)],
        targets(),
    );
    assert_eq!(
        moves(&plan),
        [(100, "gamma"), (101, "beta"), (102, "gamma")]
    );
    // One of them that cannot move keeps the other.
    let mut held = managed(102);
    held.blockers.push("it is tied".into());
    let plan = together.plan(vec![managed(100), held], targets());
    assert!(plan.moves.is_empty());
    let (_, reasons) = plan.stays.first().unwrap();
    assert_eq!(
        reasons,
        &["an HA rule keeps it together with 102, which cannot move"]
    );
    // Apart: from each other, and from one that is there already.
    let mut apart = world(json!([{"rule": "apart", "type": "resource-affinity",
        "affinity": "negative", "resources": "vm:100,vm:102,vm:103"}]));
    let plan = apart.plan(vec![managed(100), managed(102)], targets());
    assert_eq!(moves(&plan), [(100, "beta"), (102, "gamma")]);
    let mut there = guest(103, "qemu", 1);
    there.node = "gamma".into();
    apart.guests = vec![there];
    let plan = apart.plan(vec![managed(100), managed(102)], targets());
    assert!(
        reason(&plan).contains("keeps it apart from vm:103"),
        "{}",
        reason(&plan)
    );
    // Only certain nodes.
    let strict = world(
        json!([{"rule": "only", "type": "node-affinity", "strict": 1,
        "resources": "vm:100", "nodes": "gamma,alpha"}]),
    );
    assert_eq!(
        moves(&strict.plan(vec![managed(100)], targets())),
        [(100, "gamma")]
    );
    // Preferred where it is: it would come back at once, unless told not to.
    let rules = json!([{"rule": "home", "type": "node-affinity", "resources": "vm:100",
        "nodes": "alpha:2,beta:1", "strict": 0}]);
    let why = reason(&world(rules.clone()).plan(vec![managed(100)], targets()));
    assert!(why.contains("HA rule home prefers node alpha"), "{why}");
    for entry in [
        json!({"type": "service", "sid": "vm:100", "failback": 0}),
        json!({"type": "lrm", "node": "alpha", "status": "alpha (maintenance mode, …)"}),
    ] {
        let world = World {
            rules: rules.clone(),
            entries: json!([entry]),
            ..World::default()
        };
        assert_eq!(world.plan(vec![managed(100)], targets()).moves.len(), 1);
    }
    // A rule that is switched off is none.
    let off = world(
        json!([{"rule": "only", "type": "node-affinity", "strict": 1, "disable": 1,
        "resources": "vm:100", "nodes": "delta"}]),
    );
    assert_eq!(off.plan(vec![managed(100)], targets()).moves.len(), 1);
    // HA moves nothing that it was told to let go.
    let mut disabled = guest(100, "qemu", 1);
    disabled.hastate = Some("disabled".into());
    let survey = Survey::of_vm(&disabled, Preflight::default(), &[]);
    let plan = World::default().plan(vec![Mover::new(disabled, survey, None)], targets());
    assert!(
        reason(&plan).contains("moves no guest in the state disabled"),
        "{}",
        reason(&plan)
    );
}

#[test]
fn a_running_container_waits_for_its_argument() {
    let container = || {
        let config = GuestConfig::sample(GuestType::Lxc, json!({"memory": 512}));
        let preflight = serde_json::from_value(json!({"running": 1})).unwrap();
        let survey = Survey::of_container(preflight, &config, Vec::new());
        Mover::new(guest(200, "lxc", 1), survey, Some(&config))
    };
    let target = || vec![node("beta", 64, 60)];
    let why = reason(&World::default().plan(vec![container()], target()));
    assert!(why.contains("accept_container_restart"), "{why}");
    let world = World {
        may_restart: true,
        ..World::default()
    };
    assert_eq!(
        moves(&world.plan(vec![container()], target())),
        [(200, "beta")]
    );
}

#[test]
fn the_ticket_of_the_largest_run_fits_into_what_a_host_takes() {
    let many: Vec<Mover> = (1000..1200).map(|vmid| running(vmid, 1)).collect();
    let plan = World::default().plan(many, vec![node("gamma", 2048, 2048)]);
    let mut shown = plan.shown();
    for guest in shown.iter_mut().skip(150) {
        guest.state = State::Stays;
        guest.reasons = vec!["x".repeat(1000)];
    }
    let result = Evacuation::new(Progress::Plan, shown.clone());
    assert_eq!((result.stays, result.way_back.len()), (50, 1));
    let order = Order {
        parallel: 5,
        with_local_disks: Some(true),
        target_storage: Some("local:bulk".into()),
        emptied: Some("alpha".into()),
        not_visible: vec!["x".repeat(500); 9],
        ..Order::default()
    };
    let run = Run::new(&shown, order);
    let state = serde_json::to_string(&run).unwrap();
    // It is text in the JSON of the ticket.
    let ticket = serde_json::to_string(&state).unwrap();
    assert!(ticket.len() < 12 << 10, "{} bytes", ticket.len());
    assert!(state.matches("\"waiting\"").count() == MOST_MOVES);
    let text = serde_json::to_string(&Run::new(&[], Order::default())).unwrap();
    assert!(serde_json::from_str::<Run>(&text).is_ok());
}

#[test]
fn another_cpu_and_an_older_version_are_warned_of() {
    let old = || Node {
        cpu_model: Some("other".into()),
        version: Some("9.2.9".into()),
        ..node("beta", 64, 60)
    };
    let warnings = |config: Value, target: Node| {
        let mover = vm(100, 1, config, json!({"running": 1}));
        let plan = World::default().plan(vec![mover], vec![target]);
        plan.shown().remove(0).warnings.join("; ")
    };
    let text = warnings(json!({"cpu": "x86-64-v4"}), old());
    assert!(
        text.contains("its CPU type is x86-64-v4, and the CPU of node beta (other)"),
        "{text}"
    );
    assert!(
        text.contains("Proxmox VE 9.2.9, which is older than 9.2.11"),
        "{text}"
    );
    let text = warnings(json!({"cpu": "x86-64-v2-AES"}), old());
    assert!(!text.contains("CPU"), "{text}");
    assert_eq!(
        warnings(json!({"cpu": "Icelake-Server"}), node("beta", 64, 60)),
        ""
    );
}

#[test]
fn services_that_a_rule_moves_along_take_memory() {
    let mut peer = guest(102, "qemu", 30);
    peer.hastate = Some("started".into());
    let world = World {
        rules: json!([{"rule": "pair", "type": "resource-affinity",
            "affinity": "positive", "resources": "vm:100,vm:102"}]),
        guests: vec![peer],
        ..World::default()
    };
    let mover = || {
        let mut mover = running(100, 4);
        mover.guest.hastate = Some("started".into());
        mover
    };
    let plan = world.plan(vec![mover()], vec![node("beta", 64, 34)]);
    assert!(
        reason(&plan).contains("34 GiB of memory are needed"),
        "{}",
        reason(&plan)
    );
    let plan = world.plan(vec![mover()], vec![node("beta", 64, 60)]);
    assert_eq!(plan.loads[0].guests, 2);
    let text = plan.shown().remove(0).warnings.join("; ");
    assert!(text.contains("moves these along with it: vm:102"), "{text}");
}

#[test]
fn a_storage_map_is_checked_ignored_by_ha_and_reversed() {
    let storages = json!([
        {"storage": "tank", "node": "alpha", "status": "available", "content": "images"},
        {"storage": "bulk", "node": "beta", "status": "available", "content": "images"},
        {"storage": "isos", "node": "beta", "status": "available", "content": "iso"},
    ]);
    let with_disk = || {
        vm(
            100,
            1,
            json!({"scsi0": "tank:vm-100-disk-0,size=20G"}),
            json!({"running": 1, "local_disks": [{"volid": "tank:vm-100-disk-0", "size": GIB}]}),
        )
    };
    let world = |map| World {
        storages: storages.clone(),
        map: Some(map),
        ..World::default()
    };
    let target = || vec![node("beta", 64, 60)];
    let plan = world("tank:bulk").plan(vec![with_disk()], target());
    let result = Evacuation::new(Progress::Plan, plan.shown());
    assert_eq!(
        serde_json::to_value(&result.way_back).unwrap(),
        json!([{"vmids": [100], "target_nodes": ["alpha"], "target_storage": "bulk:tank"}])
    );
    let why = reason(&world("tank:isos").plan(vec![with_disk()], target()));
    assert!(
        why.contains("storage isos does not allow the content images"),
        "{why}"
    );
    let mut managed = with_disk();
    managed.guest.hastate = Some("started".into());
    let why = reason(&world("tank:bulk").plan(vec![managed], target()));
    assert!(
        why.contains("storage tank is not available there, and HA moves disks only"),
        "{why}"
    );
}

#[test]
fn nodes_of_unknown_memory_are_named() {
    let blind = || Node {
        name: "beta".into(),
        ..Node::default()
    };
    let plan = World::default().plan(vec![running(100, 4)], vec![blind()]);
    assert_eq!(plan.targets_of_unknown_memory(), ["beta"]);
    let plan = World::default().plan(Vec::new(), vec![blind()]);
    assert!(plan.targets_of_unknown_memory().is_empty());
}

fn listed(vmid: u32, at: &str, template: u8) -> Value {
    json!({"vmid": vmid, "type": "qemu", "node": at, "status": "running", "template": template})
}

/// The result of a run whose guests are listed like this in the end.
fn finished(planned: &[GuestMove], list: &Value) -> Evacuation {
    let answer = format!("200 OK\n{}", json!({ "data": list }));
    let pve = Pve::scripted(Settings::sample(), Script::new(vec![answer.into_bytes()]));
    let order = Order {
        emptied: Some("alpha".into()),
        not_visible: vec!["memory of node beta".into()],
        ..Order::default()
    };
    Run::new(planned, order).finished(&pve)
}

#[test]
fn a_run_is_complete_only_if_the_node_is_empty() {
    let template = guest(900, "qemu", 1);
    let stays = [GuestMove::may_stay(&template, "templates stay".into())];
    let result = finished(
        &stays,
        &json!([listed(900, "alpha", 1), listed(100, "beta", 0)]),
    );
    assert_eq!((result.status, result.stays), (Progress::Done, 1));
    assert_eq!(result.not_visible, ["memory of node beta"]);
    let result = finished(
        &stays,
        &json!([listed(900, "alpha", 1), listed(101, "alpha", 0)]),
    );
    assert_eq!((result.status, result.stays), (Progress::Incomplete, 2));
    let many: Vec<GuestMove> = (100..150)
        .map(|vmid| GuestMove::stays(&guest(vmid, "qemu", 1), "it is tied".into()))
        .collect();
    let result = finished(&many, &json!([listed(100, "alpha", 0)]));
    assert_eq!((result.status, result.stays), (Progress::Incomplete, 50));
    assert_eq!(result.guests.len(), 20);
}

fn answer(data: &Value) -> Vec<u8> {
    format!("200 OK\n{}", json!({ "data": data })).into_bytes()
}

/// A run of one planned move, after its first step.
fn stepped(kind: &str, answers: Vec<Vec<u8>>) -> Evacuation {
    let pve = Pve::scripted(Settings::sample(), Script::new(answers));
    let mut planned = GuestMove::new(guest(200, kind, 1).vmid, "alpha", State::Planned);
    planned.target_node = Some("beta".into());
    let order = Order {
        parallel: 1,
        ..Order::default()
    };
    let mut run = Run::new(&[planned], order);
    run.step(&pve).unwrap();
    run.finished(&pve)
}

#[test]
fn a_container_started_since_the_plan_is_not_restarted() {
    let list = json!([{"vmid": 200, "type": "lxc", "node": "alpha", "status": "running"}]);
    let result = stepped(
        "lxc",
        vec![
            answer(&list),
            answer(&json!({"status": "running"})),
            answer(&json!({"running": 1, "allowed-nodes": ["beta"]})),
            answer(&json!({"memory": 512})),
            answer(&json!([])),
            answer(&list),
        ],
    );
    assert_eq!(result.failed, 1);
    let why = result.guests[0].reasons.join("; ");
    assert!(
        why.contains("it was started in the meantime") && why.contains("accept_container_restart"),
        "{why}"
    );
}

#[test]
fn what_holds_for_all_leaves_the_others_waiting() {
    let list = json!([{"vmid": 200, "type": "qemu", "node": "alpha", "status": "running"}]);
    let result = stepped(
        "qemu",
        vec![
            answer(&list),
            answer(&json!({"status": "running"})),
            answer(&json!({"running": 1})),
            answer(&json!({"memory": "512"})),
            b"403 Permission check failed (/vms/200, VM.Migrate)\n".to_vec(),
            answer(&json!({})),
            answer(&list),
        ],
    );
    assert_eq!((result.status, result.failed), (Progress::Incomplete, 0));
    assert_eq!(result.guests[0].state, State::Waiting);
    let next = result.next_step.unwrap();
    assert!(
        next.starts_with("no further moves were started: "),
        "{next}"
    );
}

#[test]
fn a_guest_that_high_availability_migrates_is_moving() {
    let migrating: Guest = serde_json::from_value(json!({
        "vmid": 100, "type": "qemu", "node": "alpha", "status": "running", "hastate": "migrate"
    }))
    .unwrap();
    assert!(migrating.is_migrating());
}
