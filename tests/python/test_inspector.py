#!/usr/bin/env python3
"""Test host-runner with the command line of the MCP Inspector, in both protocol eras.

usage: test_inspector.py FOLDER [HOST_RUNNER]

The folder is where the packages of .ci/clients/ are installed: `cargo xtask
clients` does that and runs this. Otherwise like test_client.py.
"""

import asyncio
import sys

from clients import inspector
from clients.checks import Checks
from clients.connect import EVERYTHING, LEGACY, Stdio, connect, program

# Of each part. A machine that also compiles is slow.
PATIENCE_SECONDS = 180


async def names(server):
    """The tools that a server lists to another client."""
    async with connect(server, LEGACY) as client:
        return [tool.name for tool in (await client.list_tools()).tools]


async def check(folder, host_runner, era, checks):
    demo = Stdio(host_runner)
    everything = Stdio(host_runner, (*EVERYTHING, "--detail", "full"))
    some, all_tools = await names(demo), await names(everything)
    checks.that(set(some) < set(all_tools), "the default list is shorter than that of all tools")
    full = inspector.Inspector(folder, everything, era)
    demo = inspector.Inspector(folder, demo, era)
    await asyncio.gather(
        inspector.check_lists(demo, era, checks),
        inspector.check_tools(demo, some, checks),
        inspector.check_tools(full, all_tools, checks),
        inspector.check_calls(demo, checks),
        inspector.check_guide(demo, checks),
        inspector.check_load(demo, checks),
    )


async def main():
    folder, *rest = sys.argv[1:]
    host_runner = program(rest)
    total = Checks()
    runs = []
    for era in inspector.ERAS:
        checks = Checks(era)
        runs.append((checks, checks.drive(check(folder, host_runner, era, checks), PATIENCE_SECONDS)))
    return await total.run(runs)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
