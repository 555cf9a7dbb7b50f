"""The Gemini SDK: tools become declarations of functions, results become responses of functions."""

import logging

from google import genai
from google.genai import _mcp_utils, types

from .checks import text_of
from .fake_model import DONE, FakeModel, serving

# Gemini sends every number as a float.
SCRIPT = [
    ("get_guest", {"vmid": 101.0}),
    ("list_storage_content", {"storage": "backup", "content": "iso", "limit": 1.0}),
    ("get_guest", {"vmid": 999999.0}),
]
# The keywords of JSON Schema, by the fields of `types.Schema`.
FIELDS = {
    "description": "description",
    "enum": "enum",
    "required": "required",
    "minimum": "minimum",
    "maximum": "maximum",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_length": "minLength",
    "max_length": "maxLength",
}
# It looks for these under their Python names, and so drops them from the tools of a session.
DROPPED = {"minItems", "maxItems", "minLength", "maxLength"}
# It recommends chats for what this does by hand.
logging.getLogger("google_genai.models").setLevel(logging.ERROR)


def check_declarations(tools, checks):
    """Checks that each tool becomes a declaration that says the same, in each of the SDK's ways."""
    for tool in tools:
        try:
            (declaration,) = _mcp_utils.mcp_to_gemini_tool(tool).function_declarations
            (platform,) = _mcp_utils.agent_platform_to_gemini_tool(tool).function_declarations
            strict = types.FunctionDeclaration(name=tool.name, parameters=tool.input_schema)
        except Exception as error:
            checks.that(False, f"{tool.name} becomes a declaration of Gemini: {error}")
            continue
        checks.that(declaration.name == tool.name, f"{tool.name} keeps its name: {declaration.name}")
        checks.that(declaration.description == tool.description, f"{tool.name} keeps its description")
        lost = list(differences(tool.input_schema, declaration.parameters, tool.name, DROPPED))
        checks.that(not lost, f"{tool.name} keeps its parameters: {lost}")
        lost = list(differences(tool.input_schema, strict.parameters, tool.name))
        checks.that(not lost, f"{tool.name} is a schema of Gemini as it is: {lost}")
        same = platform.parameters_json_schema == tool.input_schema
        checks.that(same, f"{tool.name} keeps its JSON Schema: {platform.parameters_json_schema}")


def differences(schema, converted, where, dropped=()):
    """Yields what a converted schema does not say, apart from the keywords in `dropped`."""
    if converted is None or converted.type is None:
        yield f"{where}: not converted"
        return
    if converted.type.value.lower() != schema["type"]:
        yield f"{where}: type {schema['type']} is {converted.type}"
    for field, keyword in FIELDS.items():
        before, after = schema.get(keyword), getattr(converted, field)
        if keyword in dropped:
            before = None
        if before != after:
            yield f"{where}: {keyword} {before!r} is {after!r}"
    properties = converted.properties or {}
    if set(properties) != set(schema.get("properties", {})):
        yield f"{where}: properties {sorted(properties)}"
    for name, one in schema.get("properties", {}).items():
        yield from differences(one, properties.get(name), f"{where}.{name}", dropped)
    if "items" in schema:
        yield from differences(schema["items"], converted.items, f"{where}[]", dropped)


async def check_conversation(client, tools, checks):
    """Checks what the SDK sends to a model that calls tools of a session."""
    with serving(FakeModel(SCRIPT)) as model:
        options = types.HttpOptions(base_url=model.url)
        gemini = genai.Client(api_key="none", vertexai=False, http_options=options)
        # The SDK copies a `GenerateContentConfig` deeply, which fails with a session of mcp 2.
        config = {"tools": [client.session]}
        answer = await gemini.aio.models.generate_content(model="fake", contents="?", config=config)
        await gemini.aio.aclose()
    checks.that(answer.text == DONE, f"the conversation ends: {answer.text}")
    if not checks.that(len(model.requests) == len(SCRIPT) + 1, f"each call is answered: {len(model.requests)} requests"):
        return
    for body in model.requests:
        declared = [one["name"] for tool in body["tools"] for one in tool["functionDeclarations"]]
        checks.that(declared == [tool.name for tool in tools], f"all tools are declared: {declared}")
    parts = [part for content in model.requests[-1]["contents"] for part in content["parts"]]
    responses = [part["functionResponse"]["response"] for part in parts if "functionResponse" in part]
    if not checks.that(len(responses) == len(SCRIPT), f"each call has a response: {parts}"):
        return
    guest, volumes, missing = responses
    found = guest.get("result", {}).get("structured_content", {})
    checks.that((found.get("vmid"), found.get("name")) == (101, "web-frontend"), f"the model gets the guest: {guest}")
    texts = [block["text"] for block in guest.get("result", {}).get("content", [])]
    checks.that(texts and "web-frontend" in texts[0], f"the model gets the text: {guest}")
    found = volumes.get("result", {}).get("structured_content", {})
    checks.that(len(found.get("volumes", [])) == 1, f"a limit of 1.0 is 1: {volumes}")
    direct = text_of(await client.call_tool("get_guest", {"vmid": 999999}))
    texts = [block["text"] for block in missing.get("error", {}).get("content", [])]
    checks.that(texts == [direct], f"the model gets the error {direct!r}: {missing}")
