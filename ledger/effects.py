"""What a balanced transaction means for a portfolio: its rows.

Lots and cash are what the postings to `Assets:` and `Liabilities:` say. Why they moved is read from the other side:
`Equity:` is money or securities from outside, `Income:` is earned, `Expenses:` is spent, as part of a trade or a
dividend where there is one. Beside a sale `Income:` mirrors the gain, which its lots say already, or is earned with
it, as accrued interest is; see `ledger.mirrored`.

Units that move with nothing but lots and `Equity:` against them were not traded: they were brought in, taken out, moved
between accounts or exchanged in a merger. Such a move realises no gain. What comes from outside or goes there counts at
market value, not at cost: at the price written, else at the day's close. What stays inside has no price at all, for
none was paid, whatever is written; nor have units that come back at their cost, rounded as it is written, also when the
broker takes a fee for moving them.
"""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from ledger.directives import Amount, Transaction
from ledger.legs import Leg, Refused
from ledger.mirrored import Sale, mirrored
from ledger.rows import RowWriter

ZERO = Decimal(0)


def write(out: RowWriter, entry: Transaction, legs: Sequence[Leg]) -> None:
    """Write the rows of a transaction that balances.

    Raises:
        Refused: its `ex_date` is no day, or after the pay date.
    """
    source = f"{entry.file}:{entry.line}"
    trades = [leg for leg in legs if leg.changes and leg.holds]
    in_kind = bool(trades) and all(leg.changes or leg.root == "Equity" for leg in legs)
    sales = _trades(out, entry, source, legs, trades, in_kind=in_kind) if trades else []
    mirrors = mirrored(legs, sales)
    ex_date = _ex_date(entry) if entry.meta else None
    symbol = dividend_symbol(legs)
    dividend = symbol is not None
    if ex_date is not None:
        _accrue(out, entry, source, legs, ex_date, symbol or "")
    exchange = any(leg.posting.price is not None and leg.posting.cost is None for leg in legs)
    pay_date = entry.on if ex_date is not None else None
    for leg in legs:
        root, account, units, weight = leg.root, leg.posting.account, leg.units, leg.weight
        if units is None or weight is None or (leg.changes and leg.holds):
            continue
        if leg.holds:
            out.money(entry, source, "cash", units, account=account)
            continue
        gained = Amount(-weight.number, weight.currency)
        if root == "Equity":
            if not in_kind:
                out.money(entry, source, "external", gained, account=account)
        elif root == "Income":
            if account.startswith("Income:Dividends"):
                of = account.split(":")[2] if account.count(":") > 1 else ""
                out.money(entry, source, "dividend", gained, account=account, symbol=of, on=ex_date, pay_date=pay_date)
            elif leg not in mirrors:
                out.money(entry, source, "income", gained, account=account, on=ex_date, pay_date=pay_date)
        elif dividend:
            out.money(entry, source, "tax", gained, account=account, symbol=symbol or "", on=ex_date, pay_date=pay_date)
        else:
            kind = "commission" if trades or exchange else "expense"
            out.money(entry, source, kind, gained, account=account, on=ex_date, pay_date=pay_date)


def _trades(
    out: RowWriter, entry: Transaction, source: str, legs: Sequence[Leg], trades: Sequence[Leg], *, in_kind: bool
) -> list[Sale]:
    """Write the rows of trades and return those that closed lots."""
    sales: list[Sale] = []
    implied = None if in_kind else _implied_price(legs, trades)
    outside = in_kind and any(leg.root == "Equity" for leg in legs)
    stays = _moved(trades)
    for leg in trades:
        assert leg.units is not None and leg.weight is not None
        account, symbol = leg.posting.account, leg.units.currency
        price = None
        if symbol not in stays:
            price = _trade_price(leg, implied) if not in_kind else _price_in_kind(leg) if outside else None
        realises = not in_kind and symbol not in stays
        out.lots(entry, source, account, symbol, leg.changes, price, realises=realises)
        if realises and any(change.closes for change in leg.changes):
            sales.append(Sale(leg, price))
        if outside and symbol not in stays:
            amount = leg.weight
            if price is not None:
                amount = Amount(price.number * leg.units.number, price.currency)
            out.money(
                entry,
                source,
                "external",
                amount,
                account=account,
                symbol=symbol,
                units=leg.units.number,
                price=price.number if price is not None else None,
            )
    return sales


