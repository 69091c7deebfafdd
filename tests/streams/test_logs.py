import json
import logging
import sys

from streams.logs import JsonFormatter, TextFormatter


def record(**extra: object) -> logging.LogRecord:
    made = logging.LogRecord("streams.x", logging.WARNING, "x.py", 1, "refused %s", ("it",), None)
    made.__dict__.update(extra)
    return made


def test_a_json_line_has_the_message_and_the_fields() -> None:
    line = json.loads(JsonFormatter().format(record(position="t/1/2", execution_id="e", lag={"t": 3})))
    assert line["message"] == "refused it"
    assert (line["level"], line["logger"]) == ("WARNING", "streams.x")
    assert (line["execution_id"], line["position"], line["lag"]) == ("e", "t/1/2", {"t": 3})


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
