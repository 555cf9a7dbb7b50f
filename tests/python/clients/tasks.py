"""The extension for long calls: a call that takes long is answered with a task."""

import asyncio
from typing import Any, Literal

from mcp.client.extension import ClientExtension, ResultClaim
from mcp.types import CallToolResult, Request, Result
from pydantic import ConfigDict, TypeAdapter

from .calls import LONG_CALL
from .checks import text_of

ANY = TypeAdapter(dict[str, Any])


class Task(Result):
    """A result that says where the call's own result will be."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)
    result_type: Literal["task"] = "task"


class TaskRequest(Request[dict[str, Any], str]):
    name_param = "taskId"


class Tasks(ClientExtension):
    """Asks for the state of a task until it has ended, and keeps the states."""

    identifier = "io.modelcontextprotocol/tasks"

    def __init__(self):
        self.tasks = []
        self.states = []

    def claims(self):
        return [ResultClaim(result_type="task", model=Task, resolve=self.resolve)]

    async def resolve(self, task, context):
        task = task.model_dump(by_alias=True)
        self.tasks.append(task)
        while True:
            state = await ask(context.session, "tasks/get", task["taskId"])
            self.states.append(state)
            if state["status"] == "completed":
                return CallToolResult.model_validate(state["result"])
            if state["status"] != "working":
                raise AssertionError(f"the task is {state['status']}: {state}")
            await asyncio.sleep(task["pollIntervalMs"] / 1000)


async def ask(session, method, task):
    return await session.send_request(TaskRequest(method=method, params={"taskId": task}), ANY)


async def check(open_session, checks):
    """Checks that a long call becomes a task whose result is that of the call."""
    tasks = Tasks()
    async with open_session(extensions=[tasks]) as client:
        quick = await client.call_tool("list_nodes", {})
        checks.that(not quick.is_error and not tasks.tasks, "a quick call is answered with its result")
        name, arguments = LONG_CALL
        result = await client.call_tool(name, arguments)
        checks.that(not result.is_error, f"{name} succeeds: {text_of(result)}")
        checks.that(len(tasks.tasks) == 1, f"{name} is answered with a task: {tasks.tasks}")
        task = tasks.tasks[0]
        missing = {"taskId", "status", "createdAt", "lastUpdatedAt", "ttlMs"} - set(task)
        checks.that(not missing, f"the task says {missing}: {task}")
        upid = result.structured_content["upid"]
        checks.that(upid in task["taskId"], f"the id of the task has the UPID {upid}: {task['taskId']}")
        again = await ask(client.session, "tasks/get", task["taskId"])
        checks.that(again["status"] == "completed", f"the result can be read again: {again}")
        unknown = ask(client.session, "tasks/get", "unknown")
        await checks.refused(unknown, {-32602}, "an unknown task")


async def check_without(open_session, checks):
    """Checks that a client without the extension waits for the result."""
    name, arguments = LONG_CALL
    async with open_session() as client:
        result = await client.call_tool(name, arguments)
        checks.that(not result.is_error, f"without the extension, {name} gives its result: {text_of(result)}")
