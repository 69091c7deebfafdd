"""`dawsos try`: a user's own ledger and price files as the data of an agent runtime, without any server."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from uuid import NAMESPACE_URL, UUID, uuid5

from agents.ports import Portfolio
from analytics.fx import MINOR_UNITS
from ledger.sources import Tree, UnknownLedger, from_disk
from services.ledgers import TextLedger
from services.local_packs import POLICY, LocalPacks
from services.price_files import FilesRejected, read_prices, read_rates
from topics.errors import Code, Fault, TerminalError

TENANT = "local"
_NAMESPACE = uuid5(NAMESPACE_URL, "dawsos-executor:local")
USER_ID = uuid5(_NAMESPACE, "user")
EXAMPLE = Path(__file__).resolve().parent.parent / "data" / "example"
EXAMPLE_BASE_CCY = "CAD"


@dataclass(frozen=True, slots=True)
class LocalPortfolio:
    """The one portfolio of a ledger file; see `agents.ports.Portfolio`."""

    id: UUID
    name: str
    base_ccy: str
    ledger_path: str
    booking: str
    benchmark_id: str | None = None
    policy: str = POLICY


class LocalPortfolios:
    """Portfolios in memory, each with its owner; see `agents.ports.PortfolioPort`.

    Args:
        owned: (tenant, user, portfolio).
    """

    def __init__(self, owned: Sequence[tuple[str, UUID, Portfolio]]) -> None:
        self._owned: Mapping[tuple[str, UUID, UUID], Portfolio] = {
            (tenant, user_id, portfolio.id): portfolio for tenant, user_id, portfolio in owned
        }

    async def get(self, tenant: str, user_id: UUID, portfolio_id: UUID) -> Portfolio | None:
        """Return the portfolio; None when there is none or it is someone else's."""
        return self._owned.get((tenant, user_id, portfolio_id))


@dataclass(frozen=True, slots=True)
class LocalData:
    """Checked files, ready for agents.

    Attributes:
        portfolio: deterministic id, from the name of the ledger's main file.
        ledger: booked; its commit is a digest of the ledger's text.
    """

    portfolio: LocalPortfolio
    ledger: TextLedger
    packs: LocalPacks


def read_local_data(
    ledger: Path,
    prices: Path,
    fx: Path | None,
    base_ccy: str,
    start: date | None = None,
    booking: str | None = None,
) -> LocalData:
    """Read and check a user's files.

    Args:
        ledger: Beancount file, or a directory with `main.beancount` or one `*.beancount`.
        prices: CSV `date,symbol,close,currency`.
        fx: CSV `date,base,quote,rate`; None when everything is in the base currency.
        base_ccy: ISO code of the currency to report in.
        start: first day to value; earlier bookings make up the opening value.
        booking: method where the ledger names none; None means FIFO.

    Raises:
        FilesRejected: every fault of all three files, as `file:line: message`.
    """
    faults: list[Fault] = []
    tree: Tree | None = None
    if len(base_ccy) != 3 or not (base_ccy.isascii() and base_ccy.isalpha() and base_ccy.isupper()):
        faults.append(Fault("--base", "", f"expected a currency code like CAD, got {base_ccy!r}"))
    elif base_ccy in MINOR_UNITS:
        whole = MINOR_UNITS[base_ccy]
        faults.append(
            Fault("--base", "", f"{base_ccy} is a unit of prices, nothing is reported in it: expected {whole}")
        )
    book: TextLedger | None = None
    try:
        tree = from_disk(ledger)
        book = TextLedger(tree, booking)
        book.booked()
    except UnknownLedger as error:
        faults.append(Fault("--ledger", "", str(error)))
    except OSError as error:
        faults.append(Fault("--ledger", "", f"cannot read {error.filename or ledger}: {error.strerror}"))
    except TerminalError as error:
        if error.code is not Code.LEDGER_INVALID:
            raise
        listed = error.details.get("faults")
        texts = listed if isinstance(listed, list) else [error.message]
        faults += [Fault("", "", str(text)) for text in texts]
    price_rows, price_faults = read_prices(prices)
    rate_rows, rate_faults = read_rates(fx) if fx is not None else ([], [])
    faults += price_faults + rate_faults
    if start is not None and price_rows and start > price_rows[-1][0]:
        faults.append(Fault("--start", "", f"expected a day up to the last price, {price_rows[-1][0]}, got {start}"))
    if faults or tree is None or book is None:
        raise FilesRejected(tuple(faults))
    portfolio = LocalPortfolio(
        id=uuid5(_NAMESPACE, f"portfolio:{tree.main}"),
        name=Path(tree.main).stem,
        base_ccy=base_ccy,
        ledger_path=tree.main,
        booking=booking or "FIFO",
    )
    return LocalData(portfolio, book, LocalPacks(price_rows, rate_rows, start))


def example_data(start: date | None = None) -> LocalData:
    """Return the bundled example: two years of AAPL, IBM and MSFT in three currencies, reported in CAD."""
    return read_local_data(
        EXAMPLE / "ledger.beancount", EXAMPLE / "prices.csv", EXAMPLE / "fx.csv", EXAMPLE_BASE_CCY, start
    )
