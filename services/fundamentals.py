"""Recorded company figures: annual reports as filed and cash dividends, from the bundled data files."""

import csv
from collections.abc import Mapping, Sequence
from datetime import date
from hashlib import sha256
from pathlib import Path

import orjson

from agents.ports import CompanyFacts
from analytics.fundamentals import Filing, known_on, load_filings
from analytics.rubric import Rubric, load_rubric

_ROOT = Path(__file__).resolve().parent.parent
FILINGS = _ROOT / "data" / "fundamentals.json"
ACTIONS = _ROOT / "data" / "us_corporate_actions_2000_2013.csv"
RUBRIC = _ROOT / "analytics" / "rubrics" / "equity-quality-1.yaml"


def bundled_rubric() -> Rubric:
    """Return the rubric that ships with this version."""
    return load_rubric(RUBRIC.read_text(encoding="utf-8"))


class RecordedFundamentals:
    """Figures from files, read at the first question.

    Args:
        filings: JSON as `analytics.fundamentals.load_filings` takes it.
        actions: CSV `symbol,ex_date,action,value` with splits and cash dividends.
    """

    def __init__(self, filings: Path = FILINGS, actions: Path = ACTIONS) -> None:
        self._files = (filings, actions)
        self._filings: Mapping[str, Sequence[Filing]] | None = None
        self._dividends: dict[str, list[tuple[date, float]]] = {}
        self._splits: dict[str, list[tuple[date, float]]] = {}
        self._source = ""

    async def companies(self, symbols: Sequence[str], asof: date) -> Mapping[str, CompanyFacts]:
        """See `agents.ports.FundamentalsPort`."""
        filings = self._filings if self._filings is not None else self._read()
        return {
            symbol: CompanyFacts(known_on(filings[symbol], asof), self._paid(symbol, asof), self._source)
            for symbol in symbols
            if symbol in filings
        }

    def _paid(self, symbol: str, asof: date) -> list[tuple[date, float]]:
        """Return dividends up to a day, per share as shares were then: later splits divide earlier dividends."""
        found: list[tuple[date, float]] = []
        for on, amount in self._dividends.get(symbol, ()):
            if on <= asof:
                for split_on, ratio in self._splits.get(symbol, ()):
                    if on < split_on <= asof:
                        amount /= ratio
                found.append((on, amount))
        return found

    def _read(self) -> Mapping[str, Sequence[Filing]]:
        filings, actions = (path.read_bytes() for path in self._files)
        self._source = f"fundamentals:{sha256(filings + actions).hexdigest()[:12]}"
        for row in csv.DictReader(actions.decode().splitlines()):
            kept = self._dividends if row["action"] == "dividend" else self._splits
            kept.setdefault(row["symbol"], []).append((date.fromisoformat(row["ex_date"]), float(row["value"])))
        for rows in (*self._dividends.values(), *self._splits.values()):
            rows.sort()
        self._filings = load_filings(orjson.loads(filings))
        return self._filings
