"""Text of the supported Beancount subset → directives and faults.

The grammar is line based: a directive starts in column one, its postings and metadata follow on
indented lines. What this subset leaves out is refused with advice (pad, plugin, cost merging)
or, where it cannot change a position, ignored (note, document, event, query, other customs).
A faulty line costs only its own directive: parsing goes on, so all faults come at once.
"""

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from ledger.arithmetic import NotANumber, number
from ledger.currencies import MINOR_PER_WHOLE, MINOR_UNITS
from ledger.directives import (
    Amount,
    AnyDirective,
    Balance,
    Close,
    Commodity,
    CostSpec,
    Fault,
    Open,
    Parsed,
    Posting,
    Price,
    Split,
    Transaction,
)

BOOKING_METHODS = ("STRICT", "STRICT_WITH_SIZE", "FIFO", "LIFO", "HIFO", "AVERAGE")

_CURRENCY = r"[A-Z](?:[A-Z0-9'._\-]*[A-Z0-9])?"
# Above it a value in money, units times price, could not be kept to its last decimal.
_NUMBER_END = Decimal(10**12)
_NUMBER = r"[-+(\d.][-+*/().,\d\s]*"
_ACCOUNT = r"(?:Assets|Liabilities|Equity|Income|Expenses)(?::[\w\-]+)+"
_DATED = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})\s+(\S+)\s*(.*)", re.S)
_DATE = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})$")
# Metadata that says something to us; under a posting it would be lost without a word.
_OF_TRANSACTIONS = frozenset({"ex_date"})
_UNDATED = re.compile(r"(option|include|plugin|pushtag|poptag|pushmeta|popmeta)\b\s*(.*)")
_META = re.compile(r"([a-z][\w\-]*):(?:\s+(.*)|$)")
_POSTING = re.compile(rf"(?:[*!&#?%]\s+)?({_ACCOUNT})(?:\s+(.*))?$")
_UNITS = re.compile(rf"({_NUMBER}?)\s*({_CURRENCY})?\s*(\{{\{{.*\}}\}}|\{{.*\}})?\s*(?:(@@?)\s*(.*))?$")
_AMOUNT = re.compile(rf"({_NUMBER}?)\s*({_CURRENCY})$")
_BALANCE = re.compile(rf"({_ACCOUNT})\s+({_NUMBER}?)\s*(?:~\s*({_NUMBER}?)\s*)?({_CURRENCY})$")
_OPEN = re.compile(rf'({_ACCOUNT})(?:\s+({_CURRENCY}(?:\s*,\s*{_CURRENCY})*))?(?:\s+"(\w+)")?$')
# The most common forms of a first line and of a posting, read at once.
_PLAIN_HEADER = re.compile(r'(?:"([^"\\]*)"\s*)?"([^"\\]*)"$')
_PLAIN_UNITS = re.compile(r"(-?\d+(?:\.\d+)?) ([A-Z]{3})$")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_SPLIT = re.compile(rf'"split"\s+(?:"({_CURRENCY})"|({_CURRENCY}))\s+({_NUMBER})$')
# A comma ends a cost component unless it groups thousands ("1,500 USD").
_COMPONENTS = re.compile(r"(?<!\d)\s*,|,(?=\s)|,(?=\")")
_FLAGS = frozenset({"txn", "*", "!", "&", "#", "?", "%", "P", "S", "T", "C", "U", "R", "M"})
_NOTHING: frozenset[str] = frozenset()
_IGNORED = frozenset({"note", "document", "event", "query"})


class _Bad(Exception):
    """A line cannot be read; the text is the fault's message."""


def parse(text: str, file: str = "<text>") -> Parsed:
    """Read one ledger file.

    Args:
        text: the whole file.
        file: its name in faults and sources.

    Returns: directives in file order and every fault; a directive with a fault is left out.
    Cost: O(len(text)).
    """
    reader = _Reader(file)
    for line_number, line in enumerate(text.splitlines(), start=1):
        try:
            reader.line(line_number, line)
        except _Bad as bad:
            reader.fault(line_number, str(bad))
    reader.flush()
    return Parsed(
        tuple(reader.directives),
        tuple(reader.options),
        tuple(reader.includes),
        tuple(reader.faults),
    )


