"""Resources, completion, prompts and notices of changes."""

import asyncio
import json
import warnings

from mcp import MCPDeprecationWarning
from mcp.types import PromptReference, ResourceTemplateReference, ResourceUpdatedNotification

from .checks import text_of
from .connect import MODERN

WATCHED = "pve://guests/210"
GUEST_TEMPLATE = "pve://guests/{vmid}"
# -32002 was the code for an unknown resource until 2025-11-25.
NOT_FOUND = {"auto": (-32602,), "legacy": (-32002,)}

# Older revisions have no other way.
warnings.filterwarnings("ignore", "resources/", MCPDeprecationWarning)


async def check_resources(client, checks, era):
    resources = {str(one.uri): one for one in (await client.list_resources()).resources}
    for uri in ("pve://cluster", "pve://nodes/pve1", "pve://guests/101"):
        checks.that(uri in resources, f"{uri} is listed: {list(resources)}")
    listed = {one.uri_template for one in (await client.list_resource_templates()).resource_templates}
    wanted = {
        "pve://nodes/{node}",
        GUEST_TEMPLATE,
        "pve://guests/{vmid}/config",
        "pve://tasks/{upid}/log",
    }
    checks.that(listed == wanted, f"the templates are {wanted}: {listed}")

    async def read(uri):
        contents = (await client.read_resource(uri)).contents
        checks.that([one.mime_type for one in contents] == ["application/json"], f"{uri} is one JSON text")
        return json.loads(contents[0].text)

    checks.that((await read("pve://guests/101"))["vmid"] == 101, "the resource is that guest")
    checks.that((await read("pve://guests/101/config"))["name"] == "web-frontend", "the configuration is of that guest")
    node = await client.call_tool("get_node", {"node": "pve1"})
    of_tool = node.structured_content["proxmox_version"]
    checks.that((await read("pve://nodes/pve1"))["proxmox_version"] == of_tool, "a resource says what its tool says")
    tasks = await client.call_tool("list_tasks", {"limit": 1})
    upid = tasks.structured_content["tasks"][0]["upid"]
    checks.that((await read(f"pve://tasks/{upid}/log"))["upid"] == upid, "the log is of that task")
    for uri in ("pve://nothing", "pve://guests/999999", "file:///etc/passwd"):
        await checks.refused(client.read_resource(uri), NOT_FOUND[era], uri)


async def check_completion(client, checks):
    async def values(reference, name, value):
        return (await client.complete(reference, {"name": name, "value": value})).completion.values

    guest = ResourceTemplateReference(uri=GUEST_TEMPLATE)
    found = await values(guest, "vmid", "20")
    checks.that(found == ["201", "202", "203"], f"vmids are completed by how they begin: {found}")
    found = await values(guest, "vmid", "grafana")
    checks.that(found == ["203"], f"a vmid is completed by the guest's name: {found}")
    found = await values(PromptReference(name="plan_node_maintenance"), "node", "")
    checks.that(found == ["pve1", "pve2", "pve3"], f"nodes are completed: {found}")


async def check_prompts(client, checks):
    prompts = {prompt.name: prompt for prompt in (await client.list_prompts()).prompts}
    checks.that("diagnose_a_guest" in prompts, f"there are prompts: {list(prompts)}")
    for name, prompt in prompts.items():
        checks.that(prompt.title and prompt.description, f"{name} has a title and a description")
        required = [argument.name for argument in prompt.arguments or [] if argument.required]
        if required:
            await checks.refused(client.get_prompt(name, {}), (-32602,), f"{name} without {required}")
    prompt = await client.get_prompt("diagnose_a_guest", {"vmid": "101", "problem": "it is slow"})
    text = prompt.messages[0].content.text
    checks.that("guest 101" in text and "it is slow" in text, f"the prompt has its arguments: {text}")
    await checks.refused(client.get_prompt("nothing", {}), (-32602,), "an unknown prompt")


async def check_updates(open_session, checks, era):
    """Checks that a client that watches a guest is told of its change and of no other guest's.

    `open_session` opens a session whose server reads watched resources once a second.
    """
    heard = asyncio.Queue()

    async def listen(message):
        if isinstance(message, ResourceUpdatedNotification):
            heard.put_nowait(str(message.params.uri))

    async def change(client):
        for vmid in (101, 210):
            arguments = {"vmid": vmid, "description": "changed"}
            result = await client.call_tool("set_guest_options", arguments)
            checks.that(not result.is_error, f"set_guest_options succeeds: {text_of(result)}")

    async with open_session(message_handler=listen) as client:
        if era == MODERN:
            async with client.listen(resource_subscriptions=[WATCHED]) as updates:
                checks.that(updates.honored.resource_subscriptions == [WATCHED], f"{updates.honored} is watched")
                await change(client)
                found = (await asyncio.wait_for(anext(updates), 15)).uri
        else:
            await client.subscribe_resource(WATCHED)
            await change(client)
            found = await asyncio.wait_for(heard.get(), 15)
            await client.unsubscribe_resource(WATCHED)
        checks.that(str(found) == WATCHED, f"a change of {WATCHED} is announced: {found}")
        others = [uri for uri in iter_now(heard) if uri != WATCHED]
        checks.that(not others, f"changes of no other resource are announced: {others}")


def iter_now(queue):
    while not queue.empty():
        yield queue.get_nowait()
