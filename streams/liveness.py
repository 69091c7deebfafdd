"""When a worker counts as alive: its loop turns, and what it committed moves on while there is work. Pure.

Who looks at this is another thread, so that it is answered when the loop is blocked. Restarting helps a worker that is
stuck; it does not help against Kafka or Postgres being away, so nothing is held against a worker while these are.
"""

from collections.abc import Mapping
from dataclasses import dataclass

# Longer than any pause a worker survives (streams.failstop), so that the loop is truly blocked.
LOOP_LIMIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker stands in one partition.

    Attributes:
        committed: next offset by its last commit; -1 before the first.
        end: end of the partition.
        waiting: records it has not committed, whether taken or not. Not always `end - committed`, since the markers of
            transactions are committed by nobody.
        patience: how many times the usual limit it may stand still: 0 for ever, for what waits rightly.
    """

    committed: int
    end: int
    waiting: int
    patience: float = 1.0


class Liveness:
    """What is known of one worker's progress.

    Args:
        limit_s: how long committed offsets may stand still while records wait.
        now_s: monotonic seconds.
    """

    def __init__(self, limit_s: float, now_s: float) -> None:
        self._limit_s = limit_s
        self._beat_s = now_s
        self._moved_s: dict[tuple[str, int], float] = {}
        self.places: Mapping[tuple[str, int], Place] = {}

    def beat(self, now_s: float) -> None:
        """Note that the loop turns."""
        self._beat_s = now_s

    def observe(self, places: Mapping[tuple[str, int], Place], now_s: float) -> None:
        """Note where the worker stands in its partitions of today."""
        before, self.places = self.places, dict(places)
        moved: dict[tuple[str, int], float] = {}
        for tp, place in places.items():
            old = before.get(tp)
            still = old is not None and old.committed == place.committed and old.waiting > 0
            moved[tp] = self._moved_s[tp] if still and place.waiting > 0 and place.patience > 0 else now_s
        self._moved_s = moved

    def unknown(self, now_s: float) -> None:
        """Note that where the partitions end cannot be known now."""
        self._moved_s = dict.fromkeys(self._moved_s, now_s)

    def still_s(self, tp: tuple[str, int], now_s: float) -> float:
        """Return for how long records wait in a partition without a commit; 0 when none waits."""
        place, moved_s = self.places.get(tp), self._moved_s.get(tp)
        return 0.0 if place is None or moved_s is None or place.waiting == 0 else max(0.0, now_s - moved_s)

    def troubles(self, now_s: float) -> list[str]:
        """Return why the worker is not alive; empty when it is."""
        pause_s = now_s - self._beat_s
        if pause_s > LOOP_LIMIT_S:
            return [f"the event loop has been blocked for {pause_s:.0f} s"]
        found: list[str] = []
        for (topic, partition), place in dict(self.places).items():
            still_s = self.still_s((topic, partition), now_s)
            if place.patience > 0 and still_s > self._limit_s * place.patience:
                found.append(
                    f"{topic}/{partition}: {place.waiting} records wait, "
                    f"committed offset {place.committed} has not moved for {still_s:.0f} s"
                )
        return found
