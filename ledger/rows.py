"""Writing booked rows: one method per row kind, then one stable sort by date."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

from ledger.booked import Booking, Kind
from ledger.directives import Amount, Split, Transaction
from ledger.inventory import Change

ZERO = Decimal(0)


class RowWriter:
    """Collects rows in booking order; `rows` orders them by the day they take effect.

    The two orders differ only for dividends: they are booked on the pay date and take effect,
    as income and receivable, on the ex-date before.
    """

    def __init__(self) -> None:
        self._rows: list[Booking] = []

    def rows(self) -> tuple[Booking, ...]:
        """Return all rows by date, `seq` renumbered."""
        ordered = sorted(self._rows, key=lambda row: row.on)
        return tuple(row if row.seq == seq else replace(row, seq=seq) for seq, row in enumerate(ordered))

    def lots(
        self,
        entry: Transaction,
        account: str,
        symbol: str,
        changes: list[Change],
        price: Amount | None,
    ) -> None:
        """Write the lots a posting closed and the one it opened or grew, in that order."""
        for change in changes:
            same = price is not None and price.currency == change.lot.currency
            unit = price.number if price is not None and same else None
            gain = None
            if change.closes and unit is not None:
                # Money received less the cost given up; both signs turn for a short.
                gain = change.cost - change.qty * unit
            self._lot(entry, "lot", account, symbol, change, price=unit, gain=gain)

    def split(
        self,
        entry: Split | Transaction,
        account: str,
        symbol: str,
        change: Change,
        ratio: Decimal,
    ) -> None:
        """Write what a split did to one lot."""
        self._lot(entry, "split", account, symbol, change, ratio=ratio)

    def cash(self, entry: Transaction, account: str, units: Amount) -> None:
        """Write a change of cash."""
        self._money(entry, "cash", entry.on, account, "", units, None)

    def external(self, entry: Transaction, account: str, amount: Amount) -> None:
        """Write a deposit (+) or a withdrawal (−)."""
        self._money(entry, "external", entry.on, account, "", amount, None)

    def receivable(self, entry: Transaction, symbol: str, amount: Amount, ex_date: date) -> None:
        """Write a receivable on its ex-date and its end on the pay date."""
        ended = Amount(-amount.number, amount.currency)
        self._money(entry, "receivable", ex_date, "", symbol, amount, entry.on)
        self._money(entry, "receivable", entry.on, "", symbol, ended, entry.on)

    def earned(
        self,
        entry: Transaction,
        kind: Kind,
        account: str,
        weight: Amount,
        ex_date: date | None,
        symbol: str,
    ) -> None:
        """Write income or an expense: its weight, turned so that plus is more wealth."""
        amount = Amount(-weight.number, weight.currency)
        pay_date = entry.on if ex_date is not None else None
        self._money(entry, kind, ex_date or entry.on, account, symbol, amount, pay_date)

    def _money(
        self,
        entry: Transaction,
        kind: Kind,
        on: date,
        account: str,
        symbol: str,
        amount: Amount,
        pay_date: date | None,
    ) -> None:
        self._rows.append(
            Booking(
                seq=len(self._rows),
                on=on,
                kind=kind,
                account=account,
                symbol=symbol,
                currency=amount.currency,
                qty=ZERO,
                amount=amount.number,
                price=None,
                ratio=None,
                lot="",
                acquired=None,
                lot_qty=None,
                lot_cost=None,
                gain=None,
                pay_date=pay_date,
                source=f"{entry.file}:{entry.line}",
                text=entry.narration,
            )
        )

    def _lot(
        self,
        entry: Split | Transaction,
        kind: Kind,
        account: str,
        symbol: str,
        change: Change,
        *,
        price: Decimal | None = None,
        ratio: Decimal | None = None,
        gain: Decimal | None = None,
    ) -> None:
        self._rows.append(
            Booking(
                seq=len(self._rows),
                on=entry.on,
                kind=kind,
                account=account,
                symbol=symbol,
                currency=change.lot.currency,
                qty=change.qty,
                amount=change.cost,
                price=price,
                ratio=ratio,
                lot=change.lot.lot,
                acquired=change.lot.acquired,
                lot_qty=change.qty_after,
                lot_cost=change.cost_after,
                gain=gain,
                pay_date=None,
                source=f"{entry.file}:{entry.line}",
                text=entry.narration if isinstance(entry, Transaction) else "split",
            )
        )
