"""The published contract: up to date, complete, and every example valid."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from topics.codec import TYPES, decode, encode
from topics.examples import examples, socket_examples
from topics.export import FOLDER, asyncapi, files, json_schemas
from topics.socket import CLIENT_MESSAGE, CLIENT_TYPES, SERVER_TYPES
from topics.table import topic_table

SOCKET_TYPES = {model.__name__: model for model in (*CLIENT_TYPES, *SERVER_TYPES)}


def test_files_are_up_to_date() -> None:
    expected = files()
    for path, text in expected.items():
        assert (FOLDER / path).read_text() == text, f"{path} is out of date: run python -m topics.export"
    assert {path.name for path in (FOLDER / "schemas").iterdir()} == {
        Path(path).name for path in expected if "/" in path
    }


@pytest.mark.parametrize("name", TYPES)
def test_schema_is_2020_12_and_its_example_valid(name: str) -> None:
    schema = json_schemas()[name]
    Draft202012Validator.check_schema(schema)
    assert {"type", "v"} <= set(schema["required"])
    (example,) = schema["examples"]
    Draft202012Validator(schema).validate(example)
    assert jsonschema_rs.Draft202012Validator(schema).is_valid(example)
    assert decode(json.dumps(example).encode(), TYPES[name]) == examples()[name]
    for key in schema["required"]:
        assert not jsonschema_rs.Draft202012Validator(schema).is_valid({k: v for k, v in example.items() if k != key})


@pytest.mark.parametrize("name", SOCKET_TYPES)
def test_socket_schema_is_2020_12_and_its_example_valid(name: str) -> None:
    schema = json_schemas()[name]
    Draft202012Validator.check_schema(schema)
    (example,) = schema["examples"]
    assert jsonschema_rs.Draft202012Validator(schema).is_valid(example)
    assert SOCKET_TYPES[name].model_validate_json(json.dumps(example)) == socket_examples()[name]
    if SOCKET_TYPES[name] in CLIENT_TYPES:
        assert CLIENT_MESSAGE.validate_json(json.dumps(example)) == socket_examples()[name]


@pytest.mark.parametrize("name", TYPES)
def test_examples_survive_the_codec(name: str) -> None:
    message = examples()[name]
    assert decode(encode(message)) == message


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [ref for item in value.values() for ref in _references(item)]
    return [ref for item in value for ref in _references(item)] if isinstance(value, list) else []


def test_asyncapi_document() -> None:
    document = asyncapi()
    assert document["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= set(document["info"])
    for reference in _references(document):
        if reference.startswith("./"):
            assert (FOLDER / reference).exists(), reference
            continue
        here: Any = document
        for part in reference.removeprefix("#/").split("/"):
            here = here[part]
    for name, operation in document["operations"].items():
        assert operation["action"] in ("send", "receive"), name
        channel = operation["channel"]["$ref"]
        assert all(message["$ref"].startswith(f"{channel}/messages/") for message in operation["messages"])


def test_asyncapi_fits_the_official_schema() -> None:
    schema = json.loads(Path(__file__).with_name("asyncapi-3.0.0.schema.json").read_text(encoding="utf-8"))
    faults = [(list(fault.absolute_path), fault.message) for fault in Draft7Validator(schema).iter_errors(asyncapi())]
    assert faults == []


def test_asyncapi_has_every_topic_and_message() -> None:
    document = asyncapi()
    assert {channel["address"] for channel in document["channels"].values()} == {
        *(topic.name for topic in topic_table(["{agent}"])),
        "/ws",
    }
    assert set(document["components"]["messages"]) == {*TYPES, *SOCKET_TYPES}
    carried = {name for channel in document["channels"].values() for name in channel["messages"]} - {"bytes"}
    assert carried == {*TYPES, *SOCKET_TYPES}
