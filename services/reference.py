"""Recorded benchmarks, factors and risk-free rates, from the bundled data files."""

import csv
import gzip
from bisect import bisect_right
from datetime import date
from hashlib import sha256
from pathlib import Path

from agents.ports import FactorMonths, IndexSeries

_DATA = Path(__file__).resolve().parent.parent / "data"
SP500 = _DATA / "sp500_price_index_1999_2013.csv.gz"
FACTORS = _DATA / "us_factors_monthly_1999_2013.csv"
SP500_ID = "SP500"
_FACTOR_NAMES = ("Mkt-RF", "SMB", "HML")


class RecordedReference:
    """Figures from files, read at the first question.

    Args:
        sp500: gzipped CSV `date,close`.
        factors: CSV `Date,Mkt-RF,SMB,HML,RF`, dates `YYYYMM`, in percent.
    """

    def __init__(self, sp500: Path = SP500, factors: Path = FACTORS) -> None:
        self._files = (sp500, factors)
        self._levels: list[tuple[date, float]] = []
        self._levels_source = ""
        self._factors: FactorMonths | None = None

    async def index(self, index_id: str, asof: date) -> IndexSeries | None:
        """See `agents.ports.ReferencePort`; there is one index, `SP500`."""
        if index_id != SP500_ID:
            return None
        if not self._levels:
            data = self._files[0].read_bytes()
            rows = csv.DictReader(gzip.decompress(data).decode().splitlines())
            self._levels = sorted((date.fromisoformat(row["date"]), float(row["close"])) for row in rows)
            self._levels_source = f"sp500_price_index:{sha256(data).hexdigest()[:12]}"
        end = bisect_right(self._levels, asof, key=lambda level: level[0])
        return IndexSeries(SP500_ID, "S&P 500 price index", "USD", False, self._levels[:end], self._levels_source)

    async def factors(self, asof: date) -> FactorMonths:
        """See `agents.ports.ReferencePort`: Fama and French's market, size and value factors, in USD."""
        whole = self._factors if self._factors is not None else self._read()
        # The month of `asof` has not ended; a bill's return over a month is known when it begins.
        now = (asof.year, asof.month)
        known = [key for key in whole.months if key < now]
        return FactorMonths(
            whole.names,
            {key: whole.months[key] for key in known},
            {key: rate for key, rate in whole.risk_free.items() if key <= now},
            whole.currency,
            whole.source,
        )

    def _read(self) -> FactorMonths:
        data = self._files[1].read_bytes()
        months: dict[tuple[int, int], tuple[float, ...]] = {}
        risk_free: dict[tuple[int, int], float] = {}
        for row in csv.DictReader(data.decode().splitlines()):
            key = (int(row["Date"][:4]), int(row["Date"][4:]))
            months[key] = tuple(float(row[name]) / 100.0 for name in _FACTOR_NAMES)
            risk_free[key] = float(row["RF"]) / 100.0
        source = f"us_factors:{sha256(data).hexdigest()[:12]}"
        self._factors = FactorMonths(_FACTOR_NAMES, months, risk_free, "USD", source)
        return self._factors
