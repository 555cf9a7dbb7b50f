"""The command line of the MCP Inspector: one session for each request."""

import asyncio
import json
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

CLI = "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"
# Its names of the eras, with the revision that each ends up with.
ERAS = {"legacy": "2025-11-25", "modern": "2026-07-28"}
# Exit statuses: an error of the tool, or a tool that does not exist.
TOOL_ERROR = 5
AT_ONCE = 2
# `Path:` lines of `--strict`.
PROBLEM = re.compile(r"^\s+Path: (.*)$", re.MULTILINE)


@dataclass
class Outcome:
    status: int
    result: dict
    error: str
    stderr: str


class Inspector:
    """Makes requests to host-runner with the Inspector that is installed in a folder."""

    def __init__(self, folder, server, era):
        packaged = sorted(Path(folder).glob("node_modules/node-linux-*/bin/node"))
        self.command = [str(packaged[0]) if packaged else shutil.which("node") or "node", str(Path(folder) / CLI)]
        self.command += ["--cli", "--format", "json", "--protocol-era", era]
        self.server = ["--", str(server.program), *server.args]
        self.turn = asyncio.Semaphore(AT_ONCE)

    async def ask(self, method, *options):
        """The outcome of a request with the options of the Inspector."""
        async with self.turn:
            with tempfile.TemporaryDirectory() as home:
                process = await asyncio.create_subprocess_exec(
                    *self.command,
                    *("--method", method),
                    *options,
                    *self.server,
                    env={"HOME": home, "PATH": "/usr/bin:/bin"},
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                )
                stdout, stderr = (part.decode() for part in await process.communicate())
        result = json.loads(stdout)["result"] if stdout.strip() else {}
        return Outcome(process.returncode, result, error_in(stderr), stderr)


def error_in(stderr):
    """The message of the error that the Inspector reports on stderr, beside other lines."""
    for line in stderr.splitlines():
        if line.startswith('{"error":'):
            return json.loads(line)["error"]["message"]
    return ""


async def check_lists(inspector, era, checks):
    begun = await inspector.ask("initialize")
    version = begun.result.get("protocolVersion")
    checks.that(version == ERAS[era], f"the revision is {ERAS[era]}: {version}")
    for method, key, wanted in (
        ("resources/list", "uri", {"pve://cluster", "pve://nodes/pve1", "pve://guests/101"}),
        ("resources/templates/list", "uriTemplate", {"pve://guests/{vmid}", "pve://tasks/{upid}/log"}),
        ("prompts/list", "name", {"diagnose_a_guest", "plan_node_maintenance"}),
    ):
        listed = await inspector.ask(method)
        found = {one[key] for items in listed.result.values() if isinstance(items, list) for one in items}
        checks.that(wanted <= found, f"{method} has {wanted}: {found or listed}")


async def check_tools(inspector, names, checks):
    """Checks the tools, which must be these, and that the Inspector finds no fault with their schemas."""
    listed = await inspector.ask("tools/list", "--strict")
    found = [tool["name"] for tool in listed.result.get("tools", [])]
    checks.that(found == names, f"the tools are those that another client sees: {found}")
    checks.that(listed.status == 0, f"no schema has errors: {listed.stderr}")
    problems = PROBLEM.findall(listed.stderr)
    checks.that(not problems, f"no schema has warnings: {problems}")


async def check_calls(inspector, checks):
    listed = await inspector.ask("tools/call", "--tool-name", "list_guests", "--tool-arg", "status=running", "limit=3")
    guests = listed.result.get("structuredContent", {}).get("guests", [])
    checks.that([guest["status"] for guest in guests] == ["running"] * 3, f"list_guests lists 3 running guests: {listed}")
    one = await inspector.ask("tools/call", "--tool-name", "get_guest", "--tool-args-json", '{"vmid":101}')
    name = one.result.get("structuredContent", {}).get("name")
    checks.that((one.status, name) == (0, "web-frontend"), f"get_guest returns the guest: {one}")
    started = await inspector.ask("tools/call", "--tool-name", "start_guest", "--tool-arg", "vmid=210")
    status = started.result.get("structuredContent", {}).get("status")
    checks.that((started.status, status) == (0, "done"), f"start_guest waits for the task: {started}")
    missing = await inspector.ask("tools/call", "--tool-name", "get_guest", "--tool-arg", "vmid=999999")
    text = json.dumps(missing.result.get("content"))
    checks.that(missing.status == TOOL_ERROR and missing.result.get("isError"), f"a missing guest is an error: {missing}")
    checks.that("999999" in text, f"the error names the guest: {text}")
    unknown = await inspector.ask("tools/call", "--tool-name", "delete_guest")
    checks.that(unknown.status == TOOL_ERROR and "delete_guest" in unknown.error, f"an unknown tool is refused: {unknown}")


async def check_guide(inspector, checks):
    read = await inspector.ask("resources/read", "--uri", "pve://guests/101")
    texts = [json.loads(one["text"]) for one in read.result.get("contents", [])]
    checks.that([guest["vmid"] for guest in texts] == [101], f"the resource is the guest: {read}")
    nothing = await inspector.ask("resources/read", "--uri", "pve://nothing")
    checks.that(nothing.status and "pve://guests/{vmid}" in nothing.error, f"the error names what there is: {nothing}")
    prompt = await inspector.ask("prompts/get", "--prompt-name", "diagnose_a_guest", "--prompt-args", "vmid=101")
    text = json.dumps(prompt.result.get("messages"))
    checks.that("guest 101" in text, f"the prompt has its argument: {prompt}")
    without = await inspector.ask("prompts/get", "--prompt-name", "diagnose_a_guest")
    checks.that(without.status and "vmid" in without.error, f"the error names the argument: {without}")


async def check_load(inspector, checks):
    """Checks that many calls at a time all succeed."""
    options = ("--load", "--load-requests", "100", "--load-concurrency", "10")
    loaded = await inspector.ask("tools/call", "--tool-name", "list_guests", *options)
    found = {key: loaded.result.get(key) for key in ("ok", "toolErrors", "errors")}
    checks.that(found == {"ok": 100, "toolErrors": 0, "errors": 0}, f"100 calls succeed: {loaded}")
