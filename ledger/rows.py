"""Writing booked rows: one method per row kind, then one stable sort by date."""

from datetime import date
from decimal import Decimal
from operator import itemgetter
from typing import Any, cast

from ledger.booked import Booking, Kind
from ledger.directives import Amount, Split, Transaction
from ledger.inventory import Change

ZERO = Decimal(0)


class RowWriter:
    """Collects rows in booking order; `rows` orders them by the day they take effect.

    The two orders differ only for dividends: they are booked on the pay date and take effect,
    as income and receivable, on the ex-date before. A row gets its `seq` when all are known.
    """

    def __init__(self) -> None:
        self._rows: list[tuple[Any, ...]] = []

    def rows(self) -> tuple[Booking, ...]:
        """Return all rows by date, numbered."""
        rows, self._rows = self._rows, []
        rows.sort(key=itemgetter(0))
        for seq, row in enumerate(rows):
            rows[seq] = Booking(seq, *row)  # in place: a large ledger's rows are not held twice
        return cast(tuple[Booking, ...], tuple(rows))

    def lots(
        self,
        entry: Transaction,
        source: str,
        account: str,
        symbol: str,
        changes: list[Change],
        price: Amount | None,
        *,
        realises: bool,
    ) -> None:
        """Write the lots a posting closed and the one it opened or grew, in that order.

        Args:
            entry: where the posting stands.
            source: its `file:line`.
            account: posted to.
            symbol: moved.
            changes: of its lots.
            price: per unit; None when the units moved without one.
            realises: closing them realises a gain; not so when units only change hands or account.
        """
        for change in changes:
            lot = change.lot
            gain = None
            if change.closes and realises and price is not None and price.currency == lot.currency:
                # Money received less the cost given up; both signs turn for a short. Of money in another currency only
                # readers with a rate can tell.
                gain = change.cost - change.qty * price.number
            self._rows.append(
                (
                    entry.on,
                    "lot",
                    account,
                    symbol,
                    lot.currency,
                    change.qty,
                    change.cost,
                    None if price is None else price.number,
                    None if price is None else price.currency,
                    None,
                    lot.lot,
                    lot.acquired,
                    change.qty_after,
                    change.cost_after,
                    gain,
                    None,
                    source,
                    entry.narration,
                )
            )

    def split(
        self,
        entry: Split | Transaction,
        account: str,
        symbol: str,
        change: Change,
        ratio: Decimal,
    ) -> None:
        """Write what a split did to one lot."""
        lot = change.lot
        self._rows.append(
            (
                entry.on,
                "split",
                account,
                symbol,
                lot.currency,
                change.qty,
                change.cost,
                None,
                None,
                ratio,
                lot.lot,
                lot.acquired,
                change.qty_after,
                change.cost_after,
                None,
                None,
                f"{entry.file}:{entry.line}",
                entry.narration if isinstance(entry, Transaction) else "split",
            )
        )

    def money(
        self,
        entry: Transaction,
        source: str,
        kind: Kind,
        amount: Amount,
        *,
        account: str = "",
        symbol: str = "",
        on: date | None = None,
        pay_date: date | None = None,
        units: Decimal = ZERO,
        price: Decimal | None = None,
    ) -> None:
        """Write cash, a receivable, a flow, income or an expense; plus is more wealth.

        Args:
            entry: where it comes from.
            source: its `file:line`.
            kind: of the row.
            amount: signed.
            account: posted to.
            symbol: security concerned.
            on: day it takes effect; the entry's when None.
            pay_date: of a dividend that is owed before.
            units: moved in kind.
            price: per unit moved in kind, in the amount's currency.
        """
        self._rows.append(
            (
                on or entry.on,
                kind,
                account,
                symbol,
                amount.currency,
                units,
                amount.number,
                price,
                None if price is None else amount.currency,
                None,
                "",
                None,
                None,
                None,
                None,
                pay_date,
                source,
                entry.narration,
            )
        )