class _Reader:
    """The state between lines: the transaction or commodity that indented lines belong to."""

    def __init__(self, file: str):
        self.file = file
        self.directives: list[AnyDirective] = []
        self.options: list[tuple[str, str, int]] = []
        self.includes: list[tuple[str, int]] = []
        self.faults: list[Fault] = []
        self._tags: list[str] = []
        self._standing: list[tuple[str, str]] = []
        self._header: tuple[date, int, str, str, frozenset[str], frozenset[str]] | None = None
        self._postings: list[Posting] = []
        self._meta: dict[str, str] = {}
        self._spoilt = False
        self._inside = False

    def fault(self, line: int, message: str) -> None:
        self.faults.append(Fault(self.file, line, message))
        self._spoilt = True

    def line(self, line_number: int, raw: str) -> None:
        text = _without_comment(raw)
        stripped = text.strip()
        if not stripped:
            return
        if text[0] in " \t":
            self._indented(line_number, stripped)
            return
        self.flush()
        if text[0].isdigit():
            self._dated(line_number, stripped)
        elif found := _UNDATED.match(stripped):
            self._undated(line_number, found[1], found[2].strip())
        elif text[0] in "*:#!&%?":  # Beancount skips org-mode titles and similar lines
            return
        else:
            raise _Bad(f"expected a date, an option or an include, got {_short(stripped)}")

    def flush(self) -> None:
        """Close the open transaction: no more indented lines belong to it."""
        header, self._header = self._header, None
        if header is not None and not self._spoilt:
            on, line_number, payee, narration, tags, links = header
            self.directives.append(
                Transaction(
                    on,
                    self.file,
                    line_number,
                    payee,
                    narration,
                    tags | frozenset(self._tags) if self._tags else tags,
                    links,
                    {**dict(self._standing), **self._meta} if self._standing else self._meta,
                    tuple(self._postings),
                )
            )
        self._postings = []
        self._meta = {}
        self._spoilt = False
        self._inside = False

    def _undated(self, line_number: int, word: str, rest: str) -> None:
        strings = _strings(rest)
        if word == "option":
            if len(strings) != 2:
                raise _Bad(f'expected option "name" "value", got {_short(rest)}')
            if strings[0].startswith("name_"):
                raise _Bad("renamed root accounts are not supported: use the standard names")
            self.options.append((strings[0], strings[1], line_number))
        elif word == "include":
            if len(strings) != 1:
                raise _Bad(f'expected include "file", got {_short(rest)}')
            self.includes.append((strings[0], line_number))
        elif word == "plugin":
            raise _Bad(
                f"plugins are not supported ({_short(rest)}): expand the ledger with Beancount first"
                " (bean-query FILE print) and use that text"
            )
        elif word == "pushtag":
            self._tags.append(rest.lstrip("#"))
        elif word == "poptag":
            if rest.lstrip("#") not in self._tags:
                raise _Bad(f"poptag {rest} without its pushtag")
            self._tags.remove(rest.lstrip("#"))
        else:
            self._pushed(word, rest)

    def _pushed(self, word: str, rest: str) -> None:
        """Metadata for all transactions up to its `popmeta`; what they say themselves wins."""
        found = _META.match(rest)
        if found is None:
            raise _Bad(f"expected {word} key:{' value' if word == 'pushmeta' else ''}, got {_short(rest)}")
        if word == "pushmeta":
            self._standing.append((found[1], _meta_value(found[2])))
            return
        for at in range(len(self._standing) - 1, -1, -1):
            if self._standing[at][0] == found[1]:
                del self._standing[at]
                return
        raise _Bad(f"popmeta {rest} without its pushmeta")

    def _dated(self, line_number: int, text: str) -> None:
        found = _DATED.match(text)
        if found is None:
            raise _Bad(f"expected a date and a directive, got {_short(text)}")
        on = _date(found[1], found[2], found[3])
        word, rest = found[4], found[5].strip()
        self._inside = True
        if word in _FLAGS:
            payee, narration, tags, links = _header(rest)
            self._header = (on, line_number, payee, narration, tags, links)
        elif word in _IGNORED:
            return
        elif word == "pad":
            raise _Bad(
                "pad is not supported: write the padding transaction out"
                " (Beancount prints it: bean-query FILE print) and drop the pad"
            )
        elif (read := _DIRECTIVES.get(word)) is not None:
            made = read(on, self.file, line_number, rest, self._meta)
            if made is not None:
                self.directives.append(made)
        else:
            raise _Bad(
                f"unknown directive {_short(word)}; expected * ! txn open close commodity"
                " balance price custom note document event query"
            )

    def _indented(self, line_number: int, text: str) -> None:
        # Under a line that was refused there is no directive either; that line's fault says enough.
        if not self._inside and not self._spoilt:
            raise _Bad(f"indented line belongs to no directive: {_short(text)}")
        if found := _META.match(text):
            # Metadata of a posting is read and dropped; that of the directive is kept.
            if not self._postings:
                self._meta[found[1]] = _meta_value(found[2])
            elif found[1] in _OF_TRANSACTIONS:
                raise _Bad(f"{found[1]} belongs to the transaction: write it above the postings")
            return
        if self._header is None:
            if self._spoilt:
                return  # the directive itself was refused; its lines add nothing
            raise _Bad(f"only metadata may stand under this directive, got {_short(text)}")
        if text[0] in "#^":
            return
        found = _POSTING.match(text)
        if found is None:
            raise _Bad(f"expected an account and an amount, got {_short(text)}")
        self._postings.append(_posting(found[1], (found[2] or "").strip(), line_number))


