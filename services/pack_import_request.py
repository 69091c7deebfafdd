"""What an import of market data is asked for: rows as they are given, and what to make of them."""

from datetime import date, time
from decimal import Decimal
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.security_codes import code_fault

ROWS_MAX = 2_000_000
_Text = Annotated[str, Field(min_length=1, max_length=200)]


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GivenPrice(_Given):
    """A close as quoted; `currency` may be GBX and the like for prices in hundredths."""

    symbol: _Text
    close: Decimal
    currency: Annotated[str, Field(pattern=r"^([A-Z]{3}|GBp|ZAc|ILa)$")]
    observed_on: date


class GivenRate(_Given):
    """Units of `quote` for 1 `base`."""

    base: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    quote: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    rate: Decimal
    observed_on: date


class GivenIdentifier(_Given):
    """A code of a security, valid from a day to a day, both included. An ISIN and a FIGI have their check digit."""

    symbol: _Text
    scheme: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=40)]
    value: _Text
    valid_from: date | None = None
    valid_to: date | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if fault := code_fault(self.scheme, self.value):
            raise ValueError(fault)
        if self.first > self.last:
            raise ValueError(f"expected valid_from up to valid_to, got {self.valid_from} to {self.valid_to}")
        return self

    @property
    def first(self) -> date:
        """First day it is valid."""
        return self.valid_from or date.min

    @property
    def last(self) -> date:
        """Last day, included."""
        return self.valid_to or date.max

    def overlaps(self, other: "GivenIdentifier") -> bool:
        """Say whether there is a day on which both are valid."""
        return self.first <= other.last and other.first <= self.last


class GivenSecurity(_Given):
    """Name and exchange of a symbol; currency and price unit come with its prices."""

    symbol: _Text
    name: str = ""
    exchange_mic: str | None = None


class GivenOrigin(_Given):
    """Where rows were read."""

    kind: Annotated[str, Field(pattern=r"^(prices|rates|macro)$")]
    source: _Text
    name: _Text
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


class ImportRequest(_Given):
    """Market data to load.

    Attributes:
        policy: pricing policy, made if it is not there.
        calendar: name of its calendar; None keeps the policy's, or names a new one after the policy.
        exchange: instead of `calendar`: code of an exchange. Its sessions from the first price to a year past the last
            are the calendar's, so that those to come can be overdue; packs are made up to the last price only.
        sessions: days that have a pack; empty: the calendar's, and for a new calendar the days that have a price.
        prices: None keeps what the packs have; likewise rates.
        identify_by: what `symbol` of the prices is: None for our symbols, else a scheme such as `isin`, looked up on
            the day of each price.
        source: provider, as it will stand in rows and traces.
        start: first day to write; None for the first price.
        expected_by: local time by which a session's pack is due; None leaves it as it is.
        time_zone: of `expected_by`.
        required_symbols: None leaves it as it is.
    """

    policy: _Text
    calendar: str | None = None
    exchange: str | None = None
    sessions: tuple[date, ...] = ()
    securities: tuple[GivenSecurity, ...] = ()
    identifiers: tuple[GivenIdentifier, ...] = ()
    prices: Annotated[tuple[GivenPrice, ...], Field(max_length=ROWS_MAX)] | None = None
    rates: Annotated[tuple[GivenRate, ...], Field(max_length=ROWS_MAX)] | None = None
    identify_by: str | None = None
    source: _Text
    rates_source: _Text | None = None
    origins: tuple[GivenOrigin, ...] = ()
    start: date | None = None
    end: date | None = None
    expected_by: time | None = None
    time_zone: str = "UTC"
    required_symbols: tuple[str, ...] | None = None
