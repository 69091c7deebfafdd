"""Securities of an import: those its prices and names make, and the identifiers that say which one is meant."""

from collections.abc import Sequence
from datetime import date
from itertools import combinations

from analytics.fx import MINOR_UNITS
from db.identifiers import Identifier, IdentifierRepository, UnknownSecurities, symbol_on
from db.pack_series import Security
from db.pack_writer import PackWriter
from services.pack_import_report import Doubtful
from services.pack_import_request import GivenIdentifier, GivenPrice, ImportRequest
from services.security_codes import STANDARDS
from topics.errors import Code, TerminalError


async def securities_of(writer: PackWriter, request: ImportRequest, prices: Sequence[GivenPrice]) -> list[Security]:
    """Return the securities to make or rename; a symbol quoted in two currencies is refused."""
    symbols = {row.symbol for row in prices} | {row.symbol for row in request.securities}
    known = await writer.known_securities(sorted(symbols))
    quoted: dict[str, str] = {}
    for row in prices:
        before = quoted.setdefault(row.symbol, row.currency)
        if before != row.currency:
            raise TerminalError(
                Code.INVALID_INPUT, f"{row.symbol} is quoted in {before} and in {row.currency} on {row.observed_on}"
            )
    named = {row.symbol: row for row in request.securities}
    made: list[Security] = []
    for symbol in sorted({*quoted, *named}):
        have, said = known.get(symbol), named.get(symbol)
        currency = quoted.get(symbol)
        if currency is None and have is None:
            continue  # a name without a price: nothing is known of its currency yet
        made.append(
            Security(
                symbol=symbol,
                name=said.name if said and said.name else have.name if have else "",
                trading_ccy=MINOR_UNITS.get(currency, currency) if currency else have.trading_ccy if have else "",
                exchange_mic=said.exchange_mic if said and said.exchange_mic else have.exchange_mic if have else None,
                price_unit=(100 if currency in MINOR_UNITS else 1) if currency else have.price_unit if have else 1,
            )
        )
    return made


async def require_securities(
    writer: PackWriter, identifiers: Sequence[GivenIdentifier], made: Sequence[Security]
) -> None:
    """Refuse identifiers of securities that are neither there nor about to be made.

    Raises:
        UnknownSecurities: see there.
    """
    symbols = {row.symbol for row in identifiers} - {security.symbol for security in made}
    if unknown := symbols - set(await writer.known_securities(sorted(symbols))):
        raise UnknownSecurities(sorted(unknown))


async def add_identifiers(codes: IdentifierRepository, given: Sequence[GivenIdentifier], source: str) -> int:
    """Add identifiers and return how many were new or changed."""
    return await codes.add(
        [Identifier(row.symbol, row.scheme, row.value, row.first, row.last) for row in given], source
    )


async def doubtful(codes: IdentifierRepository, given: Sequence[GivenIdentifier]) -> list[Doubtful]:
    """Return each pair of codes of one standard scheme that one of these securities has on the same day."""
    found: list[Doubtful] = []
    for symbol in sorted({row.symbol for row in given if row.scheme in STANDARDS}):
        known = [row for row in await codes.of(symbol) if row.scheme in STANDARDS]
        for one, other in combinations(known, 2):
            since, until = max(one.valid_from, other.valid_from), min(one.valid_to, other.valid_to)
            if one.scheme == other.scheme and since <= until:
                begins = "" if since == date.min else f" from {since}"
                ends = "" if until == date.max else f" to {until}"
                when = f"{begins}{ends}" or " at all times"
                message = f"{one.scheme} {one.value} and {other.value} both mean it{when}"
                found.append(Doubtful(symbol, message))
    return found


async def identified(codes: IdentifierRepository, scheme: str, prices: Sequence[GivenPrice]) -> tuple[GivenPrice, ...]:
    """Return the prices under our symbols, each code looked up on the day of its price.

    Raises:
        TerminalError: INVALID_INPUT for codes that name no security on that day.
    """
    named = await codes.named(scheme, sorted({row.symbol for row in prices}))
    found: list[GivenPrice] = []
    unknown: dict[str, date] = {}
    for row in prices:
        symbol = symbol_on(named.get(row.symbol, ()), row.observed_on)
        if symbol is None:
            unknown.setdefault(row.symbol, row.observed_on)
        else:
            found.append(row.model_copy(update={"symbol": symbol}))
    if unknown:
        listed = ", ".join(f"{code} on {on}" for code, on in sorted(unknown.items())[:10])
        raise TerminalError(Code.INVALID_INPUT, f"{len(unknown)} {scheme} code(s) name no security: {listed}")
    return tuple(found)
