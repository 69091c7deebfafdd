"""What stands in a pricing pack, and the one digest over it.

A pack's content is its price and rate rows. Each row is one line of text, its fields separated by U+001F, decimals
plain and without trailing zeros, ended by a line feed; the lines are sorted by their UTF-8 bytes; the digest is
SHA-256 over all of them:

    price␟SYMBOL␟CLOSE␟CCY␟BASIS␟SOURCE␟YYYY-MM-DD
    fx␟BASE␟QUOTE␟RATE␟SOURCE␟YYYY-MM-DD

The database computes the same (`pack_content_sha256`), and an external pipeline can.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from hashlib import sha256
from typing import Literal
from uuid import NAMESPACE_URL, UUID, uuid5

from topics.canonical import canonical_bytes

Basis = Literal["raw", "split", "total"]
BASES: tuple[Basis, ...] = ("raw", "split", "total")
CARRY_DAYS_MAX = 5
_NAMESPACE = uuid5(NAMESPACE_URL, "dawsos-executor:pricing-pack")
_CURRENCY = re.compile(r"[A-Z]{3}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CLOSE_MAX = Decimal(10) ** 12
_CLOSE_DECIMALS = 8
_RATE_MAX = Decimal(10) ** 10
_RATE_DECIMALS = 10


class PackRejected(ValueError):
    """Rows that no pack can hold. `faults` names every one of them, what was expected and what arrived."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults[:5]) + (f"; and {len(faults) - 5} more" if len(faults) > 5 else ""))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One security's price.

    Attributes:
        close: as quoted, in price units of the security; 0 to 10**12 with at most 8 decimals.
        currency: the security's trading currency.
        basis: `raw` as traded, `split` adjusted for splits, `total` also for dividends.
        source: where it comes from, for people and for the trace.
        observed_on: day of the close.
    """

    symbol: str
    close: Decimal
    currency: str
    observed_on: date
    source: str
    basis: Basis = "raw"


@dataclass(frozen=True, slots=True)
class RateRow:
    """One exchange rate.

    Attributes:
        rate: units of `quote` for 1 unit of `base`; above 0, below 10**10, at most 10 decimals.
        observed_on: day the rate was fixed; earlier than the pack's day when it was carried forward.
    """

    base: str
    quote: str
    rate: Decimal
    observed_on: date
    source: str


@dataclass(frozen=True, slots=True)
class Origin:
    """Where rows of a pack were read; not part of its digest, as the same rows may come from two places.

    Attributes:
        kind: `prices`, `rates` or `macro`.
        source: the provider, as the rows say.
        name: file or address.
        sha256: of the bytes read; None where there were none.
    """

    kind: str
    source: str
    name: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class PackContent:
    """All rows of one pack, in no particular order."""

    prices: tuple[PriceRow, ...]
    rates: tuple[RateRow, ...]

    def sha256(self) -> str:
        """Return the content digest, 64 hex digits."""
        lines = sorted([*map(_price_line, self.prices), *map(_rate_line, self.rates)])
        return sha256("".join(lines).encode()).hexdigest()


def pack_id_of(policy: str, asof: date, revision: int) -> UUID:
    """Return the id of a pack: the same everywhere for the same policy, day and revision."""
    return uuid5(_NAMESPACE, canonical_bytes([policy, asof.isoformat(), revision]).decode())


def security_id_of(symbol: str) -> UUID:
    """Return the id a symbol's security gets when it is first seen."""
    return uuid5(_NAMESPACE, canonical_bytes(["security", symbol]).decode())


