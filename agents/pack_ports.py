"""What the pack builder needs from the outside, as Protocols: market sources, and the desk where packs are built."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from topics.messages import PackRef


@dataclass(frozen=True, slots=True)
class QuotedPrice:
    """A close as a provider quotes it; `currency` may be a price unit such as GBX."""

    symbol: str
    close: Decimal
    currency: str
    observed_on: date
    source: str


@dataclass(frozen=True, slots=True)
class QuotedRate:
    """Units of `quote` for 1 `base`."""

    base: str
    quote: str
    rate: Decimal
    observed_on: date
    source: str


@dataclass(frozen=True, slots=True)
class MacroPoint:
    """One observation as published on `vintage`; None for a value that was withdrawn."""

    series_id: str
    obs_date: date
    vintage: date
    value: Decimal | None
    source: str


@dataclass(frozen=True, slots=True)
class PackRows:
    """What a pack is built of."""

    prices: Sequence[QuotedPrice]
    rates: Sequence[QuotedRate]
    macro: Sequence[MacroPoint] = ()


class PackFinding(Protocol):
    """One thing the checks of a pack notice; a `fault` keeps it from being frozen."""

    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def fault(self) -> bool: ...  # noqa: D102
    @property
    def subject(self) -> str: ...  # noqa: D102
    @property
    def message(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class PackCheck:
    """What the checks say of a pack's rows.

    Attributes:
        asof: the pack's day.
        sha256: digest the rows give the pack.
        findings: everything noticed.
        expected: symbols the policy requires or the pack before has.
    """

    asof: date
    sha256: str
    findings: Sequence[PackFinding]
    expected: frozenset[str]


class PackDesk(Protocol):
    """Where packs are built. Every method may be repeated: the second time changes nothing."""

    async def begin(self, policy: str, asof: date, now_ms: int) -> PackRef:
        """Return the day's fresh pack, else its empty warming one, making its next revision if there is none.

        Raises:
            TerminalError: INVALID_INPUT for an unknown policy or a day that is no session.
        """
        ...

    async def check(self, pack_id: UUID, rows: PackRows) -> PackCheck:
        """Return the digest these rows give the pack, everything noticed about them, and what was expected.

        Raises:
            TerminalError: INVALID_INPUT for rows that no pack can hold.
        """
        ...

    async def freeze(self, pack_id: UUID, rows: PackRows, sha256: str, now_ms: int) -> tuple[PackRef, bool]:
        """Put the rows into the pack and freeze it; into the next revision when it is fresh and has other rows.

        Returns:
            The frozen pack, and whether it had the same rows already.

        Raises:
            TerminalError: INVALID_REQUEST when the pack holds other rows or the digest differs.
        """
        ...

    async def fail(self, pack_id: UUID, reason: str) -> PackRef:
        """Give a warming pack up; a frozen one stays as it is."""
        ...


class MarketSource(Protocol):
    """Where market data of a day comes from: a provider, a folder, the bundled data."""

    async def prices(self, asof: date) -> Sequence[QuotedPrice]:
        """Return the closes of a day."""
        ...

    async def rates(self, asof: date) -> Sequence[QuotedRate]:
        """Return the newest rates of a day, each at most a few days old."""
        ...

    async def macro(self, asof: date) -> Sequence[MacroPoint]:
        """Return what was published on or shortly before a day."""
        ...


class MarketSources(Protocol):
    """Sources by name."""

    def get(self, name: str) -> MarketSource:
        """Return a source.

        Raises:
            TerminalError: INVALID_INPUT naming those there are.
        """
        ...
