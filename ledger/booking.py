"""Directives → booked rows: lots, cash, flows and income, one pass in date order.

A posting of a security (a commodity held at cost) changes lots; a posting of money to an
`Assets:` or `Liabilities:` account changes cash; postings to `Equity:`, `Income:` and `Expenses:`
say why. Units that run against the open lots close them by the account's booking method; units
beyond the holding open a position on the other side, so selling more than is held goes short.

Nothing here rounds: Decimal with 28 digits, as `CONTEXT`.
"""

from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation, localcontext

from ledger.accounts import Accounts
from ledger.balancing import (
    ToleranceRule,
    price_weight,
    residual,
    rounded,
    unbalanced,
)
from ledger.booked import Booked, Booking, content_hash, plain
from ledger.currencies import CURRENCIES, MINOR_PER_WHOLE, MINOR_UNITS
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
from ledger.effects import write
from ledger.inventory import Change, Inventory, NoMatch, OpenLot
from ledger.legs import Leg, Refused
from ledger.loading import Loaded, load
from ledger.rows import RowWriter
from ledger.sources import Tree
from ledger.splitting import split_ratios

CONTEXT = Context(prec=28, rounding=ROUND_HALF_EVEN)
ZERO = Decimal(0)
DEFAULT_BOOKING = "FIFO"


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
    return book_loaded(load(tree), booking)


