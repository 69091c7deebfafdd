"""Macro series, scenarios and recession dates: from the bundled files, or loaded by vintage into a database."""

import csv
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

import yaml

from agents.ports import MacroSeries, ScenarioBook
from analytics.macro import Observation, known_on
from analytics.scenario import load_scenarios

if TYPE_CHECKING:
    from db.macro import SeenRow

_DATA = Path(__file__).resolve().parent.parent / "data"
SERIES = _DATA / "macro_series.yaml"
SCENARIOS = _DATA / "scenarios.yaml"
RECESSIONS = _DATA / "nber_recessions.yaml"


def quarter_start(text: str) -> date:
    """Return the first day of a quarter such as `2009Q3`."""
    return date(int(text[:4]), 3 * int(text[5:]) - 2, 1)


def quarter_end(start: date) -> date:
    """Return the last day of the quarter that begins on `start`."""
    after = date(start.year + 1, 1, 1) if start.month == 10 else start.replace(month=start.month + 3)
    return after - timedelta(days=1)


def nber_recessions(file: Path = RECESSIONS) -> list[tuple[date, date]]:
    """Return first and last quarter of each recession, by first day."""
    found: list[tuple[date, date]] = []
    for row in yaml.safe_load(file.read_text(encoding="utf-8"))["recessions"]:
        first = quarter_end(quarter_start(row["peak"])) + timedelta(days=1)
        found.append((first, quarter_start(row["trough"])))
    return found


class RecordedMacro:
    """Series from files, read at the first question.

    Args:
        series: YAML that says which columns of which file are which series.
        scenarios: YAML of named shocks.
    """

    def __init__(self, series: Path = SERIES, scenarios: Path = SCENARIOS) -> None:
        self._file = series
        self._scenario_file = scenarios
        self._series: dict[str, MacroSeries] | None = None
        self._book: ScenarioBook | None = None

    async def series(self, series_ids: Sequence[str], asof: date, pack_id: UUID) -> Mapping[str, MacroSeries]:
        """See `agents.ports.MacroPort`; the files are the same for every pack."""
        every = self._series if self._series is not None else self._read()
        wanted = series_ids or tuple(every)
        return {
            name: every[name].known(known_on(every[name].observations, asof))
            for name in wanted
            if name in every and every[name].source
        }

    async def scenarios(self) -> ScenarioBook:
        """See `agents.ports.MacroPort`."""
        if self._book is None:
            data = self._scenario_file.read_bytes()
            self._book = ScenarioBook(
                load_scenarios(yaml.safe_load(data)), f"scenarios:{sha256(data).hexdigest()[:12]}"
            )
        return self._book

    def about(self, series_id: str) -> MacroSeries | None:
        """Return a series by its id, to know its title, unit and transform; None for one nobody described."""
        return (self._series if self._series is not None else self._read()).get(series_id)

    def _read(self) -> dict[str, MacroSeries]:
        about = self._file.read_bytes()
        self._series = {each["id"]: self._one(each, about) for each in yaml.safe_load(about)["series"]}
        return self._series

    def _one(self, each: Mapping[str, Any], about: bytes) -> MacroSeries:
        data = (self._file.parent / each["file"]).read_bytes() if "file" in each else b""
        lag = timedelta(days=each.get("release_lag_days", 0))
        observations: list[Observation] = []
        monthly = False
        for row in csv.DictReader(data.decode().splitlines()):
            monthly = "month" in row
            start = date.fromisoformat(f"{row['month']}-01") if monthly else quarter_start(row["quarter"])
            end = _month_end(start) if monthly else quarter_end(start)
            value = float(row[each["column"]])
            if "minus" in each:
                value = round(value - float(row[each["minus"]]), 10)
            observations.append(Observation(start, end, value, end + lag, each["vintage"]))
        return MacroSeries(
            id=each["id"],
            title=each["title"],
            unit=str(each["unit"]),
            per_year=12 if monthly else 4,
            transform=each["transform"],
            observations=tuple(observations),
            release_assumed=True,
            source=f"macro:{each['file'].partition('.')[0]}:{sha256(about + data).hexdigest()[:12]}" if data else "",
        )


class SeenRows(Protocol):
    """Where loaded series are: `db.macro.MacroRepository`."""

    async def seen(self, series: Sequence[str], pack_id: UUID) -> Sequence["SeenRow"]: ...  # noqa: D102


class StoredMacro:
    """Series that a pipeline loaded; the recorded ones where it loaded none.

    A loaded series replaces a recorded one altogether: of two editions of an index the newer is often on another base.

    Args:
        rows: of the database.
        recorded: what is known of series, and scenarios.
    """

    def __init__(self, rows: SeenRows, recorded: RecordedMacro) -> None:
        self._rows = rows
        self._recorded = recorded

    async def series(self, series_ids: Sequence[str], asof: date, pack_id: UUID) -> Mapping[str, MacroSeries]:
        """See `agents.ports.MacroPort`."""
        found = dict(await self._recorded.series(series_ids, asof, pack_id))
        loaded: dict[str, list[SeenRow]] = {}
        for row in await self._rows.seen(series_ids, pack_id):
            loaded.setdefault(row.series_id, []).append(row)
        found.update({series_id: self._one(series_id, rows) for series_id, rows in loaded.items()})
        return {name: found[name] for name in series_ids or found if name in found}

    async def scenarios(self) -> ScenarioBook:
        """See `agents.ports.MacroPort`."""
        return await self._recorded.scenarios()

    def _one(self, series_id: str, rows: Sequence["SeenRow"]) -> MacroSeries:
        per_year = _per_year([row.obs_date for row in rows])
        about = self._recorded.about(series_id)
        seal = sha256()
        for row in rows:
            seal.update(f"{row.obs_date} {row.vintage} {row.value!r}\n".encode())
        return MacroSeries(
            id=series_id,
            title=about.title if about else series_id,
            unit=about.unit if about else "",
            per_year=per_year,
            transform=about.transform if about else "level",
            observations=tuple(
                Observation(row.obs_date, _period_end(row.obs_date, per_year), row.value, row.released, row.vintage)
                for row in rows
                if row.value is not None
            ),
            release_assumed=False,
            source=f"macro:{rows[-1].source}:{series_id}:{seal.hexdigest()[:12]}",
        )


def _per_year(days: Sequence[date]) -> int:
    """Return how many periods a year has, from the middle distance between their first days."""
    gap = median((after - before).days for before, after in pairwise(days)) if len(days) > 1 else 365
    return next((per_year for most, per_year in ((4, 252), (10, 52), (45, 12), (135, 4)) if gap <= most), 1)


def _period_end(start: date, per_year: int) -> date:
    if per_year > 52:
        return start
    if per_year == 52:
        return start + timedelta(days=6)
    if per_year == 12:
        return _month_end(start)
    return quarter_end(start) if per_year == 4 else start.replace(year=start.year + 1) - timedelta(days=1)


def _month_end(start: date) -> date:
    return (start + timedelta(days=32)).replace(day=1) - timedelta(days=1)
