from decimal import Decimal

from db.pack_checks import check_content
from db.pack_content import PackContent, PriceRow, RateRow
from tests.db.market import FRIDAY, MONDAY, content


def rate(base: str, quote: str, value: str) -> RateRow:
    return RateRow(base, quote, Decimal(value), FRIDAY, "syn")


def findings(now: PackContent, before: PackContent | None = None) -> list[tuple[str, bool, str]]:
    return [(finding.kind, finding.fault, finding.subject) for finding in check_content(now, before)]


def test_a_good_pack_has_no_findings() -> None:
    assert findings(content(MONDAY), content(FRIDAY)) == []


def test_no_rows_is_a_fault() -> None:
    assert findings(PackContent((), ())) == [("empty", True, "")]


def test_what_is_gone_and_what_jumped_is_noted() -> None:
    now = content(MONDAY, close="13.2", usd="0.8", pence=None)
    assert findings(now, content(FRIDAY)) == [
        ("coverage", False, "SYN-P"),
        ("jump", False, "SYN-A"),
        ("jump", False, "EUR/USD"),
    ]


def test_all_prices_gone_is_a_fault() -> None:
    now = PackContent((), content(MONDAY).rates)
    assert findings(now, content(FRIDAY)) == [("coverage", True, "")]
    assert findings(now, PackContent((), content(FRIDAY).rates)) == findings(now) == []


def test_a_quarter_is_not_a_jump() -> None:
    assert findings(content(MONDAY, close="12.5"), content(FRIDAY, close="10")) == []
    assert findings(content(MONDAY, close="12.51"), content(FRIDAY, close="10")) == [("jump", False, "SYN-A")]


def test_prices_in_a_currency_without_a_rate() -> None:
    price = PriceRow("SYN-C", Decimal(1), "CHF", FRIDAY, "syn")
    assert findings(PackContent((price,), (rate("EUR", "USD", "1.1"),))) == [("coverage", False, "CHF")]
    assert findings(PackContent((price,), ())) == []


def test_inverse_pairs_must_agree_up_to_the_rounding_of_what_is_stored() -> None:
    good = (rate("USD", "JPY", "142.5"), rate("JPY", "USD", "0.0070175439"))
    bad = (rate("USD", "JPY", "142.5"), rate("JPY", "USD", "0.0070176"))
    assert findings(PackContent((), good)) == []
    assert findings(PackContent((), bad)) == [("triangulation", True, "JPY/USD × USD/JPY")]


def test_triangles_must_close_in_whatever_direction_they_are_stored() -> None:
    good = (rate("EUR", "USD", "1.25"), rate("EUR", "GBP", "0.8"), rate("GBP", "USD", "1.5625"))
    bad = (rate("EUR", "USD", "1.25"), rate("EUR", "GBP", "0.8"), rate("GBP", "USD", "1.6"))
    assert findings(PackContent((), good)) == []
    assert findings(PackContent((), bad)) == [("triangulation", True, "EUR/GBP × GBP/USD × 1/(EUR/USD)")]
