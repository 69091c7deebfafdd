"""Directives → booked rows: lots, cash, flows and income, one pass in date order.

A posting of a security (a commodity held at cost) changes lots; a posting of money to an
`Assets:` or `Liabilities:` account changes cash; postings to `Equity:`, `Income:` and `Expenses:`
say why. Units that run against the open lots close them by the account's booking method; units
beyond the holding open a position on the other side, so selling more than is held goes short.

Nothing here rounds: Decimal with 28 digits, as `CONTEXT`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation, localcontext

from ledger.accounts import Accounts
from ledger.balancing import (
    ToleranceRule,
    price_weight,
    residual,
    rounded,
    unbalanced,
)
from ledger.booked import Booked, Booking, content_hash
from ledger.currencies import CURRENCIES
from ledger.directives import (
    Amount,
    Balance,
    Close,
    CostSpec,
    Fault,
    LedgerRejected,
    Open,
    Posting,
    Split,
    Transaction,
)
from ledger.inventory import Change, Inventory, NoMatch, OpenLot
from ledger.loading import Loaded, load
from ledger.rows import RowWriter
from ledger.sources import Tree

CONTEXT = Context(prec=28, rounding=ROUND_HALF_EVEN)
ZERO = Decimal(0)
DEFAULT_BOOKING = "FIFO"


class _Refused(Exception):
    """A transaction cannot be booked; the text is the fault, `line` its place."""

    def __init__(self, line: int, message: str):
        super().__init__(message)
        self.line = line


def book(tree: Tree, booking: str | None = None) -> Booked:
    """Load and book a ledger.

    Args:
        tree: its files.
        booking: the portfolio's method, one of `parsing.BOOKING_METHODS`; an account's own
            method wins, and without both `option "booking_method"` or FIFO decides.

    Raises:
        LedgerRejected: with every fault found, in file and line order.
    """
    booked, faults = book_with_faults(tree, booking)
    if faults:
        raise LedgerRejected(faults)
    return booked


def book_with_faults(tree: Tree, booking: str | None = None) -> tuple[Booked, tuple[Fault, ...]]:
    """Like `book`, but return what could be booked together with the faults."""
    loaded = load(tree)
    with localcontext(CONTEXT):
        booker = _Booker(loaded, booking)
        booker.run()
    faults = sorted((*loaded.faults, *booker.faults), key=lambda fault: (fault.file, fault.line))
    rows = booker.out.rows()
    base = loaded.options.get("operating_currency", (None,))[0]
    title = loaded.options.get("title", ("",))[0]
    return Booked(rows, content_hash(rows), base, title), tuple(faults)


@dataclass(slots=True)
class _Leg:
    """A posting while its transaction is booked: what it weighs and what it did to lots.

    `units` is None until the amount is known; `hole` is set while units coming in wait for
    their unit cost to be interpolated.
    """

    posting: Posting
    units: Amount | None
    weight: Amount | None
    changes: list[Change]
    hole: bool = False


class _Booker:
    """The ledger's running state: accounts, inventories, rows and faults so far."""

    def __init__(self, loaded: Loaded, booking: str | None):
        self.directives = loaded.directives
        self.faults: list[Fault] = []
        self.out = RowWriter()
        method = booking or loaded.options.get("booking_method", (DEFAULT_BOOKING,))[-1]
        self.accounts = Accounts(method.upper())
        self.inventories: dict[tuple[str, str], Inventory] = {}
        self.rule = self._rule(loaded.options)
        self.securities = {
            posting.units.currency
            for entry in loaded.directives
            if isinstance(entry, Transaction)
            for posting in entry.postings
            if posting.cost is not None and posting.units is not None
        }
        self.order = 0

    def run(self) -> None:
        """Fold all directives; a faulty one is reported and left out."""
        for entry in self.directives:
            try:
                if isinstance(entry, Transaction):
                    self._transaction(entry)
                elif isinstance(entry, Open):
                    self._say(entry, self.accounts.open(entry))
                elif isinstance(entry, Close):
                    self._say(entry, self.accounts.close(entry))
                elif isinstance(entry, Balance):
                    self._say(entry, self.accounts.check_balance(entry, self.rule))
                elif isinstance(entry, Split):
                    self._split(entry)
            except _Refused as refused:
                self.faults.append(Fault(entry.file, refused.line, str(refused)))

    def _say(self, entry: Open | Close | Balance, problem: str | None) -> None:
        if problem:
            self.faults.append(Fault(entry.file, entry.line, problem))

    def _rule(self, options: Mapping[str, tuple[str, ...]]) -> ToleranceRule:
        multiplier = Decimal("0.5")
        defaults: dict[str, Decimal] = {}
        try:
            for name in ("inferred_tolerance_multiplier", "tolerance_multiplier"):  # old, new
                for text in options.get(name, ()):
                    multiplier = Decimal(text)
            for text in options.get("inferred_tolerance_default", ()):
                currency, _, number = text.partition(":")
                defaults[currency.strip()] = Decimal(number.strip())
        except InvalidOperation:
            self.faults.append(Fault("<options>", 0, 'tolerance options need numbers, e.g. "USD:0.01"'))
        widen = options.get("infer_tolerance_from_cost", ("FALSE",))[-1].upper() == "TRUE"
        return ToleranceRule(multiplier, defaults, widen)

    # ── splits ────────────────────────────────────────────────────────────────────────────

    def _split(self, entry: Split) -> None:
        held = False
        for (account, symbol), inventory in sorted(self.inventories.items()):
            if symbol == entry.symbol and inventory.qty:
                held = True
                before = inventory.qty
                self._split_inventory(entry, account, symbol, inventory, entry.ratio)
                self.accounts.move(account, Amount(inventory.qty - before, symbol))
        if not held and entry.symbol not in self.securities:
            raise _Refused(entry.line, f"split of {entry.symbol}, which this ledger never holds")

    def _split_inventory(
        self,
        entry: Split | Transaction,
        account: str,
        symbol: str,
        inventory: Inventory,
        ratio: Decimal,
    ) -> None:
        for change in inventory.split(ratio):
            self.out.split(entry, account, symbol, change, ratio)

    def _canonical_split(self, entry: Transaction) -> bool:
        """Book Beancount's own way of writing a split: all lots out and back in, cost kept.

        Units and unit costs change, total cost and acquisition dates do not, so lots keep
        their identity and no realised gain arises.
        """
        postings = entry.postings
        first = postings[0] if postings else None
        if first is None or first.units is None or len(postings) < 2:
            return False
        symbol, account = first.units.currency, first.account
        out = back = out_cost = back_cost = ZERO
        inventory = self.inventories.get((account, symbol))
        if inventory is None or not inventory.qty:
            return False
        for posting in postings:
            units, cost = posting.units, posting.cost
            if units is None or cost is None or posting.price is not None:
                return False
            if (posting.account, units.currency) != (account, symbol):
                return False
            unit = cost.number if cost.number is not None else ZERO
            total = unit.copy_sign(units.number) if cost.total else unit * units.number
            if (units.number > 0) == (inventory.qty > 0):
                back, back_cost = back + units.number, back_cost + total
            else:
                out, out_cost = out + units.number, out_cost + total
        held_cost = sum((lot.cost for lot in inventory.open_lots()), ZERO)
        if not back or out != -inventory.qty:
            return False
        if abs(back_cost - held_cost) > abs(held_cost) * Decimal("0.0001"):
            return False
        if out_cost and abs(out_cost + back_cost) > abs(held_cost) * Decimal("0.0001"):
            return False
        self._split_inventory(entry, account, symbol, inventory, back / -out)
        self.accounts.move(account, Amount(back + out, symbol))
        return True

    # ── transactions ──────────────────────────────────────────────────────────────────────

    def _transaction(self, entry: Transaction) -> None:
        for posting in entry.postings:
            currency = posting.units.currency if posting.units else None
            problem = self.accounts.problem(posting.account, currency, entry.on)
            if problem:
                raise _Refused(posting.line, problem)
        if self._canonical_split(entry):
            return
        tolerances = self.rule.of(entry.postings)
        legs = [self._leg(entry, posting) for posting in entry.postings]
        legs = self._complete(entry, legs, tolerances)
        left = residual(leg.weight for leg in legs if leg.weight is not None)
        over = unbalanced(left, tolerances)
        if over:
            raise _Refused(entry.line, f"the transaction does not balance: {over}")
        for leg in legs:
            if leg.units is not None:
                self.accounts.move(leg.posting.account, leg.units)
        self._write(entry, legs)

    def _leg(self, entry: Transaction, posting: Posting) -> _Leg:
        """Weigh a posting; one with a cost is matched with the lots it closes or opens."""
        units = posting.units
        if units is None:
            return _Leg(posting, None, None, [])
        if posting.cost is not None:
            return self._lot_leg(entry, posting, units, posting.cost)
        holds = posting.account.startswith(("Assets:", "Liabilities:"))
        if holds and units.currency in self.securities:
            raise _Refused(
                posting.line,
                f"{units.currency} is held at cost elsewhere: write a cost here too,"
                " e.g. {150 USD} coming in or {} going out",
            )
        if holds and units.currency not in CURRENCIES:
            raise _Refused(
                posting.line,
                f"{units.currency} is no ISO 4217 currency: a security needs a cost,"
                f" e.g. {units.number:f} {units.currency} {{150 USD}}",
            )
        return _Leg(posting, units, price_weight(units, posting), [])

    def _lot_leg(self, entry: Transaction, posting: Posting, units: Amount, spec: CostSpec) -> _Leg:
        inventory = self._inventory(posting.account, units.currency)
        left = units.number
        changes: list[Change] = []
        if inventory.qty and (inventory.qty > 0) != (left > 0):
            try:
                changes = inventory.reduce(left, spec)
            except NoMatch as refused:
                raise _Refused(posting.line, f"{units.currency}: {refused}") from None
            left -= sum((change.qty for change in changes), ZERO)
        leg = _Leg(posting, units, None, changes)
        if left:
            unit = self._unit_cost(posting, units, spec, reducing=bool(changes))
            if unit is None and changes:
                raise _Refused(
                    posting.line,
                    f"{abs(units.number):f} {units.currency} is more than the holding:"
                    " write the price (@) at which the rest opens a position the other way",
                )
            if unit is None:
                leg.hole = True
                return leg
            changes.append(self._put(entry, posting, inventory, left, unit))
        currencies = {change.lot.currency for change in changes}
        if len(currencies) > 1:
            raise _Refused(
                posting.line,
                f"the lots closed cost {' and '.join(sorted(currencies))}: write one posting each",
            )
        leg.weight = Amount(sum((change.cost for change in changes), ZERO), currencies.pop())
        return leg

    def _unit_cost(self, posting: Posting, units: Amount, spec: CostSpec, *, reducing: bool) -> Amount | None:
        """Return the cost per unit of units coming in, None when it must be interpolated."""
        if spec.number is not None and spec.currency is not None and not reducing:
            if spec.total:
                return Amount(spec.number / abs(units.number), spec.currency)
            return Amount(spec.number, spec.currency)
        price = posting.price
        if price is None:
            return None
        if posting.price_total:
            return Amount(price.number / abs(units.number), price.currency)
        return price

    def _put(
        self,
        entry: Transaction,
        posting: Posting,
        inventory: Inventory,
        qty: Decimal,
        unit: Amount,
    ) -> Change:
        self.order += 1
        spec = posting.cost
        lot = OpenLot(
            lot=f"{entry.file}:{posting.line}#{self.order}",
            acquired=(spec.acquired if spec and spec.acquired else entry.on),
            order=self.order,
            currency=unit.currency,
            label=spec.label if spec else None,
            qty=qty,
            cost=qty * unit.number,
            unit=unit.number,
        )
        try:
            return inventory.add(lot)
        except NoMatch as refused:
            raise _Refused(posting.line, str(refused)) from None

    def _complete(self, entry: Transaction, legs: list[_Leg], tolerances: Mapping[str, Decimal]) -> list[_Leg]:
        """Fill the one missing amount or unit cost so that the transaction balances."""
        missing = [leg for leg in legs if leg.units is None or leg.hole]
        if not missing:
            return legs
        if len(missing) > 1:
            raise _Refused(
                missing[1].posting.line,
                "only one posting of a transaction may leave its amount (or {} cost) out",
            )
        leg = missing[0]
        left = residual(other.weight for other in legs if other.weight is not None)
        if leg.hole and leg.units is not None:
            return self._fill_cost(entry, legs, leg, leg.units, left)
        made: list[_Leg] = []
        for currency, number in left.items():
            fill = Amount(rounded(-number, currency, tolerances), currency)
            if fill.number:
                made.append(_Leg(leg.posting, fill, fill, []))
        for new in made:
            if new.units is not None and new.units.currency in self.securities:
                raise _Refused(leg.posting.line, f"cannot infer a {new.units.currency} position")
        return [new for other in legs for new in (made if other is leg else [other])]

    def _fill_cost(
        self,
        entry: Transaction,
        legs: list[_Leg],
        leg: _Leg,
        units: Amount,
        left: Mapping[str, Decimal],
    ) -> list[_Leg]:
        if len(left) != 1:
            raise _Refused(
                leg.posting.line,
                f"no open lot to close and no cost to open one: write {{cost}} for {units.number:f} {units.currency}",
            )
        [(currency, number)] = left.items()
        unit = Amount(-number / units.number, currency)
        if unit.number < 0:
            raise _Refused(leg.posting.line, f"the cost left over is negative: {unit.number:f} {currency}")
        inventory = self._inventory(leg.posting.account, units.currency)
        leg.changes.append(self._put(entry, leg.posting, inventory, units.number, unit))
        leg.weight = Amount(-number, currency)
        leg.hole = False
        return legs

    def _inventory(self, account: str, symbol: str) -> Inventory:
        found = self.inventories.get((account, symbol))
        if found is None:
            found = Inventory(self.accounts.method(account))
            self.inventories[(account, symbol)] = found
        return found

    # ── rows ──────────────────────────────────────────────────────────────────────────────

    def _write(self, entry: Transaction, legs: list[_Leg]) -> None:
        """Write the rows of a balanced transaction."""
        ex_date = self._ex_date(entry)
        dividend = any(leg.posting.account.startswith("Income:Dividends") for leg in legs)
        trades = [leg for leg in legs if leg.changes]
        exchange = any(leg.units and leg.posting.price and not leg.posting.cost for leg in legs)
        closes = any(change.closes for leg in trades for change in leg.changes)
        implied = self._implied_price(legs, trades)
        if ex_date is not None:
            self._accrue(entry, legs, ex_date)
        for leg in legs:
            account, units, weight = leg.posting.account, leg.units, leg.weight
            if units is None or weight is None:
                continue
            if leg.changes and account.startswith(("Assets:", "Liabilities:")):
                price = self._trade_price(leg, implied)
                self.out.lots(entry, account, units.currency, leg.changes, price)
                continue
            root = account.partition(":")[0]
            if root in ("Assets", "Liabilities"):
                self.out.cash(entry, account, units)
            elif root == "Equity":
                self.out.external(entry, account, Amount(-weight.number, weight.currency))
            elif root == "Income":
                if account.startswith("Income:Dividends"):
                    symbol = account.split(":")[2] if account.count(":") > 1 else ""
                    self.out.earned(entry, "dividend", account, weight, ex_date, symbol)
                elif not closes:  # beside a sale it only mirrors the realised gain
                    self.out.earned(entry, "income", account, weight, ex_date, "")
            elif dividend:
                symbol = _dividend_symbol(legs)
                self.out.earned(entry, "tax", account, weight, ex_date, symbol)
            else:
                kind = "commission" if trades or exchange else "expense"
                self.out.earned(entry, kind, account, weight, ex_date, "")

    def _accrue(self, entry: Transaction, legs: list[_Leg], ex_date: date) -> None:
        """Make the net income of a dividend a receivable from its ex-date to its pay date."""
        owed: dict[str, Decimal] = {}
        for leg in legs:
            root = leg.posting.account.partition(":")[0]
            if leg.weight is not None and root in ("Income", "Expenses"):
                currency = leg.weight.currency
                owed[currency] = owed.get(currency, ZERO) - leg.weight.number
        for currency, number in owed.items():
            self.out.receivable(entry, _dividend_symbol(legs), Amount(number, currency), ex_date)

    def _ex_date(self, entry: Transaction) -> date | None:
        text = entry.meta.get("ex_date")
        if text is None:
            return None
        try:
            ex_date = date.fromisoformat(text)
        except ValueError:
            raise _Refused(entry.line, f"ex_date must be a day such as 2004-11-15, got {text!r}") from None
        if ex_date > entry.on:
            raise _Refused(entry.line, f"ex_date {ex_date} is after the pay date {entry.on}")
        return ex_date if ex_date < entry.on else None

    def _implied_price(self, legs: list[_Leg], trades: list[_Leg]) -> Amount | None:
        """Return the price a single unpriced trade was done at, from the money it moved."""
        if len(trades) != 1 or trades[0].units is None:
            return None
        moved: dict[str, Decimal] = {}
        for leg in legs:
            root = leg.posting.account.partition(":")[0]
            if leg is not trades[0] and leg.weight is not None and root != "Income":
                currency = leg.weight.currency
                moved[currency] = moved.get(currency, ZERO) + leg.weight.number
        if len(moved) != 1:
            return None
        [(currency, number)] = moved.items()
        price = -number / trades[0].units.number
        return Amount(price, currency) if price >= 0 else None

    def _trade_price(self, leg: _Leg, implied: Amount | None) -> Amount | None:
        posting, units = leg.posting, leg.units
        if posting.price is not None and units is not None:
            if posting.price_total:
                return Amount(posting.price.number / abs(units.number), posting.price.currency)
            return posting.price
        opens = bool(leg.changes) and not any(change.closes for change in leg.changes)
        if opens and leg.weight is not None and units is not None:
            return Amount(leg.weight.number / units.number, leg.weight.currency)
        return implied


def _dividend_symbol(legs: Iterable[_Leg]) -> str:
    """Return SYMBOL of the first `Income:Dividends:SYMBOL` posting, empty without one."""
    for leg in legs:
        parts = leg.posting.account.split(":")
        if parts[:2] == ["Income", "Dividends"] and len(parts) > 2:
            return parts[2]
    return ""


__all__ = ["CONTEXT", "DEFAULT_BOOKING", "Booking", "book", "book_with_faults"]
