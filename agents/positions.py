"""Rows that travel between steps ⇄ the holdings and valuations that `analytics` works on."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal

from agents.answers import LotRow, PositionRow, SplitRow, ValuedRow
from agents.ports import BookingRow, PackSeries, Security
from analytics.fx import CARRY_DAYS_MAX, FxHistory
from analytics.holdings import CashHolding, Holdings, LotHolding, ReceivableHolding
from analytics.market import align
from analytics.valuation import Quote, Valuation, ValuedMoney, ValuedPosition, value


def position_rows(
    holdings: Holdings, securities: Mapping[str, Security], rows: Iterable[BookingRow]
) -> list[PositionRow]:
    """Return one row per security, then cash per currency, then receivables.

    Args:
        holdings: at the end of the day.
        securities: names and trading currencies; an unknown symbol stands for itself, in its cost currency.
        rows: all booked rows, for recent splits.
    """
    by_symbol: dict[str, list[LotHolding]] = {}
    for lot in holdings.lots:
        by_symbol.setdefault(lot.symbol, []).append(lot)
    splits = _recent_splits(rows, holdings.asof)
    found = [
        _security(symbol, lots, securities.get(symbol), splits.get(symbol, ())) for symbol, lots in by_symbol.items()
    ]
    found.sort(key=lambda row: row.symbol)
    found += [
        PositionRow(
            kind="cash",
            symbol=cash.currency,
            name=f"Cash {cash.currency}",
            qty_open=cash.amount,
            trading_currency=cash.currency,
        )
        for cash in holdings.cash
    ]
    found += [
        PositionRow(
            kind="receivable",
            symbol=owed.symbol,
            name=f"Dividend {owed.symbol}",
            qty_open=owed.amount,
            trading_currency=owed.currency,
            pay_date=owed.pay_date,
        )
        for owed in holdings.receivables
    ]
    return found


def _security(
    symbol: str, lots: list[LotHolding], security: Security | None, splits: Sequence[SplitRow]
) -> PositionRow:
    currencies = {lot.currency for lot in lots}
    known = [lot.cost_base for lot in lots if lot.cost_base is not None]
    complete = len(known) == len(lots)
    one_currency = len(currencies) == 1
    return PositionRow(
        kind="security",
        symbol=symbol,
        name=security.name if security else symbol,
        qty_open=sum((lot.qty for lot in lots), Decimal(0)),
        trading_currency=security.trading_ccy if security else lots[0].currency,
        cost_local=sum((lot.cost_local for lot in lots), Decimal(0)) if one_currency else None,
        cost_currency=lots[0].currency if one_currency else None,
        cost_base=sum(known, Decimal(0)) if complete else None,
        lots=tuple(
            LotRow(
                id=lot.lot,
                account=lot.account,
                qty=lot.qty,
                currency=lot.currency,
                cost_local=lot.cost_local,
                cost_base=lot.cost_base,
                acquired=lot.acquired,
            )
            for lot in lots
        ),
        recent_splits=tuple(splits),
        reason=None if complete else "no exchange rate on a trade date: cost in base currency unknown",
    )


def _recent_splits(rows: Iterable[BookingRow], asof: date) -> dict[str, list[SplitRow]]:
    found: dict[str, list[SplitRow]] = {}
    since = asof - timedelta(days=CARRY_DAYS_MAX)
    for row in rows:
        if row.on > asof:
            break
        if row.kind == "split" and row.ratio is not None and row.on > since:
            split = SplitRow(on=row.on, ratio=row.ratio)
            seen = found.setdefault(row.symbol, [])
            if split not in seen:  # one row per lot, one split per day and ratio
                seen.append(split)
    return found


def value_rows(rows: Sequence[PositionRow], series: PackSeries, asof: date, base: str) -> list[ValuedRow]:
    """Value rows with a pack's prices and rates; order and number of rows are kept.

    Args:
        rows: as `position_rows` made them.
        series: from a few days before `asof`, so that prices and rates can be carried.
        asof: day of the pack.
        base: currency of the values.

    Raises:
        InconsistentRates: rates of one day contradict each other.
    """
    fx = FxHistory(series.rates)
    market = align(base, series.prices, (), dates=series.dates)
    quotes: dict[str, Quote] = {}
    splits = {row.symbol: row.recent_splits for row in rows if row.kind == "security"}
    for symbol, history in market.prices.items():
        close = history.closes[-1] if history.closes else None
        if close is None:
            continue
        observed = market.dates[history.observed[-1]]
        for split in splits.get(symbol, ()):
            if observed < split.on:
                close = close / split.ratio
        quotes[symbol] = Quote(close, history.currency, observed)
    valuation = value(_holdings(rows, asof, base), quotes, lambda currency: fx.rate(currency, base, asof))
    return _valued(rows, valuation)


def _holdings(rows: Sequence[PositionRow], asof: date, base: str) -> Holdings:
    return Holdings(
        asof=asof,
        base=base,
        lots=tuple(
            LotHolding(
                lot.id, lot.account, row.symbol, lot.qty, lot.currency, lot.cost_local, lot.cost_base, lot.acquired
            )
            for row in rows
            for lot in row.lots
        ),
        cash=tuple(CashHolding(row.trading_currency, row.qty_open) for row in rows if row.kind == "cash"),
        receivables=tuple(
            ReceivableHolding(row.symbol, row.trading_currency, row.qty_open, row.pay_date)
            for row in rows
            if row.kind == "receivable" and row.pay_date is not None
        ),
        warnings=(),
    )


def _valued(rows: Sequence[PositionRow], valuation: Valuation) -> list[ValuedRow]:
    positions = {item.symbol: item for item in valuation.positions}
    # Cash and receivables keep their order through the valuation.
    monies = iter((*valuation.cash, *valuation.receivables))
    by_row = [None if row.kind == "security" else next(monies) for row in _money_last(rows)]
    found: list[ValuedRow] = []
    for row, money in zip(_money_last(rows), by_row, strict=True):
        found.append(_valued_security(row, positions[row.symbol]) if money is None else _valued_money(row, money))
    return found


def _money_last(rows: Sequence[PositionRow]) -> list[PositionRow]:
    order = {"security": 0, "cash": 1, "receivable": 2}
    return sorted(rows, key=lambda row: order[row.kind])


def _valued_security(row: PositionRow, item: ValuedPosition) -> ValuedRow:
    return ValuedRow.model_construct(
        **{
            **_fields(row),
            "price": item.price,
            "price_currency": item.price_currency,
            "fx_rate": item.fx,
            "value_local": item.value_local,
            "value_base": item.value_base,
            "unrealized_pl": item.unrealized_pl,
            "gain": item.gain_ratio,
            "weight": item.weight,
            "price_age": item.price_age_days,
            "status": item.status,
            "reason": "; ".join(filter(None, (item.reason, row.reason))) or None,
        }
    )


def _valued_money(row: PositionRow, item: ValuedMoney) -> ValuedRow:
    return ValuedRow.model_construct(
        **{
            **_fields(row),
            "cost_base": item.value_base,
            "fx_rate": item.fx,
            "value_local": item.amount,
            "value_base": item.value_base,
            "unrealized_pl": None if item.value_base is None else Decimal(0),
            "weight": item.weight,
            "status": "missing" if item.value_base is None else "stale" if item.reason else "ok",
            "reason": item.reason or None,
        }
    )


def _fields(row: PositionRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in PositionRow.model_fields}


def unvalued(rows: Iterable[ValuedRow]) -> str:
    """Say which rows have no value in base currency, and why; empty when all have one."""
    return "; ".join(f"{row.symbol}: {row.reason}" for row in rows if row.value_base is None)


def total(values: Iterable[Decimal | None]) -> Decimal | None:
    """Return the sum; None if any part is unknown."""
    found = Decimal(0)
    for item in values:
        if item is None:
            return None
        found += item
    return found
