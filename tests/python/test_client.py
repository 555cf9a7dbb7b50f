#!/usr/bin/env python3
"""Test host-runner with the Python reference client of MCP, in both protocol eras.

usage: test_client.py [HOST_RUNNER]

Runs host-runner with the built-in simulated cluster (`--demo`) over stdio and over HTTP,
and without settings. The program is the argument, $HOST_RUNNER or
target/release/host-runner. Prints a line for each failed check, then
"N passed, N failed"; the exit status is 1 if any check failed. The checks are
in clients/.
"""

import asyncio
import functools
import secrets
import sys
import tempfile
from pathlib import Path

import httpx2

from clients import calls, every_tool, guide, listing, tasks
from clients.checks import Checks
from clients.connect import ERAS, EVERYTHING, MODERN, Http, Stdio, connect, program

# Of each part. A machine that also compiles is slow.
PATIENCE_SECONDS = 180


async def basics(server, era, checks):
    async with connect(server(), era) as client:
        checks.that(client.server_info is not None, "the server says who it is")
        modern = client.protocol_version >= "2026-07-28"
        checks.that(modern == (era == MODERN), f"the revision is {client.protocol_version}")
        await listing.check(client, checks)
        await listing.check_failures(client, checks)
        await listing.check_concurrency(client, checks)
        await listing.check_detail(client, checks)
        await guide.check_resources(client, checks, era)
        await guide.check_completion(client, checks)
        await guide.check_prompts(client, checks)
        await calls.check_progress(client, checks)


async def without_settings(server, era, checks):
    async with connect(server(args=()), era) as client:
        await listing.check_without_settings(client, checks)


async def all_tools(server, era, checks):
    async with connect(server(args=EVERYTHING), era) as client:
        await every_tool.check(client, checks)


async def all_tools_in_full(server, era, checks):
    # The schemas in the list of tools are complete only then.
    async with connect(server(args=(*EVERYTHING, "--detail", "full")), era) as client:
        await every_tool.check(client, checks)


async def updates(server, era, checks):
    open_session = functools.partial(connect, server(args=("--demo", "--poll-seconds", "1")), era)
    await guide.check_updates(open_session, checks, era)


async def cancellation(server, era, checks):
    with tempfile.TemporaryDirectory() as folder:
        audit_log = Path(folder) / "audit.jsonl"
        async with connect(server(args=("--demo", "--audit", str(audit_log))), era) as client:
            await calls.check_cancel(client, audit_log, checks)


async def confirmation(server, era, checks):
    open_session = functools.partial(connect, server(args=("--demo", "--confirm", "writes")), era)
    await calls.check_confirmation(open_session, checks)


async def long_calls(server, era, checks):
    open_session = functools.partial(connect, server(), era)
    await tasks.check_without(open_session, checks)
    # Earlier revisions have no such extension.
    if era == MODERN:
        await tasks.check(open_session, checks)


async def access(server, _era, checks):
    token = secrets.token_hex(32)
    async with server().address(token) as url, httpx2.AsyncClient(timeout=60) as http:
        for given in (None, secrets.token_hex(32), token):
            headers = {"Authorization": f"Bearer {given}"} if given else {}
            response = await http.post(url, json={}, headers=headers)
            refused = response.status_code == 401
            checks.that(refused == (given != token), f"only the right token is let in: {response}")


PARTS = {
    Stdio: (basics, without_settings, all_tools, all_tools_in_full, updates, cancellation, confirmation, long_calls),
    Http: (access, basics, all_tools, updates, cancellation, confirmation, long_calls),
}


async def main():
    host_runner = program(sys.argv[1:])
    total = Checks()
    runs = []
    for transport, parts in PARTS.items():
        server = functools.partial(transport, host_runner)
        for era in ERAS:
            for part in parts:
                checks = Checks(f"{part.__name__}, {transport.__name__}, {era}")
                runs.append((checks, checks.drive(part(server, era, checks), PATIENCE_SECONDS)))
    # Each has its own host-runner and its own cluster, and mostly waits for it.
    return await total.run(runs)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
