"""Holdings × a pricing pack → values: v = q · P · S, weights by NAV.

NAV counts securities (shorts negative), cash and receivables. A price may be carried for at most
five calendar days (`stale`); without one the position's value, and with it NAV and all weights,
are None with a reason.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, localcontext
from typing import Any, Literal

from analytics.fx import CARRY_DAYS_MAX, Rate, from_minor_unit
from analytics.holdings import Holdings, LotHolding
from analytics.numbers import CONTEXT, ZERO, money, plain, ratio

Status = Literal["ok", "stale", "missing"]
ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Quote:
    """A price of the pack: per unit, in `currency` (minor units such as GBX are converted)."""

    price: Decimal
    currency: str
    observed_on: date


@dataclass(frozen=True, slots=True)
class ValuedPosition:
    """One security with all its lots.

    Attributes:
        price, price_currency, fx, value_local, value_base: None when `status` is missing.
        cost_currency: None when lots cost different currencies; then `cost_local` is None too.
        fx: base units per 1 unit of the price currency.
        weight: value over NAV; None when either is unknown or NAV is not above zero.
        gain_ratio: unrealised P/L over |cost|; None for zero cost.
        price_age_days: calendar days since the price was observed.
        reason: why the position is not `ok`, empty when it is.
    """

    symbol: str
    qty: Decimal
    price: Decimal | None
    price_currency: str | None
    fx: Decimal | None
    value_local: Decimal | None
    value_base: Decimal | None
    cost_local: Decimal | None
    cost_currency: str | None
    cost_base: Decimal | None
    unrealized_pl: Decimal | None
    gain_ratio: float | None
    weight: float | None
    price_age_days: int | None
    status: Status
    reason: str
    lots: tuple[LotHolding, ...]


@dataclass(frozen=True, slots=True)
class ValuedMoney:
    """Cash or a receivable in base currency; `symbol` and `pay_date` for receivables only.

    `reason` says why there is no value, or how old the exchange rate is.
    """

    currency: str
    amount: Decimal
    fx: Decimal | None
    value_base: Decimal | None
    weight: float | None
    reason: str
    symbol: str = ""
    pay_date: date | None = None


@dataclass(frozen=True, slots=True)
class Valuation:
    """A whole portfolio valued at one pack.

    Attributes:
        total_value: NAV: securities + cash + receivables; None if any part is unknown.
        total_cost: cost of securities at trade-date FX + cash and receivables at face value
            today, so that `total_value − total_cost = unrealized_pl`.
        known_value: NAV of the parts that have a value.
        reason: why `total_value` is None, empty otherwise.
    """

    asof: date
    base: str
    positions: tuple[ValuedPosition, ...]
    cash: tuple[ValuedMoney, ...]
    receivables: tuple[ValuedMoney, ...]
    total_value: Decimal | None
    total_cost: Decimal | None
    unrealized_pl: Decimal | None
    securities_value: Decimal | None
    securities_cost: Decimal | None
    cash_value: Decimal | None
    known_value: Decimal
    reason: str
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return JSON: money as decimal strings in base currency unless a name says local."""
        return {
            "asof": self.asof.isoformat(),
            "base_currency": self.base,
            "positions": [_position_json(position) for position in self.positions],
            "cash": [_money_json(cash) for cash in self.cash],
            "receivables": [_money_json(owed) for owed in self.receivables],
            "total_value": money(self.total_value),
            "total_cost": money(self.total_cost),
            "unrealized_pl": money(self.unrealized_pl),
            "securities_value": money(self.securities_value),
            "securities_cost": money(self.securities_cost),
            "cash_value": money(self.cash_value),
            "known_value": money(self.known_value),
            "reason": self.reason or None,
            "method": "v = q·P·S; weight = v / NAV including cash, receivables and shorts",
            "n_obs": len(self.positions) + len(self.cash) + len(self.receivables),
            "warnings": list(self.warnings),
        }


