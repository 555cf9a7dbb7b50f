"""What the declarations of functions have in common, as far as models and their SDKs document it."""

import re

# Of both APIs: letters, digits, _ and -, at most 64 characters.
NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")
# Gemini: a parameter is named like a variable.
PROPERTY = re.compile(r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")
# OpenAI's limits of a function and of a strict schema.
MOST_DESCRIPTION = 1024
MOST_DEPTH = 5
MOST_TOOLS = 128
TYPES = {"object", "array", "string", "integer", "number", "boolean"}
# What both take in every mode. Others, such as `$ref`, `pattern`, `format` with any value, `const`,
# `default` or a list of types, are refused or dropped by one of them.
KEYWORDS = {
    "type",
    "description",
    "enum",
    "properties",
    "required",
    "items",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
}

# What clients have refused or dropped, each as a property of an otherwise good schema.
BAD = (
    {"type": "string", "writeOnly": True},
    {"type": ["string", "null"]},
    {"anyOf": [{"type": "string"}, {"type": "integer"}]},
    {"$ref": "#/$defs/Name"},
    {"type": "array"},
    {"type": "array", "items": True},
    {"type": "object"},
    {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["b"]},
    {"type": "object", "properties": {"a.b": {"type": "string"}}},
    {"type": "object", "properties": {}, "additionalProperties": {"type": "string"}},
    {"type": "string", "pattern": "^a$"},
    {"type": "string", "enum": ["a", ""]},
    {"type": "integer", "enum": [1, 2]},
    True,
)


def check_bad(checks):
    """Checks that what clients do not take is noticed."""
    for one in BAD:
        schema = {"type": "object", "properties": {"name": one}}
        checks.that(list(problems_of(schema, "bad")), f"{one} is not portable")


def check(tools, checks):
    """Checks names, descriptions and input schemas."""
    checks.that(0 < len(tools) <= MOST_TOOLS, f"there are at most {MOST_TOOLS} tools: {len(tools)}")
    for tool in tools:
        checks.that(NAME.match(tool.name), f"{tool.name} is a name for a function")
        length = len(tool.description)
        checks.that(length <= MOST_DESCRIPTION, f"{tool.name}: a description of at most {MOST_DESCRIPTION}: {length}")
        problems = list(problems_of(tool.input_schema, tool.name))
        checks.that(not problems, f"{tool.name} has a portable input schema: {problems}")


def problems_of(schema, where, depth=1):
    """Yields what one of the APIs would refuse or ignore in a schema."""
    if not isinstance(schema, dict):
        yield f"{where}: {schema!r} is no object"
        return
    unknown = set(schema) - KEYWORDS
    if unknown:
        yield f"{where}: keywords {sorted(unknown)}"
    kind = schema.get("type")
    if not isinstance(kind, str) or kind not in TYPES:
        yield f"{where}: type {kind!r}"
    if depth > MOST_DEPTH:
        yield f"{where}: nested more than {MOST_DEPTH} deep"
    values = schema.get("enum")
    if values is not None and (kind != "string" or not values or not all(isinstance(one, str) and one for one in values)):
        yield f"{where}: enum {values!r} of {kind}"
    properties = schema.get("properties", {})
    if (kind == "object") != ("properties" in schema):
        yield f"{where}: properties of {kind}"
    if not set(schema.get("required", [])) <= set(properties):
        yield f"{where}: requires {schema['required']} of {sorted(properties)}"
    for name, one in properties.items():
        if not PROPERTY.match(name):
            yield f"{where}: a property named {name!r}"
        yield from problems_of(one, f"{where}.{name}", depth + 1)
    if (kind == "array") != ("items" in schema):
        yield f"{where}: items of {kind}"
    if "items" in schema:
        yield from problems_of(schema["items"], f"{where}[]", depth + 1)
