"""Frames of clients: what is understood, and in which words the rest is refused."""

import json
from typing import Any
from uuid import UUID

import pytest

from gateway.bridge.frames import FrameInvalid, read_frame
from topics.socket import Subscribe

ID = "123E4567-E89B-12D3-A456-426614174000"


def frame(kind: str = "Subscribe", **fields: Any) -> str:
    return json.dumps({"type": kind, "v": 1, **fields})


def test_ids_may_be_in_upper_case() -> None:
    message = read_frame(frame(executions=[ID, str(UUID(int=1))]))
    assert isinstance(message, Subscribe)
    assert message.executions == (ID.lower(), str(UUID(int=1)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (frame(all=True, cursr="x"), "/cursr: there is no such field; did you mean 'cursor'?"),
        (frame(all=True, result=True), "/result: there is no such field; did you mean 'results'?"),
        (frame("Ping", x=1), "/x: there is no such field; accepted: type, v"),
        (
            frame(executions=["abc"], all="yes"),
            "/all: expected true or false, got 'yes'; "
            "/executions/0: expected an id of 36 characters, like 123e4567-e89b-12d3-a456-426614174000, got 'abc'",
        ),
        (frame(executions=[ID] * 101), "/executions: expected at most 100 of them, got 101"),
        (frame(patterns="p"), "/patterns: expected a list, got 'p'"),
        (frame(patterns=[""]), "/patterns/0: expected text, got none"),
        (frame(cursor=1), "/cursor: expected text, got 1"),
        (frame("Authenticate"), "/ticket: expected this field"),
        (frame("Authenticate", ticket="x" * 300), "/ticket: expected at most 256 characters, got 300"),
        (frame("Nothing"), "/type: expected one of Subscribe, Unsubscribe, Authenticate, Ping, got 'Nothing'"),
        ("{}", "/type: expected one of Subscribe, Unsubscribe, Authenticate, Ping"),
        ('{"type":"Ping","v":2}', "/v: expected 1, got 2"),
        ("[]", "expected an object, got []"),
        ("{", "expected a message of dawsos.v1 as JSON"),
        ("x" * 70_000, "expected at most 65536 bytes"),
    ],
)
def test_what_is_refused_and_how(text: str, said: str) -> None:
    with pytest.raises(FrameInvalid) as refused:
        read_frame(text)
    assert str(refused.value) == said
