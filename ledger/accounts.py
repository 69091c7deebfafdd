"""Accounts of a ledger: when they are open, what they may hold, and what they hold."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from ledger.balancing import ToleranceRule
from ledger.directives import Amount, Balance, Close, Open

ZERO = Decimal(0)
ONE = Decimal(1)


@dataclass(slots=True)
class _Account:
    opened: date
    currencies: tuple[str, ...]
    booking: str | None
    closed: date | None = None


class Accounts:
    """Tracks opens, closes and units; its answers are fault texts, None when all is well."""

    def __init__(self, default_booking: str):
        self._default = default_booking
        self._accounts: dict[str, _Account] = {}
        self._units: dict[str, dict[str, Decimal]] = {}

    def open(self, entry: Open) -> str | None:
        """Open an account; opening it twice is a fault."""
        known = self._accounts.get(entry.account)
        if known is not None:
            return f"{entry.account} was already opened on {known.opened}"
        self._accounts[entry.account] = _Account(entry.on, entry.currencies, entry.booking)
        return None

    def close(self, entry: Close) -> str | None:
        """Close an account from the end of the day on."""
        known = self._accounts.get(entry.account)
        if known is None:
            return f"{entry.account} was never opened"
        if known.closed is not None:
            return f"{entry.account} was already closed on {known.closed}"
        known.closed = entry.on
        return None

    def problem(self, account: str, currency: str | None, on: date) -> str | None:
        """Return why `account` cannot take `currency` on a day."""
        known = self._accounts.get(account)
        if known is None:
            return f"{account} is not open: add `{on} open {account}` before this line"
        if known.closed is not None and known.closed < on:
            return f"{account} was closed on {known.closed}"
        if currency is not None and known.currencies and currency not in known.currencies:
            return f"{account} holds only {', '.join(known.currencies)}, not {currency}"
        return None

    def method(self, account: str) -> str:
        """Return the account's booking method, else the portfolio's."""
        known = self._accounts.get(account)
        return (known.booking if known else None) or self._default

    def move(self, account: str, units: Amount) -> None:
        """Add units to what the account holds."""
        held = self._units.setdefault(account, {})
        held[units.currency] = held.get(units.currency, ZERO) + units.number

    def check_balance(self, entry: Balance, rule: ToleranceRule) -> str | None:
        """Compare an assertion with what the account and its sub-accounts hold."""
        if entry.account not in self._accounts:
            return f"balance of {entry.account}, which was never opened"
        prefix = entry.account + ":"
        currency = entry.amount.currency
        held = sum(
            (
                units.get(currency, ZERO)
                for account, units in self._units.items()
                if account == entry.account or account.startswith(prefix)
            ),
            ZERO,
        )
        tolerance = entry.tolerance
        if tolerance is None:
            # An assertion tolerates twice what a posting of the same precision does.
            exponent = entry.amount.number.as_tuple().exponent
            coarse = isinstance(exponent, int) and exponent < 0
            tolerance = ONE.scaleb(int(exponent)) * rule.multiplier * 2 if coarse else ZERO
        if abs(held - entry.amount.number) > tolerance:
            return (
                f"balance of {entry.account}: expected {entry.amount.number:f} {currency},"
                f" the ledger has {held:f} {currency}"
            )
        return None
