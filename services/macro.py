"""Recorded macro series, scenarios and recession dates, from the bundled data files."""

import csv
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from agents.ports import MacroSeries, ScenarioBook
from analytics.macro import Observation, known_on
from analytics.scenario import load_scenarios

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

    async def series(self, series_ids: Sequence[str], asof: date) -> Mapping[str, MacroSeries]:
        """See `agents.ports.MacroPort`."""
        every = self._series if self._series is not None else self._read()
        wanted = series_ids or tuple(every)
        return {name: every[name].known(known_on(every[name].observations, asof)) for name in wanted if name in every}

    async def scenarios(self) -> ScenarioBook:
        """See `agents.ports.MacroPort`."""
        if self._book is None:
            data = self._scenario_file.read_bytes()
            self._book = ScenarioBook(
                load_scenarios(yaml.safe_load(data)), f"scenarios:{sha256(data).hexdigest()[:12]}"
            )
        return self._book

    def _read(self) -> dict[str, MacroSeries]:
        about = self._file.read_bytes()
        self._series = {each["id"]: self._one(each, about) for each in yaml.safe_load(about)["series"]}
        return self._series

    def _one(self, each: Mapping[str, Any], about: bytes) -> MacroSeries:
        data = (self._file.parent / each["file"]).read_bytes()
        lag = timedelta(days=each["release_lag_days"])
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
            source=f"macro:{each['file'].partition('.')[0]}:{sha256(about + data).hexdigest()[:12]}",
        )


def _month_end(start: date) -> date:
    return (start + timedelta(days=32)).replace(day=1) - timedelta(days=1)
