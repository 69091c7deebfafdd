import json
import logging
import sys
from dataclasses import replace

from streams.logs import JsonFormatter, SameOnlyNowAndThen, TextFormatter, about
from streams.results import ResultRecord


def record(**extra: object) -> logging.LogRecord:
    made = logging.LogRecord("streams.x", logging.WARNING, "x.py", 1, "refused %s", ("it",), None)
    made.__dict__.update(extra)
    return made


def test_a_json_line_has_the_message_and_the_fields() -> None:
    line = json.loads(JsonFormatter().format(record(position="t/1/2", execution_id="e", lag={"t": 3})))
    assert line["message"] == "refused it"
    assert (line["level"], line["logger"]) == ("WARNING", "streams.x")
    assert (line["execution_id"], line["position"], line["lag"]) == ("e", "t/1/2", {"t": 3})


def test_a_record_that_cannot_be_read_is_named_with_the_execution_of_its_key() -> None:
    name = "00000000-0000-4000-8000-000000000001"
    read = ResultRecord(name.encode(), b"nonsense", 3, 14, 0)
    assert about(read) == {"execution_id": name, "position": "execution-results/3/14"}
    for key in (b"x", b"\xff", None):
        assert about(replace(read, key=key)) == {"position": "execution-results/3/14"}


def test_a_json_line_stays_one_line_with_a_traceback() -> None:
    made = record()
    try:
        raise ValueError("two\nlines")
    except ValueError:
        made.exc_info = sys.exc_info()
    text = JsonFormatter().format(made)
    assert "\n" not in text
    assert "ValueError: two\nlines" in json.loads(text)["traceback"]


def test_a_text_line_ends_with_the_fields() -> None:
    assert TextFormatter().format(record(position="t/1/2")).endswith("WARNING streams.x: refused it position=t/1/2")


def refused(node: int, name: str = "aiokafka.client") -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "x.py", 1, "Unable connect to node with id %s", (node,), None)


def test_a_library_that_says_the_same_all_the_time_is_heard_now_and_then() -> None:
    now_s = 0.0
    same = SameOnlyNowAndThen(lambda: now_s)
    assert same.filter(refused(1))
    assert not any(same.filter(refused(node)) for node in range(200))
    now_s = 10.0
    told = refused(7)
    assert same.filter(told)
    assert told.getMessage() == "Unable connect to node with id 7 (and 200 times before)"
    now_s = 20.0
    again = refused(7)
    assert same.filter(again)
    assert again.getMessage() == "Unable connect to node with id 7"


def test_our_own_messages_are_all_heard() -> None:
    same = SameOnlyNowAndThen(lambda: 0.0)
    assert all(same.filter(refused(1, "streams.x")) for _ in range(3))
