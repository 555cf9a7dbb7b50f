"""Counts what holds and prints what does not."""

import asyncio
import sys

from mcp import MCPError


class Checks:
    """The checks of one run. `where` begins each message about a failed one."""

    def __init__(self, where=""):
        self.where = where
        self.passed = 0
        self.failed = 0

    def that(self, holds, what):
        """Counts a check, prints `what` if it fails, and returns whether it holds."""
        if holds:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED ({self.where}): {what}", file=sys.stderr)
        return bool(holds)

    async def refused(self, awaitable, codes, what):
        """Checks that a request ends in a protocol error with one of these codes."""
        try:
            answer = await awaitable
        except MCPError as error:
            self.that(error.error.code in codes, f"{what} is refused with one of {codes}: {error}")
        else:
            self.that(False, f"{what} is refused: {answer}")

    async def drive(self, awaitable, seconds):
        """Runs a part of the tests. An exception or a timeout is a failed check."""
        try:
            await asyncio.wait_for(awaitable, seconds)
        except Exception as error:
            self.that(False, f"no exception, and an end within {seconds} s: {causes(error)}")

    async def run(self, runs):
        """Runs parts at the same time, each of (its checks, an awaitable); returns the exit status."""
        await asyncio.gather(*(run for _, run in runs))
        for checks, _ in runs:
            checks.that(checks.passed, "checks are made")
            self.add(checks)
        return self.finish()

    def add(self, other):
        """Adds the counts of another run."""
        self.passed += other.passed
        self.failed += other.failed

    def finish(self):
        """Prints the summary and returns the exit status: 1 if a check failed or none was made."""
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed or not self.passed else 0


def causes(error):
    """The exceptions in a group of them, which clients raise when a session ends."""
    if isinstance(error, BaseExceptionGroup):
        return [cause for one in error.exceptions for cause in causes(one)]
    return [error]


def text_of(result):
    """The text of a tool's result."""
    return "\n".join(block.text for block in result.content if block.type == "text")
