#!/usr/bin/env python3
"""Test host-runner with the Python reference client of MCP, in both protocol eras.

usage: test_client.py [HOST_RUNNER]

Runs host-runner with the built-in simulated cluster (`--demo`) over stdio and over HTTP,
and then without settings. The program is the argument, $HOST_RUNNER or
target/release/host-runner. Prints a line for each failed check, then
"N passed, N failed"; the exit status is 1 if any check failed.
"""

import asyncio
import contextlib
import json
import os
import re
import secrets
import sys
from pathlib import Path

import httpx2
import jsonschema
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.types import PromptReference, ResourceTemplateReference

WORKSPACE = Path(__file__).resolve().parents[2]
DEFAULT = WORKSPACE / "target" / "release" / "host-runner"
PATIENCE_SECONDS = 120
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


class Checks:
    """Counts checks and prints those that fail."""

    def __init__(self):
        self.era = ""
        self.passed = 0
        self.failed = 0

    def that(self, holds, what):
        if holds:
            self.passed += 1
            return
        self.failed += 1
        print(f"FAILED ({self.era}): {what}", file=sys.stderr)


async def check_list(client, checks):
    """Checks the tool list for what clients require; returns the tools by name."""
    tools = (await client.list_tools()).tools
    names = [tool.name for tool in tools]
    checks.that(len(names) == len(set(names)), f"names are unique: {names}")
    checks.that(READ_ONLY_TOOLS <= set(names), f"no tool is missing: {READ_ONLY_TOOLS - set(names)}")
    for tool in tools:
        checks.that(TOOL_NAME.match(tool.name), f"{tool.name} is a plain name")
        checks.that(tool.title and tool.description, f"{tool.name} has a title and a description")
        checks.that(tool.input_schema["type"] == "object", f"{tool.name} takes an object")
        checks.that(tool.output_schema["type"] == "object", f"{tool.name} returns an object")
        hints = tool.annotations
        checks.that(
            hints is not None
            and None
            not in (
                hints.read_only_hint,
                hints.destructive_hint,
                hints.idempotent_hint,
                hints.open_world_hint,
            ),
            f"{tool.name} has all four annotations",
        )
        if tool.name in READ_ONLY_TOOLS:
            checks.that(hints.read_only_hint, f"{tool.name} is read-only")
    return {tool.name: tool for tool in tools}


async def check_success(client, checks, tool, arguments):
    """Checks that a call succeeds and its result conforms to the schema; returns the result."""
    result = await client.call_tool(tool.name, arguments)
    checks.that(not result.is_error, f"{tool.name} succeeds: {result.content}")
    answer = result.structured_content
    try:
        jsonschema.validate(answer, tool.output_schema)
        checks.that(True, "")
    except jsonschema.ValidationError as error:
        checks.that(False, f"{tool.name} conforms to its output schema: {error.message}")
    texts = [block.text for block in result.content if block.type == "text"]
    checks.that(texts and texts[0], f"{tool.name} also returns its result as text: {texts}")
    if tool.annotations.read_only_hint:
        full = await client.call_tool(tool.name, {**arguments, "detail": "full"})
        texts = [block.text for block in full.content if block.type == "text"]
        same = any(is_json_of(text, full.structured_content) for text in texts)
        checks.that(same, f"{tool.name} with detail: full returns its result as JSON: {texts}")
    return answer


async def check_failure(client, checks, name, arguments, says):
    """Checks that a call fails with a tool error that contains the given words."""
    result = await client.call_tool(name, arguments)
    text = " ".join(block.text for block in result.content if block.type == "text")
    checks.that(result.is_error, f"{name} {arguments} fails")
    checks.that(result.structured_content is None, f"{name} {arguments} fails without a result")
    for word in says:
        checks.that(word in text, f"{name} {arguments} says {word}: {text}")


async def check_unknown(client, checks):
    """Checks that an unknown tool causes a protocol error, not a tool error."""
    try:
        result = await client.call_tool("delete_guest", {"vmid": 100})
        checks.that(False, f"an unknown tool is refused: {result}")
    except MCPError as error:
        checks.that(error.error.code == -32602, f"an unknown tool is -32602: {error}")


async def check_guide(client, checks, guest):
    """Checks resources, completion and prompts."""
    vmid = str(guest["vmid"])
    uri = f"pve://guests/{vmid}"
    resources = (await client.list_resources()).resources
    checks.that(uri in [str(resource.uri) for resource in resources], f"{uri} is listed")
    templates = (await client.list_resource_templates()).resource_templates
    template = "pve://guests/{vmid}"
    checks.that(template in [one.uri_template for one in templates], f"{template} is a template")
    contents = (await client.read_resource(uri)).contents
    checks.that(contents[0].mime_type == "application/json", f"{uri} is JSON")
    checks.that(json.loads(contents[0].text)["vmid"] == guest["vmid"], f"{uri} is that guest")
    try:
        await client.read_resource("pve://nothing")
        checks.that(False, "an unknown resource is refused")
    except MCPError as error:
        checks.that(error.error.code in (-32602, -32002), f"an unknown resource is not found: {error}")

    of_guest = ResourceTemplateReference(uri=template)
    completion = (await client.complete(of_guest, {"name": "vmid", "value": vmid})).completion
    checks.that(completion.values[:1] == [vmid], f"{vmid} is completed: {completion}")

    prompts = {prompt.name: prompt for prompt in (await client.list_prompts()).prompts}
    checks.that("diagnose_a_guest" in prompts, f"there are prompts: {list(prompts)}")
    prompt = await client.get_prompt("diagnose_a_guest", {"vmid": vmid})
    checks.that(f"guest {vmid}" in prompt.messages[0].content.text, "the prompt names the guest")
    try:
        await client.get_prompt("diagnose_a_guest", {})
        checks.that(False, "a prompt without its argument is refused")
    except MCPError as error:
        checks.that(error.error.code == -32602, f"a missing argument is -32602: {error}")
    of_prompt = PromptReference(name="plan_node_maintenance")
    completion = (await client.complete(of_prompt, {"name": "node", "value": ""})).completion
    checks.that(completion.values, "nodes are completed")