def _meta_value(text: str | None) -> str:
    value = (text or "").strip()
    strings = _STRING.match(value)
    return strings[1] if strings else value


def _posting(account: str, rest: str, line_number: int) -> Posting:
    if not rest:
        return Posting(account, None, None, None, False, line_number)
    if plain := _PLAIN_UNITS.match(rest):
        return Posting(account, Amount(_bounded(Decimal(plain[1]), rest), plain[2]), None, None, False, line_number)
    found = _UNITS.match(rest)
    if found is None:
        raise _Bad(f"expected NUMBER COMMODITY [{{cost}}] [@ price], got {_short(rest)}")
    text, currency, braces, at, price_text = found.groups()
    if not text.strip() or currency is None:
        raise _Bad(f"a posting needs a number and a commodity, or neither; got {_short(rest)}")
    units = Amount(_number(text), currency)
    cost = _cost(braces) if braces else None
    price = None
    if at:
        price = _whole(_amount(price_text.strip(), "a price after @"))
        if price.number < 0:
            raise _Bad(f"a price cannot be negative: {_short(price_text)}")
    return Posting(account, units, cost, price, at == "@@", line_number)


def _cost(braces: str) -> CostSpec:
    total = braces.startswith("{{")
    body = braces.strip("{}").strip()
    value: Decimal | None = None
    currency: str | None = None
    acquired: date | None = None
    label: str | None = None
    for part in _COMPONENTS.split(body) if body else ():
        part = part.strip()
        if found := _DATE.match(part):
            acquired = _date(found[1], found[2], found[3])
        elif found := _STRING.match(part):
            label = found[1]
        elif part == "*":
            raise _Bad('cost merging {*} is not supported: open the account with "AVERAGE"')
        elif "#" in part:
            raise _Bad("compound costs {a # b} are not supported: write the total {{…}}")
        elif re.fullmatch(_CURRENCY, part):
            currency = part
        else:
            amount = _whole(_amount(part, "a cost"))
            value, currency = amount.number, amount.currency
            if value < 0:
                raise _Bad(f"a cost cannot be negative: {_short(part)}")
    return CostSpec(value, currency, acquired, label, total)


def _open(on: date, file: str, line: int, rest: str, meta: Mapping[str, str]) -> Open:
    found = _OPEN.match(rest)
    if found is None:
        raise _Bad(f'expected open ACCOUNT [CURRENCIES] ["BOOKING"], got {_short(rest)}')
    booking = found[3]
    if booking is not None and booking not in BOOKING_METHODS:
        raise _Bad(f"booking method {booking!r} is not one of {', '.join(BOOKING_METHODS)}")
    currencies = tuple(part.strip() for part in found[2].split(",")) if found[2] else ()
    return Open(on, file, line, found[1], currencies, booking)


def _close(on: date, file: str, line: int, rest: str, meta: Mapping[str, str]) -> Close:
    if not re.fullmatch(_ACCOUNT, rest):
        raise _Bad(f"expected close ACCOUNT, got {_short(rest)}")
    return Close(on, file, line, rest)


