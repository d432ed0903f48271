"""Checks SBOMs against what their publishers say of them: CycloneDX 1.6 against its JSON schema, SPDX 2.3 with the
validator of the SPDX tools. Prints a line for each finding, and ends with 1 if there is one.

usage: check.py FILE.cdx.json... FILE.spdx.json...
"""

import importlib.resources
import json
import sys

from jsonschema import Draft7Validator
from referencing import Registry, Resource
from spdx_tools.spdx.parser.error import SPDXParsingError
from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

BASE = "http://cyclonedx.org/schema/"


def cyclonedx():
    """The validator of CycloneDX 1.6, with the schemas that it refers to."""
    folder = importlib.resources.files("cyclonedx.schema") / "_res"
    read = lambda name: json.loads((folder / name).read_text("utf-8"))
    named = ["bom-1.6", "spdx", "jsf-0.82"]
    schemas = {name: read(f"{name}.SNAPSHOT.schema.json") for name in named}
    resources = []
    for name, schema in schemas.items():
        resources += [(f"{BASE}{name}.{kind}", Resource.from_contents(schema)) for kind in ["schema.json", "SNAPSHOT.schema.json"]]
    return Draft7Validator(schemas["bom-1.6"], registry=Registry().with_resources(resources))


def findings(file, schema):
    with open(file, encoding="utf-8") as opened:
        document = json.load(opened)
    if file.endswith(".cdx.json"):
        return [f"{error.json_path}: {error.message}" for error in schema.iter_errors(document)]
    try:
        parsed = JsonLikeDictParser().parse(document)
    except SPDXParsingError as error:
        return error.get_messages()
    said = validate_full_spdx_document(parsed, "SPDX-2.3")
    return [f"{message.context.spdx_id}: {message.validation_message}" for message in said]


def main():
    schema, found = cyclonedx(), 0
    for file in sys.argv[1:]:
        for finding in findings(file, schema):
            found += 1
            print(f"{file}: {finding}")
    return 1 if found or len(sys.argv) < 2 else 0


sys.exit(main())