def is_json_of(text, answer):
    try:
        return json.loads(text) == answer
    except ValueError:
        return False


async def session(program, mode, checks):
    checks.era = mode
    server = StdioServerParameters(command=str(program), args=["--demo"], env={})
    await converse(server, mode, checks)


@contextlib.asynccontextmanager
async def served(program, token):
    """Serves over HTTP, and gives the URL."""
    process = await asyncio.create_subprocess_exec(
        str(program),
        *["--demo", "serve", "--http", "127.0.0.1:0"],
        env={"PROXMOX_MCP_HTTP_TOKENS": f"python:{token}"},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        while line := (await process.stderr.readline()).decode():
            if found := re.match(r"serving MCP at (\S+)", line):
                break
        yield found.group(1)
    finally:
        process.terminate()
        await process.communicate()


async def http_session(program, mode, checks):
    """The same session over HTTP, after one with a wrong token."""
    checks.era = f"{mode}, HTTP"
    token = secrets.token_hex(32)
    async with served(program, token) as url:
        for given in (secrets.token_hex(32), token):
            headers = {"Authorization": f"Bearer {given}"}
            async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
                response = await http.post(url, json={})
                refused = response.status_code == 401
                checks.that(refused == (given != token), f"a wrong token is refused: {response}")
                if not refused:
                    await converse(streamable_http_client(url, http_client=http), mode, checks)


async def converse(server, mode, checks):
    """Checks a session like that of a user."""
    async with Client(server, mode=mode) as client:
        checks.that(client.server_info is not None, "the server sends its info")
        modern = client.protocol_version >= "2026-07-28"
        checks.that(modern == (mode == "auto"), f"the era is {client.protocol_version}")
        tools = await check_list(client, checks)

        nodes = await check_success(client, checks, tools["list_nodes"], {})
        checks.that(nodes["nodes"], "there are nodes")
        online = [node["node"] for node in nodes["nodes"] if node["status"] == "online"]
        node = await check_success(client, checks, tools["get_node"], {"node": online[0]})
        checks.that(node["node"] == online[0], "the result is for the requested node")

        guests = await check_success(client, checks, tools["list_guests"], {"status": "running"})
        checks.that(guests["guests"], "there are running guests")
        for guest in guests["guests"]:
            checks.that(guest["status"] == "running", f"it is running: {guest}")
        vmid = guests["guests"][0]["vmid"]
        guest = await check_success(client, checks, tools["get_guest"], {"vmid": vmid})
        checks.that(guest["vmid"] == vmid, "the result is for the requested guest")
        await check_success(client, checks, tools["list_storage"], {})
        await check_success(client, checks, tools["get_cluster_status"], {})
        await check_success(client, checks, tools["list_tasks"], {})

        await check_failure(client, checks, "get_guest", {"vmid": 5}, ["vmid", "100"])
        await check_failure(client, checks, "get_guest", {"vmid": "web"}, ["vmid"])
        await check_failure(client, checks, "get_guest", {}, ["vmid"])
        await check_failure(client, checks, "get_guest", {"vmid": 999999}, ["999999"])
        await check_failure(client, checks, "list_nodes", {"nonsense": 1}, ["nonsense"])
        await check_unknown(client, checks)
        await check_guide(client, checks, guests["guests"][0])

        # Concurrent calls: each gets its own result.
        answers = await asyncio.gather(
            *(client.call_tool("get_guest", {"vmid": guest["vmid"]}) for guest in guests["guests"])
        )
        for guest, answer in zip(guests["guests"], answers):
            checks.that(
                answer.structured_content["vmid"] == guest["vmid"],
                f"{guest['vmid']} is not mixed up with another",
            )


async def faulty_session(program, mode, checks):
    """Checks that without settings, tools are listed and each call names what is missing."""
    checks.era = f"{mode}, no settings"
    server = StdioServerParameters(command=str(program), args=[], env={})
    async with Client(server, mode=mode) as client:
        await check_list(client, checks)
        for name, arguments in [("list_nodes", {}), ("start_guest", {"vmid": 100})]:
            says = ["PROXMOX_URL", "PROXMOX_TOKEN_SECRET", "nothing was sent"]
            await check_failure(client, checks, name, arguments, says)


async def main():
    program = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("HOST_RUNNER", DEFAULT))
    if not program.is_file():
        sys.exit(f"no {program}: run cargo xtask build first")
    checks = Checks()
    for mode in ("auto", "legacy"):
        for drive in (session, http_session, faulty_session):
            try:
                await asyncio.wait_for(drive(program, mode, checks), PATIENCE_SECONDS)
            except Exception as error:
                checks.that(False, f"the session ends without an exception: {error!r}")
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed or not checks.passed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
