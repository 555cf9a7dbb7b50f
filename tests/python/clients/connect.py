"""Opens sessions: the only place that knows transports."""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from mcp import Client, StdioServerParameters

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

    def transport(self):
        return StdioServerParameters(command=str(self.program), args=list(self.args), env=self.environment)


def connect(server, era, **options):
    """A session with a server, such as `Stdio`, in one of the ERAS, as a context manager.

    A server is anything with a method `transport` that returns what `Client`
    takes. The options are those of `Client`.
    """
    return Client(server.transport(), mode=era, **options)


def program(arguments):
    """The host-runner to test: the first argument, $HOST_RUNNER or the built one."""
    path = Path(arguments[0] if arguments else os.environ.get("HOST_RUNNER", DEFAULT)).absolute()
    if not path.is_file():
        sys.exit(f"no {path}: run cargo xtask build first")
    return path