def _moved(trades: Sequence[Leg]) -> set[str]:
    """Return the securities of which as many units come in as go out, at the same cost: they only changed account.

    The same cost is what it would be but for the rounding of a cost per unit written with decimals. A sale with a
    purchase of as many units in one transaction, at just that price, is none that anybody makes.
    """
    units: dict[str, Decimal] = {}
    costs: dict[tuple[str, str], Decimal] = {}
    rounding: dict[tuple[str, str], Decimal] = {}
    for leg in trades:
        assert leg.units is not None and leg.weight is not None
        symbol, key = leg.units.currency, (leg.units.currency, leg.weight.currency)
        units[symbol] = units.get(symbol, ZERO) + leg.units.number
        costs[key] = costs.get(key, ZERO) + leg.weight.number
        rounding[key] = rounding.get(key, ZERO) + _cost_rounding(leg)
    kept = {symbol for symbol, number in units.items() if not number}
    return kept - {key[0] for key, number in costs.items() if abs(number) > rounding[key]}


def _cost_rounding(leg: Leg) -> Decimal:
    """Return how far the cost written for units that come in may be off: half of its last decimal, as Beancount has it.

    Whole numbers are exact.
    """
    cost = leg.posting.cost
    if cost is None or cost.number is None or leg.units is None or all(change.closes for change in leg.changes):
        return ZERO
    exponent = cost.number.as_tuple().exponent
    if not isinstance(exponent, int) or exponent >= 0:
        return ZERO
    half = Decimal("0.5").scaleb(exponent)
    return half if cost.total else half * abs(leg.units.number)


def _accrue(out: RowWriter, entry: Transaction, source: str, legs: Sequence[Leg], ex_date: date, symbol: str) -> None:
    """Make the net income of a dividend a receivable from its ex-date to its pay date."""
    owed: dict[str, Decimal] = {}
    for leg in legs:
        if leg.weight is not None and leg.root in ("Income", "Expenses"):
            currency = leg.weight.currency
            owed[currency] = owed.get(currency, ZERO) - leg.weight.number
    for currency, number in owed.items():
        for on, amount in ((ex_date, number), (entry.on, -number)):
            out.money(entry, source, "receivable", Amount(amount, currency), symbol=symbol, on=on, pay_date=entry.on)


def _ex_date(entry: Transaction) -> date | None:
    text = entry.meta.get("ex_date")
    if text is None:
        return None
    try:
        ex_date = date.fromisoformat(text)
    except ValueError:
        raise Refused(entry.line, f"ex_date must be a day such as 2004-11-15, got {text!r}") from None
    if ex_date > entry.on:
        raise Refused(entry.line, f"ex_date {ex_date} is after the pay date {entry.on}")
    return ex_date if ex_date < entry.on else None


def _implied_price(legs: Sequence[Leg], trades: Sequence[Leg]) -> Amount | None:
    """Return the price a single unpriced trade was done at, from the money it moved; 0 when none came: a write-off."""
    [trade, *others] = trades
    if others or trade.units is None or trade.posting.price is not None:
        return None
    moved: dict[str, Decimal] = {}
    for leg in legs:
        if leg is not trade and leg.weight is not None and leg.root != "Income":
            currency = leg.weight.currency
            moved[currency] = moved.get(currency, ZERO) + leg.weight.number
    if not moved and trade.weight is not None:
        moved[trade.weight.currency] = ZERO
    if len(moved) != 1:
        return None
    [(currency, number)] = moved.items()
    price = -number / trade.units.number
    return Amount(price, currency) if price >= 0 else None


def _written_price(leg: Leg) -> Amount | None:
    posting, units = leg.posting, leg.units
    if posting.price is None or units is None:
        return None
    if posting.price_total:
        return Amount(posting.price.number / abs(units.number), posting.price.currency)
    return posting.price


def _price_in_kind(leg: Leg) -> Amount | None:
    """Return the price units go outside at, if it is in the lot's currency: another one leaves the close."""
    price = _written_price(leg)
    return price if price is not None and leg.weight is not None and price.currency == leg.weight.currency else None


def _trade_price(leg: Leg, implied: Amount | None) -> Amount | None:
    written = _written_price(leg)
    opens = not any(change.closes for change in leg.changes)
    if opens and leg.weight is not None and leg.units is not None:
        # Units come in at their cost; a price in another currency beside it is no money that moved.
        if written is None or written.currency != leg.weight.currency:
            return Amount(leg.weight.number / leg.units.number, leg.weight.currency)
    return implied if written is None else written


def dividend_symbol(legs: Sequence[Leg]) -> str | None:
    """Return SYMBOL of the first `Income:Dividends:SYMBOL` posting, empty when it names none; None without one."""
    found: str | None = None
    for leg in legs:
        if leg.root == "Income" and leg.posting.account.startswith("Income:Dividends"):
            parts = leg.posting.account.split(":")
            if len(parts) > 2:
                return parts[2]
            found = ""
    return found