def require_valid(content: PackContent) -> None:
    """Check each row by itself and that none is there twice.

    Raises:
        PackRejected: with every fault.
    """
    faults: list[str] = []
    seen: set[tuple[str, ...]] = set()
    for row in content.prices:
        where = f"price of {row.symbol!r}"
        faults.extend(_text_faults(where, symbol=row.symbol, source=row.source))
        faults.extend(_currency_faults(where, row.currency))
        if row.basis not in BASES:
            faults.append(f"{where}: expected a basis of {', '.join(BASES)}, got {row.basis!r}")
        faults.extend(_number_faults(where, row.close, _CLOSE_MAX, _CLOSE_DECIMALS, zero=True))
        if ("price", row.symbol) in seen:
            faults.append(f"{where}: stands there twice")
        seen.add(("price", row.symbol))
    for row in content.rates:
        where = f"rate {row.base}/{row.quote}"
        faults.extend(_text_faults(where, source=row.source))
        faults.extend(_currency_faults(where, row.base, row.quote))
        if row.base == row.quote:
            faults.append(f"{where}: expected two currencies")
        faults.extend(_number_faults(where, row.rate, _RATE_MAX, _RATE_DECIMALS, zero=False))
        if (row.base, row.quote) in seen:
            faults.append(f"{where}: stands there twice")
        seen.add((row.base, row.quote))
    if faults:
        raise PackRejected(faults)


def assemble(
    sessions: Sequence[date],
    closes: Iterable[PriceRow],
    rates: Iterable[RateRow],
    carry_days_max: int = CARRY_DAYS_MAX,
) -> Iterator[tuple[date, PackContent]]:
    """Cut dated rows into the content of one pack per session.

    A pack holds the closes of its own day. Rates of a day without a fixing are carried forward for at most
    `carry_days_max` calendar days and keep the day they were observed on.

    Args:
        sessions: ascending.
        closes: one per symbol and day at most.
        rates: one per pair and day at most.
        carry_days_max: how old a carried rate may be.

    Returns:
        (session, content) in order, also for sessions without any row.
    """
    closes_on: dict[date, list[PriceRow]] = defaultdict(list)
    for close in closes:
        closes_on[close.observed_on].append(close)
    fixings: dict[tuple[str, str], list[RateRow]] = defaultdict(list)
    for rate in rates:
        fixings[rate.base, rate.quote].append(rate)
    ordered = [sorted(rows, key=lambda row: row.observed_on) for _, rows in sorted(fixings.items())]
    places = [-1] * len(ordered)
    for session in sessions:
        current: list[RateRow] = []
        for index, rows in enumerate(ordered):
            place = places[index]
            while place + 1 < len(rows) and rows[place + 1].observed_on <= session:
                place += 1
            places[index] = place
            if place >= 0 and (session - rows[place].observed_on).days <= carry_days_max:
                current.append(rows[place])
        prices = sorted(closes_on.get(session, ()), key=lambda row: row.symbol)
        yield session, PackContent(tuple(prices), tuple(current))


def plain(number: Decimal) -> str:
    """Return a decimal without exponent and without trailing zeros after the point."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _price_line(row: PriceRow) -> str:
    return (
        f"price\x1f{row.symbol}\x1f{plain(row.close)}\x1f{row.currency}\x1f{row.basis}"
        f"\x1f{row.source}\x1f{row.observed_on.isoformat()}\n"
    )


def _rate_line(row: RateRow) -> str:
    return f"fx\x1f{row.base}\x1f{row.quote}\x1f{plain(row.rate)}\x1f{row.source}\x1f{row.observed_on.isoformat()}\n"


def _text_faults(where: str, **texts: str) -> Iterator[str]:
    for name, text in texts.items():
        if not text or _CONTROL.search(text):
            yield f"{where}: expected a {name} without control characters, got {text!r}"


def _currency_faults(where: str, *currencies: str) -> Iterator[str]:
    for currency in currencies:
        if not _CURRENCY.fullmatch(currency):
            yield f"{where}: expected an ISO currency of three capitals, got {currency!r}"


def _number_faults(where: str, number: Decimal, limit: Decimal, decimals: int, *, zero: bool) -> Iterator[str]:
    if not number.is_finite() or number < 0 or (number == 0 and not zero) or number >= limit:
        least = "0 or more" if zero else "more than 0"
        yield f"{where}: expected a number of {least} and below {limit:.0e}, got {number}"
    elif number != number.quantize(Decimal(1).scaleb(-decimals)):
        yield f"{where}: expected at most {decimals} decimals, got {number}"
