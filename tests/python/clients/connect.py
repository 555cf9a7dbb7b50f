"""Opens sessions: the only place that knows transports."""

import asyncio
import contextlib
import os
import re
import secrets
import sys
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

WORKSPACE = Path(__file__).resolve().parents[3]
DEFAULT = WORKSPACE / "target" / "release" / "host-runner"
DEMO = ("--demo",)
# All tools, also those that the default policy does not offer.
EVERYTHING = ("--demo", "--toolsets", "all", "--preset", "admin", "--allow-tool", "run_in_guest")
# The eras by the modes of the Python client: "auto" asks for the newest revision first.
MODERN, LEGACY = "auto", "legacy"
ERAS = (MODERN, LEGACY)


@dataclass
class Stdio:
    """A host-runner that the client starts."""

    program: Path
    args: tuple = DEMO
    environment: dict = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def transport(self):
        yield StdioServerParameters(command=str(self.program), args=list(self.args), env=self.environment)


@dataclass
class Http:
    """A host-runner that serves over HTTP, to clients with its token."""

    program: Path
    args: tuple = DEMO
    environment: dict = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def address(self, token):
        """Serves, and gives the URL."""
        process = await asyncio.create_subprocess_exec(
            *(str(self.program), *self.args, "serve", "--http", "127.0.0.1:0"),
            env={**self.environment, "PROXMOX_MCP_HTTP_TOKENS": f"python:{token}"},
            stderr=asyncio.subprocess.PIPE,
        )
        found = None
        while not found and (line := (await process.stderr.readline()).decode()):
            found = re.match(r"serving MCP at (\S+)", line)
        # A full pipe would hold the server up.
        rest = asyncio.create_task(process.stderr.read())
        try:
            yield found.group(1)
        finally:
            if process.returncode is None:
                process.terminate()
            await asyncio.gather(rest, process.wait())

    @contextlib.asynccontextmanager
    async def transport(self):
        token = secrets.token_hex(32)
        headers = {"Authorization": f"Bearer {token}"}
        async with self.address(token) as url, httpx2.AsyncClient(headers=headers, timeout=60) as http:
            yield streamable_http_client(url, http_client=http)


@contextlib.asynccontextmanager
async def connect(server, era, **options):
    """A session with a server, such as `Stdio`, in one of the ERAS, as a context manager.

    The options are those of `Client`.
    """
    async with server.transport() as transport, Client(transport, mode=era, **options) as client:
        yield client


def program(arguments):
    """The host-runner to test: the first argument, $HOST_RUNNER or the built one."""
    path = Path(arguments[0] if arguments else os.environ.get("HOST_RUNNER", DEFAULT)).absolute()
    if not path.is_file():
        sys.exit(f"no {path}: run cargo xtask build first")
    return path
