"""The contract as files for other languages: JSON Schema 2020-12 per message and one AsyncAPI 3.0 document.

The document covers the topics and the websocket of the gateway.

Generated from the types and the topic table; `python -m topics.export` writes them, and a test fails when they are out
of date.
"""

import json
from pathlib import Path
from typing import Any

from topics.codec import TYPES, encode
from topics.examples import examples, socket_examples
from topics.messages import Wire
from topics.socket import CLIENT_TYPES, SERVER_TYPES, SUBPROTOCOL, TICKET_PREFIX
from topics.table import CAPABILITY_REQUESTS, TopicSpec, topic_table

FOLDER = Path(__file__).parent
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_AGENT = "{agent}"
_SOCKET = "socket"
_SOCKET_TYPES: dict[str, type[Wire]] = {model.__name__: model for model in (*CLIENT_TYPES, *SERVER_TYPES)}


def json_schemas() -> dict[str, dict[str, Any]]:
    """Return the schema of every message by type name, each with an example."""
    found = {}
    for name, model in {**TYPES, **_SOCKET_TYPES}.items():
        schema = model.model_json_schema(by_alias=True, mode="validation")
        properties = schema["properties"]
        # Type and version are always written and always expected, although the classes have defaults for them.
        needed = [key for key in properties if key in ("type", "v", *schema.get("required", ()))]
        found[name] = {
            "$schema": _DIALECT,
            "$id": f"{name}.json",
            **schema,
            "required": needed,
            "examples": [json.loads(encode(_example(name)))],
        }
    return found


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3.0 document: channels, messages and what the engine does with each."""
    topics = topic_table([_AGENT])
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "DawsOS executor",
            "version": "1.0.0",
            "description": (
                "Executions of portfolio-analytics patterns over Kafka. All messages are JSON in UTF-8. Topic names "
                "may carry a configured prefix. Engine topics share one partition count, and an execution lives on "
                "the partition murmur2(execution_id) modulo that count. `message.timestamp.type` is LogAppendTime."
            ),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {_channel_id(topic): _channel(topic) for topic in topics} | {_SOCKET: _socket_channel()},
        "operations": _operations(topics) | _socket_operations(),
        "components": {
            "messages": {name: _message(name) for name in (*TYPES, *_SOCKET_TYPES)},
            "messageTraits": {"traced": {"headers": _HEADERS}},
        },
    }


_HEADERS = {
    "type": "object",
    "properties": {
        "traceparent": {"type": "string", "description": "W3C trace context; travels along and comes back."},
    },
}
# Topics the engine's own parts write; everything else is written by others.
_WRITTEN = {
    "capability-requests",
    "execution-signals",
    "execution-results",
    "pack-events",
    "pattern-versions",
    "dead-letters",
    "orchestrator-executions-changelog",
}


def _channel_id(topic: TopicSpec) -> str:
    words = topic.name.replace(f".{_AGENT}", "").split("-")
    return words[0] + "".join(word.title() for word in words[1:])


def _channel(topic: TopicSpec) -> dict[str, Any]:
    channel: dict[str, Any] = {
        "address": topic.name,
        "description": f"{topic.purpose.replace(_AGENT, 'one agent')} Record key: {topic.key}.",
        "messages": {
            message.__name__: {"$ref": f"#/components/messages/{message.__name__}"} for message in topic.carries
        },
        "bindings": {
            "kafka": {
                "topicConfiguration": {
                    "cleanup.policy": ["compact"] if topic.compacted else ["delete"],
                    "retention.ms": topic.retention_ms,
                    "max.message.bytes": topic.message_bytes_max,
                },
                "bindingVersion": "0.5.0",
            }
        },
    }
    if topic.name.startswith(CAPABILITY_REQUESTS):
        channel["parameters"] = {"agent": {"description": "Name of the agent in the capability catalogue."}}
    if not topic.carries:
        channel["messages"] = {"bytes": {"name": "bytes", "contentType": "application/octet-stream", "payload": {}}}
    return channel


def _operations(topics: tuple[TopicSpec, ...]) -> dict[str, Any]:
    operations: dict[str, Any] = {}
    for topic in topics:
        channel = _channel_id(topic)
        writes = topic.name.replace(f".{_AGENT}", "") in _WRITTEN
        action = "send" if writes else "receive"
        operations[f"{action}{channel[0].upper()}{channel[1:]}"] = {
            "action": action,
            "channel": {"$ref": f"#/channels/{channel}"},
            "summary": topic.purpose.replace(_AGENT, "one agent"),
            "messages": [
                {"$ref": f"#/channels/{channel}/messages/{name}"}
                for name in ([message.__name__ for message in topic.carries] or ["bytes"])
            ],
        }
    return operations


def _socket_channel() -> dict[str, Any]:
    return {
        "address": "/ws",
        "title": "Websocket of the gateway",
        "description": (
            f"Sub-protocol {SUBPROTOCOL}: JSON in text frames. Programs send the header Authorization: Bearer …; "
            f"browsers get a ticket with POST /ws-tickets and offer {TICKET_PREFIX}‹ticket› as a second sub-protocol. "
            "Close codes: 1003 not text, 1008 misuse, 1009 too long, 1012 the gateway stops, 1013 the client is slow "
            "(the reason is its cursor), 4401 the session has expired."
        ),
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _SOCKET_TYPES},
        "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
    }


def _socket_operations() -> dict[str, Any]:
    return {
        f"{action}Socket": {
            "action": action,
            "channel": {"$ref": f"#/channels/{_SOCKET}"},
            "summary": summary,
            "messages": [{"$ref": f"#/channels/{_SOCKET}/messages/{model.__name__}"} for model in models],
        }
        for action, summary, models in (
            ("receive", "What a client says.", CLIENT_TYPES),
            ("send", "What the gateway says.", SERVER_TYPES),
        )
    }


def _example(name: str) -> Wire:
    return socket_examples()[name] if name in _SOCKET_TYPES else examples()[name]


def _message(name: str) -> dict[str, Any]:
    traced = name not in _SOCKET_TYPES
    summary = ((TYPES if traced else _SOCKET_TYPES)[name].__doc__ or "").strip().splitlines()[0]
    return {
        "name": name,
        "title": name,
        "summary": summary,
        "contentType": "application/json",
        **({"traits": [{"$ref": "#/components/messageTraits/traced"}]} if traced else {}),
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": f"./schemas/{name}.json"},
        },
        "examples": [{"name": "one", "payload": json.loads(encode(_example(name)))}],
    }


def files() -> dict[str, str]:
    """Return every generated file: path below this folder → text."""
    found = {f"schemas/{name}.json": _text(schema) for name, schema in json_schemas().items()}
    return {**found, "asyncapi.json": _text(asyncapi())}


def _text(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def write() -> None:
    """Write every generated file."""
    for path, text in files().items():
        target = FOLDER / path
        target.parent.mkdir(exist_ok=True)
        target.write_text(text)


if __name__ == "__main__":
    write()