def _commodity(on: date, file: str, line: int, rest: str, meta: Mapping[str, str]) -> Commodity:
    if not re.fullmatch(_CURRENCY, rest):
        raise _Bad(f"expected commodity SYMBOL, got {_short(rest)}")
    return Commodity(on, file, line, rest, meta)


def _price(on: date, file: str, line: int, rest: str, meta: Mapping[str, str]) -> Price:
    symbol, _, amount = rest.partition(" ")
    if not re.fullmatch(_CURRENCY, symbol):
        raise _Bad(f"expected price SYMBOL AMOUNT, got {_short(rest)}")
    return Price(on, file, line, symbol, _whole(_amount(amount.strip(), "a price")))


def _balance(on: date, file: str, line: int, rest: str, meta: Mapping[str, str]) -> Balance:
    found = _BALANCE.match(rest)
    if found is None or not found[2].strip():
        raise _Bad(f"expected balance ACCOUNT NUMBER COMMODITY, got {_short(rest)}")
    tolerance = _number(found[3]) if found[3] else None
    return Balance(on, file, line, found[1], Amount(_number(found[2]), found[4]), tolerance)


def _custom(on: date, file: str, line: int, rest: str, meta: Mapping[str, str]) -> Split | None:
    if not rest.startswith('"split"'):
        return None
    found = _SPLIT.match(rest)
    if found is None:
        raise _Bad(f'expected custom "split" "SYMBOL" RATIO, got {_short(rest)}')
    ratio = _number(found[3])
    if ratio <= 0:
        raise _Bad(f"a split ratio must be above zero, got {ratio}")
    return Split(on, file, line, found[1] or found[2], ratio)


_DIRECTIVES = {
    "open": _open,
    "close": _close,
    "commodity": _commodity,
    "price": _price,
    "balance": _balance,
    "custom": _custom,
}


def _header(rest: str) -> tuple[str, str, frozenset[str], frozenset[str]]:
    """Return payee, narration, tags and links of a transaction's first line."""
    if plain := _PLAIN_HEADER.match(rest):
        return plain[1] or "", plain[2], _NOTHING, _NOTHING
    strings = _strings(rest)
    if len(strings) > 2:
        raise _Bad(f"expected at most a payee and a narration, got {len(strings)} strings")
    left = _STRING.sub(" ", rest).split()
    for word in left:
        if word[0] not in "#^" or len(word) == 1:
            raise _Bad(f"expected strings, #tags or ^links, got {_short(word)}")
    payee = strings[0] if len(strings) == 2 else ""
    return (
        payee,
        strings[-1] if strings else "",
        frozenset(word[1:] for word in left if word[0] == "#"),
        frozenset(word[1:] for word in left if word[0] == "^"),
    )


def _strings(text: str) -> list[str]:
    if text.count('"') % 2 and '\\"' not in text:
        raise _Bad(f"a string must end on the line it starts on: {_short(text)}")
    return _STRING.findall(text)


def _amount(text: str, what: str) -> Amount:
    found = _AMOUNT.match(text)
    if found is None or not found[1].strip():
        raise _Bad(f"expected {what} as NUMBER COMMODITY, got {_short(text)}")
    return Amount(_number(found[1]), found[2])


def _whole(amount: Amount) -> Amount:
    """Return a price or cost quoted in hundredths, as pence are, in its currency."""
    whole = MINOR_UNITS.get(amount.currency)
    return amount if whole is None else Amount(amount.number / MINOR_PER_WHOLE, whole)


def _number(text: str) -> Decimal:
    try:
        return _bounded(number(text), text)
    except NotANumber as bad:
        raise _Bad(str(bad)) from None


def _bounded(value: Decimal, text: str) -> Decimal:
    if abs(value) >= _NUMBER_END:
        raise _Bad(f"expected a number below {_NUMBER_END:,}, got {_short(text)}")
    return value


def _date(year: str, month: str, day: str) -> date:
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        raise _Bad(f"no such day: {year}-{month}-{day}") from None


def _without_comment(line: str) -> str:
    """Cut a `;` comment that is not inside a string."""
    if ";" not in line:
        return line.rstrip()
    if '"' not in line:
        return line[: line.index(";")].rstrip()
    inside = False
    for index, char in enumerate(line):
        if char == '"' and (index == 0 or line[index - 1] != "\\"):
            inside = not inside
        elif char == ";" and not inside:
            return line[:index].rstrip()
    return line.rstrip()


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "…")
