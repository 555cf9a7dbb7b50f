"""Calls every tool once, in chains that run at the same time.

The calls of a chain depend on each other; those of different chains change
different guests of the demo cluster. Each call names fields of the result that
follow from its arguments.
"""

import asyncio
import json

import jsonschema

from .checks import text_of

APPLIANCE = "alpine-3.22-default_20250617_amd64.tar.xz"
ISO = "https://cdimage.example.org/debian-13.2.0-amd64-netinst.iso"


async def reads(call):
    guests = await call("list_guests", {"status": "running", "tag": "prod"})
    call.that(guests["guests"], "there are running guests with the tag prod")
    for guest in guests["guests"]:
        call.that(guest["status"] == "running" and "prod" in guest["tags"], f"{guest} is as asked")
    await call("get_guest", {"vmid": 101}, vmid=101, kind="qemu")
    await call("get_guest_network", {"vmid": 101}, vmid=101)
    await call("get_guest_metrics", {"vmid": 101, "timeframe": "day"}, vmid=101, timeframe="day")
    nodes = await call("list_nodes", {})
    call.that([node["node"] for node in nodes["nodes"]] == ["pve1", "pve2", "pve3"], f"the nodes: {nodes}")
    await call("get_node", {"node": "pve1"}, node="pve1")
    await call("get_cluster_status", {})
    tasks = await call("list_tasks", {"limit": 1})
    call.that(len(tasks["tasks"]) == 1, f"one task: {tasks}")
    upid = tasks["tasks"][0]["upid"]
    await call("get_task", {"upid": upid}, upid=upid)
    await call("wait_task", {"upid": upid})
    await call("diagnose_guest", {"vmid": 101}, vmid=101)
    await call("get_node_health", {"node": "pve2"}, node="pve2")
    await call("list_backups", {})
    await call("list_storage", {})
    volumes = await call("list_storage_content", {"storage": "backup", "content": "iso"})
    call.that({volume["content"] for volume in volumes["volumes"]} == {"iso"}, f"ISO images only: {volumes}")
    await call("list_templates", {})
    await call("get_cloud_init", {"vmid": 9000}, vmid=9000)
    await call("list_networks", {})
    await call("check_migration", {"vmid": 121}, vmid=121)
    await call("audit_firewall", {"vmid": 110}, vmid=110)
    await call("list_backup_jobs", {})
    await call("report_waste", {})
    await call("get_guest_agent_info", {"vmid": 101}, vmid=101)
    await call("get_cluster_log", {})
    await call("get_node_log", {"node": "pve1"}, node="pve1")
    await call("get_ha", {})
    await call("list_replication", {})
    await call("list_pools", {})
    await call("audit_access", {})
    console = await call("get_console_url", {"vmid": 101}, vmid=101)
    call.that("vmid=101" in console["url"], f"the URL is for that guest: {console}")


async def power_and_template(call):
    vm = {"vmid": 140}
    await call("start_guest", vm, status="done", **vm)
    await call("stop_guest", {**vm, "mode": "hard"}, status="done", **vm)
    await call("convert_to_template", vm, status="done", **vm)
    await call("clone_guest", {"vmid": 140, "name": "clients", "new_vmid": 941}, status="done")


async def snapshots(call):
    snapshot = {"vmid": 130, "snapshot": "clients"}
    await call("create_snapshot", snapshot, status="done", **snapshot)
    listed = await call("list_snapshots", {"vmid": 130}, vmid=130)
    call.that([one["snapshot"] for one in listed["snapshots"]] == ["clients"], f"the snapshot: {listed}")
    await call("rollback_snapshot", snapshot, status="done", **snapshot)
    await call("delete_snapshot", snapshot, status="done", **snapshot)


async def hardware(call):
    vm = {"vmid": 102}
    await call("set_guest_resources", {**vm, "cores": 6}, **vm)
    await call("resize_disk", {**vm, "disk": "scsi0", "size": "50G"}, status="done", **vm)
    await call("set_guest_options", {**vm, "description": "a test"}, status="done", **vm)
    await call("set_nic", {**vm, "nic": "net1", "bridge": "vmbr0"}, **vm)
    await call("add_disk", {**vm, "size": "4G", "storage": "local-lvm"}, status="done", **vm)
    await call("set_cdrom", {**vm, "volid": "backup:iso/virtio-win-0.1.271.iso"}, **vm)
    await call("set_guest_agent", {**vm, "enabled": False}, **vm)
    await call("move_disk", {**vm, "disk": "scsi1", "storage": "ceph"}, status="done", **vm)