def book_loaded(loaded: Loaded, booking: str | None = None) -> tuple[Booked, tuple[Fault, ...]]:
    """Book what was loaded already; see `book_with_faults`."""
    with localcontext(CONTEXT):
        booker = _Booker(loaded, booking)
        booker.run()
    faults = sorted((*loaded.faults, *booker.faults), key=lambda fault: (fault.file, fault.line))
    rows = booker.out.rows()
    base = loaded.options.get("operating_currency", (None,))[0]
    title = loaded.options.get("title", ("",))[0]
    return Booked(rows, content_hash(rows), base, title), tuple(faults)


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
            except Refused as refused:
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
        held = [
            account for (account, symbol), has in sorted(self.inventories.items()) if symbol == entry.symbol and has.qty
        ]
        if not held and entry.symbol not in self.securities:
            raise Refused(entry.line, f"split of {entry.symbol}, which this ledger never holds")
        for account in held:
            self._split_lots(entry, account, entry.symbol, entry.ratio)

    def _split_lots(self, entry: Split | Transaction, account: str, symbol: str, ratio: Decimal) -> None:
        inventory = self.inventories[(account, symbol)]
        before = inventory.qty
        for change in inventory.split(ratio):
            self.out.split(entry, account, symbol, change, ratio)
        self.accounts.move(account, Amount(inventory.qty - before, symbol))

    # ── transactions ──────────────────────────────────────────────────────────────────────

    def _transaction(self, entry: Transaction) -> None:
        problem = self.accounts.problem
        for posting in entry.postings:
            units = posting.units
            why = problem(posting.account, units.currency if units is not None else None, entry.on)
            if why:
                raise Refused(posting.line, why)
        ratios = split_ratios(entry, self.inventories)
        if ratios:
            for account, (symbol, ratio) in ratios.items():
                self._split_lots(entry, account, symbol, ratio)
            return
        tolerances = self.rule.of(entry.postings)
        legs = [self._leg(entry, posting) for posting in entry.postings if not _moves_nothing(posting)]
        legs = self._complete(entry, legs, tolerances)
        left = residual(leg.weight for leg in legs if leg.weight is not None)
        over = unbalanced(left, tolerances) if left else None
        if over:
            raise Refused(entry.line, f"the transaction does not balance: {over}")
        for leg in legs:
            if leg.units is not None:
                self.accounts.move(leg.posting.account, leg.units)
        write(self.out, entry, legs)

    def _leg(self, entry: Transaction, posting: Posting) -> Leg:
        """Weigh a posting; one with a cost is matched with the lots it closes or opens."""
        units = posting.units
        root = posting.account.partition(":")[0]
        if units is None:
            return Leg(posting, root, None, None, [])
        if posting.cost is not None:
            return self._lot_leg(entry, posting, root, units, posting.cost)
        currency = units.currency
        if currency not in CURRENCIES and (root == "Assets" or root == "Liabilities"):
            self._refuse_units(posting.line, units)
        return Leg(posting, root, units, price_weight(units, posting), [])

    def _refuse_units(self, line: int, units: Amount) -> None:
        if units.currency in self.securities:
            raise Refused(
                line,
                f"{units.currency} is held at cost elsewhere: write a cost here too,"
                " e.g. {150 USD} coming in or {} going out",
            )
        whole = MINOR_UNITS.get(units.currency)
        if whole is not None:
            raise Refused(
                line,
                f"{units.currency} is a unit of prices, no account is kept in it:"
                f" write {plain(units.number / MINOR_PER_WHOLE)} {whole}",
            )
        raise Refused(
            line,
            f"{units.currency} is no ISO 4217 currency: a security needs a cost,"
            f" e.g. {units.number:f} {units.currency} {{150 USD}}",
        )

    def _lot_leg(self, entry: Transaction, posting: Posting, root: str, units: Amount, spec: CostSpec) -> Leg:
        if not units.number:
            raise Refused(posting.line, f"0 {units.currency} at a cost: expected units, or no posting")
        inventory = self._inventory(posting.account, units.currency)
        left = units.number
        changes: list[Change] = []
        if inventory.qty and (inventory.qty > 0) != (left > 0):
            try:
                changes = inventory.reduce(left, spec)
            except NoMatch as refused:
                raise Refused(posting.line, f"{units.currency}: {refused}") from None
            left -= sum((change.qty for change in changes), ZERO)
        leg = Leg(posting, root, units, None, changes)
        if left:
            unit = self._unit_cost(posting, units, spec, reducing=bool(changes))
            if unit is None and changes:
                raise Refused(
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
            raise Refused(
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
        moved: Change | None = None,
    ) -> Change:
        """Open a lot; `moved` is the piece of a lot it continues, whose day, label and cost it keeps."""
        self.order += 1
        spec = posting.cost
        acquired, label, cost = entry.on, spec.label if spec else None, qty * unit.number
        if spec is not None and spec.acquired is not None:
            acquired = spec.acquired
        elif moved is not None:
            acquired, label, cost = moved.lot.acquired, label or moved.lot.label, -moved.cost
        lot = OpenLot(
            lot=f"{entry.file}:{posting.line}#{self.order}",
            acquired=acquired,
            order=self.order,
            currency=unit.currency,
            label=label,
            qty=qty,
            cost=cost,
            unit=unit.number,
        )
        try:
            return inventory.add(lot)
        except NoMatch as refused:
            raise Refused(posting.line, str(refused)) from None

    def _complete(self, entry: Transaction, legs: list[Leg], tolerances: Mapping[str, Decimal]) -> list[Leg]:
        """Fill the one missing amount or unit cost so that the transaction balances."""
        missing = [leg for leg in legs if leg.units is None or leg.hole]
        if not missing:
            return legs
        if len(missing) > 1:
            raise Refused(
                missing[1].posting.line,
                "only one posting of a transaction may leave its amount (or {} cost) out",
            )
        leg = missing[0]
        left = residual(other.weight for other in legs if other.weight is not None)
        if leg.hole and leg.units is not None:
            return self._fill_cost(entry, legs, leg, leg.units, left)
        made: list[Leg] = []
        for currency, number in left.items():
            fill = Amount(rounded(-number, currency, tolerances), currency)
            if fill.number:
                made.append(Leg(leg.posting, leg.root, fill, fill, []))
        for new in made:
            if new.units is not None and new.units.currency in self.securities:
                raise Refused(leg.posting.line, f"cannot infer a {new.units.currency} position")
        return [new for other in legs for new in (made if other is leg else [other])]

    def _fill_cost(
        self,
        entry: Transaction,
        legs: list[Leg],
        leg: Leg,
        units: Amount,
        left: Mapping[str, Decimal],
    ) -> list[Leg]:
        moved = _moved(legs, leg, units)
        if moved:
            inventory = self._inventory(leg.posting.account, units.currency)
            for piece in moved:
                unit = Amount(piece.cost / piece.qty, piece.lot.currency)
                leg.changes.append(self._put(entry, leg.posting, inventory, -piece.qty, unit, piece))
            leg.weight = Amount(-sum((piece.cost for piece in moved), ZERO), moved[0].lot.currency)
            leg.hole = False
            return legs
        if len(left) != 1:
            raise Refused(
                leg.posting.line,
                f"no open lot to close and no cost to open one: write {{cost}} for {units.number:f} {units.currency}",
            )
        [(currency, number)] = left.items()
        unit = Amount(-number / units.number, currency)
        if unit.number < 0:
            raise Refused(leg.posting.line, f"the cost left over is negative: {unit.number:f} {currency}")
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


def _moves_nothing(posting: Posting) -> bool:
    """Whether a posting moves no units and names no cost: Beancount drops it, and refuses one that names a cost."""
    units, cost = posting.units, posting.cost
    return units is not None and not units.number and cost is not None and cost.number is None


def _moved(legs: Iterable[Leg], into: Leg, units: Amount) -> list[Change]:
    """Return the lot pieces that units coming in without a cost continue: as many of the same security go out.

    So `{}` on both sides moves a security between accounts with its lots, costs and acquisition days.
    """
    pieces = [
        change
        for leg in legs
        if leg is not into and leg.units is not None and leg.units.currency == units.currency
        for change in leg.changes
    ]
    whole = sum((piece.qty for piece in pieces), ZERO) == -units.number
    one_currency = len({piece.lot.currency for piece in pieces}) == 1
    return pieces if whole and one_currency and all(piece.closes for piece in pieces) else []


__all__ = ["CONTEXT", "DEFAULT_BOOKING", "Booking", "book", "book_loaded", "book_with_faults"]
