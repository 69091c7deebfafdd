"""Exchange rates: direction, crosses, carrying, minor units; and never 1.0 for an unknown one."""

from datetime import date
from decimal import Decimal

import pytest

from analytics.fx import FxHistory, InconsistentRates, Rates, from_minor_unit

D = Decimal
# ECB euro reference rates of 2004-12-31.
ECB = [("EUR", "USD", D("1.3621")), ("EUR", "CAD", D("1.6416"))]


def test_a_cross_goes_through_the_pivot_with_one_rounding() -> None:
    rates = Rates(ECB)
    assert rates.rate("USD", "CAD") == D("1.6416") / D("1.3621")
    assert rates.rate("EUR", "CAD") == D("1.6416")
    assert rates.rate("CAD", "EUR") == 1 / D("1.6416")
    forth, back = rates.rate("USD", "CAD"), rates.rate("CAD", "USD")
    assert forth is not None
    assert back is not None
    assert abs(forth * back - 1) < D("1e-26")


def test_rows_in_either_direction_mean_the_same() -> None:
    fred = Rates([("USD", "CAD", D("1.2")), ("GBP", "USD", D("1.9"))])
    assert fred.rate("USD", "CAD") == D("1.2")
    assert fred.rate("GBP", "CAD") == D("2.28")
    assert fred.rate("CAD", "GBP") == pytest.approx(1 / D("2.28"))


def test_an_unknown_rate_is_none_and_the_base_itself_one() -> None:
    rates = Rates(ECB)
    assert rates.rate("GBP", "CAD") is None
    assert rates.rate("CAD", "GBP") is None
    assert rates.rate("CAD", "CAD") == 1
    assert Rates([]).rate("USD", "CAD") is None


@pytest.mark.parametrize(
    "rows",
    [
        [("EUR", "USD", D(0))],
        [("EUR", "USD", D("-1.3"))],
        [("USD", "USD", D(1))],
        [("EUR", "USD", D("1.25")), ("USD", "EUR", D("0.8001"))],
    ],
)
def test_impossible_rates_are_refused(rows: list[tuple[str, str, Decimal]]) -> None:
    with pytest.raises(InconsistentRates):
        Rates(rows)


def test_a_rate_is_carried_for_five_days_and_says_how_old_it_is() -> None:
    history = FxHistory([(date(2004, 12, 31), *row) for row in ECB])
    for age in range(6):
        found = history.rate("EUR", "CAD", date(2004, 12, 31).replace() if not age else date(2005, 1, age))
        assert found is not None
        assert (found.rate, found.age_days) == (D("1.6416"), age)
    assert history.rate("EUR", "CAD", date(2005, 1, 6)) is None
    assert history.rate("EUR", "CAD", date(2004, 12, 30)) is None


def test_a_newer_day_without_the_pair_does_not_hide_an_older_one() -> None:
    history = FxHistory([(date(2004, 12, 30), *ECB[0]), (date(2004, 12, 31), "EUR", "CAD", D("1.6416"))])
    found = history.rate("EUR", "USD", date(2004, 12, 31))
    assert found is not None
    assert (found.rate, found.age_days) == (D("1.3621"), 1)


def test_pence_are_prices_not_money() -> None:
    assert from_minor_unit("GBX", D(1234)) == ("GBP", D("12.34"))
    assert from_minor_unit("ZAc", D(50)) == ("ZAR", D("0.5"))
    assert from_minor_unit("GBP", D(1234)) == ("GBP", D(1234))
