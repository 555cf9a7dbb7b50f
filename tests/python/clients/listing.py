"""The list of tools, and calls that must fail."""

import asyncio
import re

from .checks import text_of

# What Gemini and OpenAI accept in practice is wider; this is what the project wants.
TOOL_NAME = re.compile(r"^[a-z][a-z_]{1,40}$")
READ_ONLY_TOOLS = {
    "list_nodes",
    "get_node",
    "list_guests",
    "get_guest",
    "get_guest_network",
    "get_guest_metrics",
    "list_storage",
    "list_storage_content",
    "get_cluster_status",
    "list_tasks",
    "get_task",
}
CHANGING_TOOLS = {"start_guest": False, "stop_guest": True, "create_snapshot": False, "rollback_snapshot": True}


async def check(client, checks):
    """Checks the tool list for what clients require."""
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    names = [tool.name for tool in (await client.list_tools(cache_mode="refresh")).tools]
    checks.that(names == list(tools), f"names are unique and in a fixed order: {names}")
    missing = (READ_ONLY_TOOLS | set(CHANGING_TOOLS)) - set(tools)
    checks.that(not missing, f"no tool is missing: {missing}")
    for name, tool in tools.items():
        checks.that(TOOL_NAME.match(name), f"{name} is a plain name")
        checks.that(tool.title and tool.description, f"{name} has a title and a description")
        checks.that(tool.input_schema["type"] == "object", f"{name} takes an object")
        checks.that(tool.output_schema["type"] == "object", f"{name} returns an object")
        hints = tool.annotations.model_dump() if tool.annotations else {}
        for hint in ("read_only_hint", "destructive_hint", "idempotent_hint", "open_world_hint"):
            checks.that(isinstance(hints.get(hint), bool), f"{name} has the annotation {hint}")
        if name in READ_ONLY_TOOLS:
            checks.that(hints.get("read_only_hint") is True, f"{name} is read-only")
        if name in CHANGING_TOOLS:
            wanted = (False, CHANGING_TOOLS[name])
            found = (hints.get("read_only_hint"), hints.get("destructive_hint"))
            checks.that(found == wanted, f"{name} is (read-only, destructive) {wanted}: {found}")


async def fails(client, checks, name, arguments, says):
    """Checks that a call fails with a tool error that contains these words, and without a result."""
    result = await client.call_tool(name, arguments)
    text = text_of(result)
    checks.that(result.is_error, f"{name} {arguments} fails: {text}")
    checks.that(result.structured_content is None, f"{name} {arguments} fails without a result")
    for word in says:
        checks.that(word in text, f"{name} {arguments} says {word}: {text}")


async def check_failures(client, checks):
    """Checks that errors of a call are errors of the tool, and only an unknown tool is one of the protocol."""
    await fails(client, checks, "get_guest", {"vmid": 5}, ["vmid", "100"])
    await fails(client, checks, "get_guest", {"vmid": "web"}, ["vmid"])
    await fails(client, checks, "get_guest", {}, ["vmid"])
    await fails(client, checks, "get_guest", {"vmid": 999999}, ["999999"])
    await fails(client, checks, "list_nodes", {"nonsense": 1}, ["nonsense"])
    await checks.refused(client.call_tool("delete_guest", {"vmid": 101}), (-32602,), "an unknown tool")


async def check_concurrency(client, checks):
    """Checks that each of several calls at a time gets its own result."""
    vmids = [101, 102, 110, 120, 121, 130, 201, 202]
    answers = await asyncio.gather(*(client.call_tool("get_guest", {"vmid": vmid}) for vmid in vmids))
    found = [(answer.structured_content or {}).get("vmid") for answer in answers]
    checks.that(found == vmids, f"each call gets its own result: {found}")


async def check_detail(client, checks):
    """Checks that the text is short unless a call asks for JSON."""
    concise = text_of(await client.call_tool("list_guests", {}))
    full = text_of(await client.call_tool("list_guests", {"detail": "full"}))
    checks.that(len(concise) < len(full) / 2, f"the text is concise by default: {len(concise)} of {len(full)} characters")


async def check_without_settings(client, checks):
    """Checks that without settings, tools are listed and each call names what is missing."""
    await check(client, checks)
    for name, arguments in [("list_nodes", {}), ("start_guest", {"vmid": 100})]:
        says = ["PROXMOX_URL", "PROXMOX_TOKEN_SECRET", "nothing was sent"]
        await fails(client, checks, name, arguments, says)
