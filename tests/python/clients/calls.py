"""Calls that take their time or need consent."""

import asyncio
import json

from mcp.types import ElicitResult

from .checks import text_of

LONG_CALL = ("create_backup", {"vmid": 202, "storage": "backup"})


async def check_progress(client, checks):
    """Checks that a call with a progress token reports its progress, and others do not."""
    reports = []

    async def report(progress, total, message):
        reports.append((progress, total, message))

    result = await client.call_tool("restart_guest", {"vmid": 203}, progress_callback=report)
    checks.that(not result.is_error, f"restart_guest succeeds: {text_of(result)}")
    values = [progress for progress, _, _ in reports]
    checks.that(len(values) >= 2, f"progress is reported more than once: {reports}")
    checks.that(values == sorted(set(values)), f"progress grows: {values}")
    checks.that(all(message for _, _, message in reports), f"progress says what happens: {reports}")
    before = len(reports)
    await client.call_tool("list_nodes", {})
    checks.that(len(reports) == before, "after the result, no progress is reported")


async def check_cancel(client, audit_log, checks):
    """Checks that the server ends a cancelled call, and that its task goes on in Proxmox.

    `audit_log`: the file that the server writes; it has the outcome of each call.
    """
    begun = asyncio.Event()

    async def report(_progress, _total, _message):
        begun.set()

    name, arguments = LONG_CALL
    call = asyncio.create_task(client.call_tool(name, arguments, progress_callback=report))
    await asyncio.wait_for(begun.wait(), 15)
    call.cancel()
    await asyncio.wait([call])
    tasks = await client.call_tool("list_tasks", {"vmid": arguments["vmid"], "limit": 1})
    checks.that(not tasks.is_error, f"after a cancel, the server still serves: {text_of(tasks)}")
    task = tasks.structured_content["tasks"][0]
    found = (task["type"], task["status"])
    checks.that(found == ("vzdump", "running"), f"the task that the call began goes on: {found}")
    stopped = await client.call_tool("stop_task", {"upid": task["upid"]})
    checks.that(not stopped.is_error, f"the task can be stopped: {text_of(stopped)}")
    events = [json.loads(line) for line in audit_log.read_text().splitlines()]
    begun = [event["call"] for event in events if event.get("tool") == name]
    outcomes = [event["outcome"] for event in events if event["event"] == "outcome" and event["call"] in begun]
    checks.that(outcomes == ["cancelled"], f"the server ends the call as cancelled: {outcomes}")


async def check_confirmation(open_session, checks):
    """Checks what a change does if the user agrees, declines, or cannot be asked.

    `open_session` opens a session whose server asks before each change; its
    arguments are those of the client.
    """
    questions = []

    def user(action):
        async def answer(_context, params):
            questions.append(params.message)
            return ElicitResult(action=action, content={} if action == "accept" else None)

        return answer

    start = ("start_guest", {"vmid": 210})
    for action, says in (("decline", "did not agree"), ("cancel", "did not agree"), (None, "rule confirm")):
        options = {"elicitation_callback": user(action)} if action else {}
        questions.clear()
        async with open_session(**options) as client:
            result = await client.call_tool(*start)
            checks.that(result.is_error, f"a change is refused if the user's answer is {action}")
            checks.that(says in text_of(result), f"the refusal says {says}: {text_of(result)}")
            guest = await client.call_tool("get_guest", {"vmid": 210})
            status = guest.structured_content["status"]
            checks.that(status == "stopped", f"a refused change changes nothing: {status}")
        asked = 1 if action else 0
        checks.that(len(questions) == asked, f"the user is asked {asked} times, not for reads: {questions}")

    questions.clear()
    async with open_session(elicitation_callback=user("accept")) as client:
        result = await client.call_tool(*start)
        checks.that(not result.is_error, f"a change is made if the user agrees: {text_of(result)}")
        checks.that(result.structured_content["status"] == "done", f"it is done: {text_of(result)}")
    checks.that(len(questions) == 1, f"the user is asked once: {questions}")
    question = " ".join(questions)
    for word in ("start_guest", "210", "POST"):
        checks.that(word in question, f"the question says {word}: {question}")
