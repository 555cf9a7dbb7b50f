"""The OpenAI agents SDK: tools become function tools, results become outputs of functions."""

import copy
import json

from agents import Agent, RunConfig, Runner, set_tracing_disabled
from agents.mcp import MCPServerStdio, MCPUtil
from agents.models.openai_chatcompletions import OpenAIChatCompletionsModel
from agents.models.openai_responses import OpenAIResponsesModel
from agents.strict_schema import ensure_strict_json_schema
from openai import AsyncOpenAI

from .checks import text_of
from .fake_model import DONE, FakeModel, serving

# Each of OpenAI's APIs, and whether with strict schemas and structured content.
VARIANTS = ((OpenAIChatCompletionsModel, False), (OpenAIResponsesModel, True))
SCRIPT = [("get_guest", {"vmid": 101}), ("get_guest", {"vmid": 999999})]
# The SDK's own default, 5 s, is shorter than many tasks of Proxmox.
TIMEOUT_SECONDS = 60


def open_server(server, structured=False):
    """The SDK's own session with a `Stdio` server."""
    params = {"command": str(server.program), "args": list(server.args), "env": server.environment}
    return MCPServerStdio(
        params,
        name="proxmox",
        client_session_timeout_seconds=TIMEOUT_SECONDS,
        use_structured_content=structured,
    )


async def check_declarations(server, tools, checks):
    """Checks that each tool becomes a function tool, also with a strict schema."""
    async with open_server(server) as session:
        listed = {tool.name: tool for tool in await session.list_tools()}
        checks.that(list(listed) == [tool.name for tool in tools], f"the SDK lists all tools: {list(listed)}")
        for name, tool in listed.items():
            loose = MCPUtil.to_function_tool(tool, session, convert_schemas_to_strict=False)
            checks.that(not loose.strict_json_schema, f"{name} is not strict unless that is asked for")
            schema = loose.params_json_schema
            checks.that(schema == tool.input_schema, f"{name} keeps its schema: {schema}")
            checks.that(loose.description == tool.description, f"{name} keeps its description")
            strict = MCPUtil.to_function_tool(tool, session, convert_schemas_to_strict=True)
            # It falls back to the schema as it is, and says nothing.
            checks.that(strict.strict_json_schema, f"{name} becomes strict: {reason(tool.input_schema)}")
            open_objects = list(not_strict(strict.params_json_schema, name))
            checks.that(not open_objects, f"{name} is strict in every object: {open_objects}")


def reason(schema):
    """Why a schema cannot become strict."""
    try:
        ensure_strict_json_schema(copy.deepcopy(schema), _reject_open_objects=True)
    except Exception as error:
        return str(error)
    return None


def not_strict(schema, where):
    """Yields the objects that allow other properties, or not all of theirs in every call."""
    if schema["type"] == "object":
        closed = schema.get("additionalProperties") is False
        if not closed or sorted(schema.get("required", [])) != sorted(schema["properties"]):
            yield where
        for name, one in schema["properties"].items():
            yield from not_strict(one, f"{where}.{name}")
    if schema["type"] == "array":
        yield from not_strict(schema["items"], f"{where}[]")


def functions(body):
    """The functions that a request declares: in `tools`, or in `function` of each."""
    return [tool.get("function", tool) for tool in body["tools"]]


def outputs(body):
    """The outputs of functions that a request contains, as text."""
    if "messages" in body:
        texts = [message["content"] for message in body["messages"] if message["role"] == "tool"]
    else:
        texts = [item["output"] for item in body["input"] if item.get("type") == "function_call_output"]
    return ["\n".join(part["text"] for part in text) if isinstance(text, list) else text for text in texts]


async def check_conversation(server, client, tools, full, checks):
    """Checks what the SDK sends to a model that calls tools, through both of OpenAI's APIs.

    `full`: whether the server's texts are JSON.
    """
    set_tracing_disabled(True)
    missing = text_of(await client.call_tool("get_guest", {"vmid": 999999}))
    for kind, structured in VARIANTS:
        where = kind.__name__
        with serving(FakeModel(SCRIPT)) as model:
            openai = AsyncOpenAI(api_key="none", base_url=model.url, max_retries=0)
            async with open_server(server, structured) as session:
                agent = Agent(
                    name="tester",
                    model=kind(model="fake", openai_client=openai),
                    mcp_servers=[session],
                    mcp_config={"convert_schemas_to_strict": structured},
                )
                ended = await Runner.run(agent, "?", run_config=RunConfig(tracing_disabled=True))
            await openai.close()
        checks.that(ended.final_output == DONE, f"{where}: the conversation ends: {ended.final_output}")
        for body in model.requests:
            declared = [one["name"] for one in functions(body)]
            checks.that(declared == [tool.name for tool in tools], f"{where}: all tools are declared: {declared}")
            strict = {one.get("strict", False) for one in functions(body)}
            checks.that(strict == {structured}, f"{where}: the functions are strict or not: {strict}")
        found = outputs(model.requests[-1])
        if checks.that(len(found) == len(SCRIPT), f"{where}: each call has an output: {found}"):
            check_outputs(found, structured or full, missing, where, checks)


def check_outputs(found, as_json, missing, where, checks):
    guest, error = found
    checks.that("web-frontend" in guest, f"{where}: the model gets the guest: {guest}")
    try:
        is_json = json.loads(guest)["vmid"] == 101
    except (ValueError, KeyError, TypeError):
        is_json = False
    checks.that(is_json == as_json, f"{where}: the model gets {'JSON' if as_json else 'the concise text'}: {guest}")
    checks.that(error == missing, f"{where}: the model gets the error {missing!r}: {error}")
