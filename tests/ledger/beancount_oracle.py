"""Answer JSON lines with what Beancount makes of a ledger; run as a separate process only.

Beancount is GPL-2.0-only, so nothing of ours imports it: each line on stdin is a JSON string with
a ledger's text, each line on stdout `{"errors": [...], "lots": [...], "cash": {...}}`.
"""

import json
import sys
from collections import defaultdict
from decimal import Decimal


def main() -> None:
    """Serve until stdin closes."""
    from beancount import loader
    from beancount.core.data import Transaction

    for line in sys.stdin:
        entries, errors, _ = loader.load_string(json.loads(line))
        lots: dict[tuple[str, str, str, str], Decimal] = defaultdict(Decimal)
        cash: dict[str, Decimal] = defaultdict(Decimal)
        for entry in entries:
            if not isinstance(entry, Transaction):
                continue
            for posting in entry.postings:
                if not posting.account.startswith("Assets:"):
                    continue
                units, cost = posting.units, posting.cost
                if cost is None:
                    cash[units.currency] += units.number
                else:
                    unit = format(cost.number.normalize(), "f")
                    key = (units.currency, unit, cost.currency, cost.date.isoformat())
                    lots[key] += units.number
        answer = {
            "errors": [error.message for error in errors],
            "lots": sorted([*key, format(qty.normalize(), "f")] for key, qty in lots.items() if qty),
            "cash": {name: str(amount) for name, amount in cash.items() if amount},
        }
        print(json.dumps(answer), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
