#!/usr/bin/env python3
"""Test the HTTP adapter with the Python reference client of MCP, in both protocol eras.

usage: PROXMOX_MCP_HTTP_TOKEN=… test_http.py URL

Prints a line for each failed check, then "N passed, N failed"; the exit status
is 1 if any check failed. `cargo xtask hosts` runs it.
"""

import asyncio
import os
import sys

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

results = {True: 0, False: 0}


def that(holds, what):
    """Counts checks and prints those that fail."""
    results[bool(holds)] += 1
    if not holds:
        print(f"FAILED: {what}", file=sys.stderr)


async def converse(url, token, mode):
    """Runs a session like that of a user."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport, mode=mode) as client:
            tools = {tool.name for tool in (await client.list_tools()).tools}
            that("list_guests" in tools, f"{mode}: list_guests is listed")
            guests = await client.call_tool("list_guests", {"limit": 1})
            structured = guests.structured_content or {}
            that(not guests.is_error, f"{mode}: list_guests succeeds")
            that(len(structured.get("guests", [])) == 1, f"{mode}: list_guests returns one guest")
            missing = await client.call_tool("get_guest", {"vmid": 999999})
            that(missing.is_error, f"{mode}: a missing guest is an error")
            that("999999" in missing.content[0].text, f"{mode}: the error names the guest")
            try:
                await client.call_tool("no_such_tool", {})
                that(False, f"{mode}: an unknown tool is refused")
            except MCPError as error:
                that(error.error.code == -32602, f"{mode}: an unknown tool causes an invalid params error")


async def main():
    (url,) = sys.argv[1:]
    token = os.environ["PROXMOX_MCP_HTTP_TOKEN"]
    for mode in ("auto", "legacy"):
        await converse(url, token, mode)
    print(f"{results[True]} passed, {results[False]} failed")
    return 1 if results[False] else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
