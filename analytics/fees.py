"""What trades cost beside their price: each commission, spread over the lots its transaction moved."""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

from analytics.bookings import BookingRow
from analytics.numbers import ZERO


class Fees:
    """Commissions of transactions that trade one security; one paid for several together belongs to none of them.

    Args:
        rows: whole transactions.
    """

    def __init__(self, rows: Iterable[BookingRow]) -> None:
        self._units: defaultdict[str, Decimal] = defaultdict(Decimal)
        self._paid: defaultdict[str, dict[str, Decimal]] = defaultdict(dict)
        symbols: defaultdict[str, set[str]] = defaultdict(set)
        for row in rows:
            if row.kind == "lot":
                self._units[row.source] += abs(row.qty)
                symbols[row.source].add(row.symbol)
            elif row.kind == "commission":
                paid = self._paid[row.source]
                paid[row.currency] = paid.get(row.currency, ZERO) - row.amount
        for source, traded in symbols.items():
            if len(traded) > 1:
                self._paid.pop(source, None)

    def of(self, row: BookingRow) -> dict[str, Decimal]:
        """Return the fees of one lot row by currency, in proportion to its units; plus is paid."""
        if row.kind != "lot" or row.source not in self._paid:
            return {}
        return {name: paid * abs(row.qty) / self._units[row.source] for name, paid in self._paid[row.source].items()}
