"""What the submitter got confirmed, in a file that survives it: one JSON object per line, appended as it happens."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, TextIO

import orjson


@dataclass(frozen=True, slots=True)
class Submission:
    """A request that Kafka confirmed.

    Attributes:
        asof: day asked for, ISO; None when it asks for none.
        cancelled: a cancel was sent for it.
        tries: how often it was sent until it was confirmed; the same request each time.
        confirmed_at_ms: the broker's append time.
        deadline_s: after which it must have ended; undoing may take longer, see `mix.UNDO_S`.
        parks: it may wait for its pack, so its waiting is no pause of the engine.
    """

    number: int
    execution_id: str
    tenant: str
    request_id: str
    pattern_id: str
    inputs: dict[str, Any]
    asof: str | None
    cancelled: bool
    tries: int
    confirmed_at_ms: int
    partition: int
    deadline_s: float
    parks: bool

    @property
    def day(self) -> date | None:
        """The day asked for."""
        return None if self.asof is None else date.fromisoformat(self.asof)


def append(file: TextIO, submission: Submission) -> None:
    """Write one line and flush it to the operating system, which outlives this process."""
    file.write(orjson.dumps(asdict(submission)).decode() + "\n")
    file.flush()


def read(path: Path) -> list[Submission]:
    """Return all submissions of a file; a last line that was cut off does not count."""
    return list(_whole_lines(path.read_bytes().splitlines(keepends=True)))


def _whole_lines(lines: Iterable[bytes]) -> Iterator[Submission]:
    for line in lines:
        if line.endswith(b"\n"):
            yield Submission(**orjson.loads(line))
