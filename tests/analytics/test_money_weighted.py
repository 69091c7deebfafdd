"""Money-weighted and modified Dietz returns against published examples, and the refusals."""

from datetime import date
from decimal import Decimal as D

import pytest
import pyxirr
from hypothesis import given
from hypothesis import strategies as st

from analytics.dietz import modified_dietz
from analytics.money_weighted import money_weighted


def test_xirr_of_the_spreadsheet_manual() -> None:
    # Microsoft Excel help, function XIRR: 0.373362535.
    found = money_weighted(
        [
            (date(2008, 1, 1), D(-10_000)),
            (date(2008, 3, 1), D(2_750)),
            (date(2008, 10, 30), D(4_250)),
            (date(2009, 2, 15), D(3_250)),
            (date(2009, 4, 1), D(2_750)),
        ]
    )
    assert found.annual == pytest.approx(0.373362535, abs=1e-8)
    assert found.period == pytest.approx(1.373362535 ** (456 / 365) - 1, abs=1e-8)


def test_below_a_year_it_is_not_annualised() -> None:
    found = money_weighted([(date(2020, 1, 1), D(-100)), (date(2020, 7, 1), D(110))])
    assert found.period == pytest.approx(0.10) and found.annual is None and "one year" in found.reason


@pytest.mark.parametrize(
    ("days", "out", "expected"),
    [
        # One payment in and one out: the period's return is out / in − 1, whatever the annual rate would be.
        (4, "700", -0.3),  # the annual rate lies within a rounding of −100%
        (1, "890", -0.11),
        (1, "42", -0.958),
        (1, "0.001", -0.999999),
        (3, "1000", 0.0),
        (2, "5000", 4.0),
    ],
)
def test_a_few_days_lose_no_digits(days: int, out: str, expected: float) -> None:
    found = money_weighted([(date(2020, 1, 1), D(-1000)), (date(2020, 1, 1 + days), D(out))])
    assert found.period == pytest.approx(expected, abs=1e-15) and found.annual is None


def test_a_steep_first_month_of_ten_years() -> None:
    # 1,000 grow by half within 30 days and are paid out; the last 1 of ten years hardly matters.
    found = money_weighted([(date(2010, 1, 1), D(-1000)), (date(2010, 1, 31), D(1500)), (date(2020, 1, 1), D(1))])
    assert found.annual == pytest.approx(1.5 ** (365 / 30) - 1, rel=1e-6)


@pytest.mark.parametrize(
    ("amounts", "why"),
    [
        # 25% and 400% both solve it (Descartes' classic pump example; a solver alone prints 400%).
        ((-1_600, 10_000, -10_000), "more than one rate"),
        ((-1_000, 2_360, -1_392), "more than one rate"),  # 16% and 20%
        ((100, 100, 100), "one sign"),
        ((-100, -100, 0), "one sign"),
        ((100, -200, 150), "no rate"),  # no real root
        ((0, 0, 0), "fewer than two"),
    ],
)
def test_no_or_several_roots_are_refused(amounts: tuple[int, ...], why: str) -> None:
    found = money_weighted([(date(2019 + at, 1, 1), D(amount)) for at, amount in enumerate(amounts)])
    assert found.period is None and found.annual is None
    assert why in found.reason or "more than one rate" in found.reason


def test_a_withdrawal_between_two_deposits_is_no_reason_to_refuse() -> None:
    payments = [
        (date(2019, 1, 1), D(-1_000)),
        (date(2019, 7, 1), D(300)),
        (date(2020, 1, 1), D(-500)),
        (date(2021, 1, 1), D(1_400)),
    ]
    assert not pyxirr.is_conventional_cash_flow([float(amount) for _, amount in payments])
    found = money_weighted(payments)
    assert found.annual == pytest.approx(pyxirr.xirr(payments), abs=1e-9)


@given(
    st.lists(st.integers(1, 10_000), min_size=1, max_size=12),
    st.floats(-0.5, 1.0),
)
def test_money_that_grows_at_a_rate_returns_that_rate(deposits: list[int], rate: float) -> None:
    first = date(2015, 1, 1)
    days = [date.fromordinal(first.toordinal() + 100 * at) for at in range(len(deposits))]
    end = date.fromordinal(first.toordinal() + 100 * len(deposits) + 400)
    worth = sum(deposit * (1 + rate) ** ((end - on).days / 365) for deposit, on in zip(deposits, days, strict=True))
    payments = [(on, -D(deposit)) for on, deposit in zip(days, deposits, strict=True)]
    found = money_weighted([*payments, (end, D(repr(worth)))])
    assert found.annual == pytest.approx(rate, abs=1e-6)


def test_modified_dietz_of_the_encyclopaedia() -> None:
    # Wikipedia, "Modified Dietz method", section Example: 100 grows to 300 in two years with 50 put in after one: 120%.
    found = modified_dietz(date(2013, 1, 1), date(2015, 1, 1), D(100), D(300), [(date(2014, 1, 1), D(50))])
    assert found.value == pytest.approx(1.2) and found.average_capital == D(125) and found.gain == D(150)


def test_modified_dietz_weighs_by_calendar_days() -> None:
    # A deposit at the end of day 10 of 30 works for 20 of 30 days.
    found = modified_dietz(date(2020, 6, 1), date(2020, 7, 1), D(1_000), D(1_210), [(date(2020, 6, 11), D(150))])
    assert found.value == pytest.approx(60 / (1_000 + 150 * 20 / 30))


@pytest.mark.parametrize(
    ("end", "opening", "why"), [(date(2020, 1, 1), 10, "no days"), (date(2020, 2, 1), 0, "not above zero")]
)
def test_modified_dietz_refuses(end: date, opening: int, why: str) -> None:
    found = modified_dietz(date(2020, 1, 1), end, D(opening), D(5), [])
    assert found.value is None and why in found.reason