def value(
    holdings: Holdings,
    quotes: Mapping[str, Quote],
    rate: Callable[[str], Rate | None],
) -> Valuation:
    """Value holdings.

    Args:
        holdings: at the end of a day.
        quotes: by symbol, raw closes on the share basis of `holdings.asof`; a symbol may be
            missing.
        rate: base units per 1 of a currency on that day, None when the pack has none.

    Cost: O(lots).
    """
    with localcontext(CONTEXT):
        return _value(holdings, quotes, rate)


def _value(
    holdings: Holdings,
    quotes: Mapping[str, Quote],
    rate: Callable[[str], Rate | None],
) -> Valuation:
    by_symbol: dict[str, list[LotHolding]] = {}
    for lot in holdings.lots:
        by_symbol.setdefault(lot.symbol, []).append(lot)

    def fx(currency: str) -> Rate | None:
        return Rate(ONE, 0) if currency == holdings.base else rate(currency)

    positions = [
        _position(symbol, lots, quotes.get(symbol), fx, holdings)
        for symbol, lots in sorted(by_symbol.items())
        if sum((lot.qty for lot in lots), ZERO) or len(lots) > 1
    ]
    cash = [_money(cash.currency, cash.amount, fx, holdings.base) for cash in holdings.cash]
    owed = [
        _money(item.currency, item.amount, fx, holdings.base, item.symbol, item.pay_date)
        for item in holdings.receivables
    ]
    unknown = [f"{item.symbol}: {item.reason}" for item in positions if item.value_base is None]
    unknown += [f"{item.currency}: {item.reason}" for item in cash if item.value_base is None]
    unknown += [f"{item.currency}: {item.reason}" for item in owed if item.value_base is None]
    securities = _sum([item.value_base for item in positions])
    securities_cost = _sum([item.cost_base for item in positions])
    in_cash = _sum([item.value_base for item in (*cash, *owed)])
    total = None if securities is None or in_cash is None else securities + in_cash
    cost = None if securities_cost is None or in_cash is None else securities_cost + in_cash
    everything = (*positions, *cash, *owed)
    known = sum((item.value_base for item in everything if item.value_base is not None), ZERO)
    warnings = list(holdings.warnings)
    warnings += [f"{item.symbol}: {item.reason}" for item in positions if item.status == "stale"]
    warnings += [
        f"{item.currency}: {item.reason}" for item in (*cash, *owed) if item.reason and item.value_base is not None
    ]
    warnings += unknown
    if total is not None and total <= 0:
        warnings.append("NAV is not above zero: weights are not defined")
    return Valuation(
        asof=holdings.asof,
        base=holdings.base,
        positions=tuple(_weighted(item, _weight(item.value_base, total)) for item in positions),
        cash=tuple(_weighted_money(item, _weight(item.value_base, total)) for item in cash),
        receivables=tuple(_weighted_money(item, _weight(item.value_base, total)) for item in owed),
        total_value=total,
        total_cost=cost,
        unrealized_pl=None if total is None or cost is None else total - cost,
        securities_value=securities,
        securities_cost=securities_cost,
        cash_value=in_cash,
        known_value=known,
        reason="; ".join(unknown),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _position(
    symbol: str,
    lots: list[LotHolding],
    quote: Quote | None,
    fx: Callable[[str], Rate | None],
    holdings: Holdings,
) -> ValuedPosition:
    qty = sum((lot.qty for lot in lots), ZERO)
    currencies = {lot.currency for lot in lots}
    cost_currency = lots[0].currency if len(currencies) == 1 else None
    cost_local = sum((lot.cost_local for lot in lots), ZERO) if cost_currency else None
    cost_base = _sum([lot.cost_base for lot in lots])
    price: Decimal | None = None
    currency: str | None = None
    rate: Rate | None = None
    age: int | None = None
    status: Status = "ok"
    reason = ""
    if quote is None:
        status, reason = "missing", f"no price for {symbol} in the pack"
    else:
        currency, price = from_minor_unit(quote.currency, quote.price)
        age = (holdings.asof - quote.observed_on).days
        rate = fx(currency)
        if age > CARRY_DAYS_MAX:
            price = None
            status = "missing"
            reason = f"last price is {age} days old, more than {CARRY_DAYS_MAX}"
        elif rate is None:
            status, reason = "missing", f"no {currency}/{holdings.base} rate in the pack"
        elif age > 0 or rate.age_days > 0:
            status = "stale"
            reason = f"the price is {_old(age)}"
            if currency != holdings.base:
                reason += f", the rate {_old(rate.age_days)}"
    local = None if price is None else qty * price
    in_base = None if local is None or rate is None else local * rate.rate
    gain = None if in_base is None or cost_base is None else in_base - cost_base
    return ValuedPosition(
        symbol=symbol,
        qty=qty,
        price=price,
        price_currency=currency,
        fx=None if rate is None else rate.rate,
        value_local=local,
        value_base=in_base,
        cost_local=cost_local,
        cost_currency=cost_currency,
        cost_base=cost_base,
        unrealized_pl=gain,
        gain_ratio=None if gain is None or not cost_base else float(gain / abs(cost_base)),
        weight=None,
        price_age_days=age,
        status=status,
        reason=reason,
        lots=tuple(lots),
    )


def _money(
    currency: str,
    amount: Decimal,
    fx: Callable[[str], Rate | None],
    base: str,
    symbol: str = "",
    pay_date: date | None = None,
) -> ValuedMoney:
    rate = fx(currency)
    if rate is None:
        reason = f"no {currency}/{base} rate in the pack"
        return ValuedMoney(currency, amount, None, None, None, reason, symbol, pay_date)
    reason = f"{currency}/{base} rate is {_old(rate.age_days)}" if rate.age_days else ""
    return ValuedMoney(currency, amount, rate.rate, amount * rate.rate, None, reason, symbol, pay_date)


def _old(days: int) -> str:
    return "of the same day" if days == 0 else f"{days} day{'s' if days > 1 else ''} old"


def _sum(values: list[Decimal | None]) -> Decimal | None:
    total = ZERO
    for item in values:
        if item is None:
            return None
        total += item
    return total


def _weight(part: Decimal | None, nav: Decimal | None) -> float | None:
    if part is None or nav is None or nav <= 0:
        return None
    return float(part / nav)


def _weighted(position: ValuedPosition, weight: float | None) -> ValuedPosition:
    return replace(position, weight=weight)


def _weighted_money(item: ValuedMoney, weight: float | None) -> ValuedMoney:
    return replace(item, weight=weight)


def _position_json(position: ValuedPosition) -> dict[str, Any]:
    return {
        "symbol": position.symbol,
        "qty": plain(position.qty),
        "price": None if position.price is None else plain(position.price),
        "price_currency": position.price_currency,
        "fx": None if position.fx is None else plain(position.fx),
        "value_local": money(position.value_local),
        "value_base": money(position.value_base),
        "cost_local": money(position.cost_local),
        "cost_currency": position.cost_currency,
        "cost_base": money(position.cost_base),
        "unrealized_pl": money(position.unrealized_pl),
        "gain_ratio": ratio(position.gain_ratio),
        "weight": ratio(position.weight),
        "price_age_days": position.price_age_days,
        "status": position.status,
        "reason": position.reason or None,
        "lots": len(position.lots),
    }


def _money_json(item: ValuedMoney) -> dict[str, Any]:
    out: dict[str, Any] = {
        "currency": item.currency,
        "amount": money(item.amount),
        "fx": None if item.fx is None else plain(item.fx),
        "value_base": money(item.value_base),
        "weight": ratio(item.weight),
        "reason": item.reason or None,
    }
    if item.pay_date is not None:
        out |= {"symbol": item.symbol, "pay_date": item.pay_date.isoformat()}
    return out
