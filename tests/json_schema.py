"""The part of JSON Schema (2020-12) that docs/*.schema.json use, with nothing
but the standard library.

    json_schema.py SCHEMA.json FILE.json...
"""
import json
import math
import re
import sys

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool,
         "null": type(None)}
KNOWN = {"$schema", "$defs", "$ref", "title", "description", "type", "enum",
         "const", "properties", "required", "additionalProperties", "items",
         "minItems", "minimum", "maximum", "exclusiveMinimum", "pattern",
         "oneOf"}


def is_type(value, name):
    if name in ("integer", "number"):
        return (isinstance(value, (int, float)) and not isinstance(value, bool)
                and (name == "number" or value == math.floor(value)))
    return isinstance(value, TYPES[name])


def errors(value, schema, root, path="$"):
    """Yields what is wrong, with its place."""
    unknown = set(schema) - KNOWN
    assert not unknown, f"{path}: this checker does not know {unknown}"
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        yield from errors(value, root["$defs"][name], root, path)
    if "const" in schema and value != schema["const"]:
        yield f"{path} is {value!r}, not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path} is {value!r}, none of {schema['enum']}"
    if "oneOf" in schema:
        found = [list(errors(value, one, root, path)) for one in schema["oneOf"]]
        if sum(not wrong for wrong in found) != 1:
            yield from min(found, key=len) or [f"{path} fits more than one"]
    if "type" in schema:
        names = schema["type"]
        names = [names] if isinstance(names, str) else names
        if not any(is_type(value, name) for name in names):
            yield f"{path} is {value!r}: must be of {names}"
            return
    if isinstance(value, dict):
        yield from object_errors(value, schema, root, path)
    elif isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            yield f"{path} has {len(value)} items"
        for i, item in enumerate(value):
            yield from errors(item, schema.get("items", {}), root,
                              f"{path}[{i}]")
    elif isinstance(value, str):
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield f"{path} is {value!r}: must match {schema['pattern']}"
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        if value < schema.get("minimum", -math.inf):
            yield f"{path} is {value}: below {schema['minimum']}"
        if value > schema.get("maximum", math.inf):
            yield f"{path} is {value}: above {schema['maximum']}"
        if value <= schema.get("exclusiveMinimum", -math.inf):
            yield f"{path} is {value}: must be above"


def object_errors(value, schema, root, path):
    properties = schema.get("properties", {})
    for name in schema.get("required", []):
        if name not in value:
            yield f"{path}.{name} is missing"
    for name, member in value.items():
        if name in properties:
            yield from errors(member, properties[name], root,
                              f"{path}.{name}")
        elif schema.get("additionalProperties", True) is False:
            yield f"{path}.{name} is not in the schema"


def check(value, schema):
    """A list of what is wrong."""
    return list(errors(value, schema, schema))


def main():
    schema = json.load(open(sys.argv[1]))
    failed = False
    for name in sys.argv[2:]:
        for wrong in check(json.load(open(name)), schema)[:20]:
            print(f"{name}: {wrong}")
            failed = True
    return failed


if __name__ == "__main__":
    sys.exit(main())
