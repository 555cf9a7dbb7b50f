#!/usr/bin/env python3
"""Test the tools of host-runner with the SDKs of Gemini and OpenAI, without a model.

usage: test_sdks.py [HOST_RUNNER]

Every tool, in the default list and in that of `--detail full`, must become a
function of each SDK. A scripted model behind each HTTP API then calls tools
and records what the SDK sends. Needs requirements-sdks.txt; otherwise like
test_client.py.
"""

import asyncio
import sys

from clients import google_genai, openai_agents, portable
from clients.checks import Checks
from clients.connect import ERAS, EVERYTHING, MODERN, Stdio, connect, program

# Of each part. A machine that also compiles is slow.
PATIENCE_SECONDS = 180


async def gemini(server, era, checks):
    async with connect(server, era) as client:
        tools = (await client.list_tools()).tools
        portable.check(tools, checks)
        google_genai.check_declarations(tools, checks)
        await google_genai.check_conversation(client, tools, checks)


async def openai(server, detail, checks):
    async with connect(server, MODERN) as client:
        tools = (await client.list_tools()).tools
        await openai_agents.check_declarations(server, tools, checks)
        await openai_agents.check_conversation(server, client, tools, detail == "full", checks)


async def main():
    host_runner = program(sys.argv[1:])
    total = Checks("schemas")
    portable.check_bad(total)
    runs = []
    for detail in ("concise", "full"):
        server = Stdio(host_runner, (*EVERYTHING, "--detail", detail))
        for era in ERAS:
            checks = Checks(f"Gemini, --detail {detail}, {era}")
            runs.append((checks, checks.drive(gemini(server, era, checks), PATIENCE_SECONDS)))
        # Its SDK opens sessions itself, in the era that it chooses.
        checks = Checks(f"OpenAI, --detail {detail}")
        runs.append((checks, checks.drive(openai(server, detail, checks), PATIENCE_SECONDS)))
    return await total.run(runs)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