async def firewall(call):
    rule = {"direction": "in", "action": "ACCEPT", "proto": "tcp", "dport": "8443"}
    vm = {"vmid": 101}
    await call("add_firewall_rule", {**vm, **rule}, status="done", **vm)
    await call("update_firewall_rule", {**vm, "position": 0, "comment": "a test"}, status="done", **vm)
    await call("delete_firewall_rule", {**vm, "position": 0}, status="done", **vm)
    await call("set_firewall_options", {**vm, "enabled": True}, status="done", **vm)
    await call("set_cloud_init", {"vmid": 9000, "user": "admin"}, status="done", vmid=9000)
    command = {"vmid": 101, "command": ["/bin/true"]}
    await call("run_in_guest", command, **vm)


async def suspension(call):
    vm = {"vmid": 121}
    await call("suspend_guest", vm, status="done", **vm)
    await call("resume_guest", vm, status="done", **vm)
    await call("set_ha_resource", vm, status="done", **vm)


async def restart(call):
    await call("restart_guest", {"vmid": 203}, status="done", vmid=203)


async def migration(call):
    await call("migrate_guest", {"vmid": 120, "target_node": "pve1"}, status="done", vmid=120, node="pve1")


async def backups(call):
    job = {"vmids": [202], "storage": "backup", "schedule": "02:30"}
    await call("set_backup_job", job, status="done")
    begun = await call("create_backup", {"vmid": 202, "storage": "backup", "wait": False}, vmid=202)
    await call("stop_task", {"upid": begun["upid"]})
    listed = await call("list_backups", {"vmid": 202})
    volid = listed["guests"][0]["backups"][0]["volid"]
    await call("restore_backup", {"volid": volid, "new_vmid": 920, "storage": "ceph"}, status="done", vmid=920)


async def downloads(call):
    local = {"node": "pve1", "storage": "local"}
    volid = f"local:vztmpl/{APPLIANCE}"
    await call("download_template", {**local, "template": APPLIANCE}, status="done", volid=volid)
    container = {"name": "ct-clients", "template": volid, "node": "pve1", "storage": "ceph", "new_vmid": 921}
    # Proxmox warns about some images, so the status is `done` or `done_with_warnings`.
    await call("create_container", container, vmid=921)


async def installation(call):
    image = ISO.rsplit("/", 1)[1]
    local = {"node": "pve1", "storage": "local"}
    await call("download_iso", {**local, "url": ISO}, status="done", volid=f"local:iso/{image}")
    vm = {"name": "vm-clients", "iso": f"local:iso/{image}", "node": "pve1", "storage": "ceph", "new_vmid": 922}
    await call("create_vm", vm, status="done", vmid=922)


async def plan(call):
    await call("evacuate_node", {"node": "pve2"}, status="plan")


CHAINS = (
    reads,
    power_and_template,
    snapshots,
    hardware,
    firewall,
    suspension,
    restart,
    migration,
    backups,
    downloads,
    installation,
    plan,
)


class Caller:
    """Calls tools of one session and remembers which."""

    def __init__(self, client, checks, tools):
        self.client = client
        self.that = checks.that
        self.tools = tools
        self.called = set()

    async def __call__(self, name, arguments, **fields):
        """Calls a tool, checks the result against its schema and these fields, and returns it."""
        self.called.add(name)
        result = await self.client.call_tool(name, arguments)
        text = text_of(result)
        if not self.that(not result.is_error, f"{name} {arguments} succeeds: {text}"):
            raise RuntimeError(f"the calls after {name} need its result")
        answer = result.structured_content
        problem = problem_of(answer, self.tools[name].output_schema)
        self.that(problem is None, f"{name} conforms to its output schema: {problem}")
        self.that(text, f"{name} also returns its result as text")
        if self.tools[name].annotations.read_only_hint:
            await self.check_full(name, arguments)
        for field, value in fields.items():
            found = (answer or {}).get(field)
            self.that(found == value, f"{name} {arguments} returns {field} {value!r}: {found!r}")
        return answer

    async def check_full(self, name, arguments):
        """Checks that the text is the result as JSON, if a call asks for that."""
        full = await self.client.call_tool(name, {**arguments, "detail": "full"})
        text = text_of(full)
        try:
            same = json.loads(text) == full.structured_content
        except ValueError:
            same = False
        self.that(same, f"{name} with detail: full returns its result as JSON: {text}")


def problem_of(answer, schema):
    try:
        jsonschema.validate(answer, schema)
    except jsonschema.ValidationError as error:
        return error.message
    return None


async def check(client, checks):
    """Calls every tool that the server lists."""
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    call = Caller(client, checks, tools)
    outcomes = await asyncio.gather(*(chain(call) for chain in CHAINS), return_exceptions=True)
    for chain, outcome in zip(CHAINS, outcomes):
        checks.that(outcome is None, f"the calls of {chain.__name__} end without an exception: {outcome!r}")
    left = set(tools) - call.called
    checks.that(not left, f"every tool is called: {sorted(left)} are not")
