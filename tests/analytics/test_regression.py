"""Regression against certified values (NIST) and statsmodels."""

import csv
from itertools import pairwise
from math import log
from pathlib import Path

import pytest

from analytics.regression import Singular, fit, lags_default

MACRO = Path(__file__).parents[2] / "data" / "us_macro_quarterly_1959_2009.csv"
# Longley (1967), as the NIST Statistical Reference Datasets give it: y, x1…x6.
LONGLEY = """
60323 83.0 234289 2356 1590 107608 1947
61122 88.5 259426 2325 1456 108632 1948
60171 88.2 258054 3682 1616 109773 1949
61187 89.5 284599 3351 1650 110929 1950
63221 96.2 328975 2099 3099 112075 1951
63639 98.1 346999 1932 3594 113270 1952
64989 99.0 365385 1870 3547 115094 1953
63761 100.0 363112 3578 3350 116219 1954
66019 101.2 397469 2904 3048 117388 1955
67857 104.6 419180 2822 2857 118734 1956
68169 108.4 442769 2936 2798 120445 1957
66513 110.8 444546 4681 2637 121950 1958
68655 112.6 482704 3813 2552 123366 1959
69564 114.2 502601 3931 2514 125368 1960
69331 115.7 518173 4806 2572 127852 1961
70551 116.9 554894 4007 2827 130081 1962
"""
CERTIFIED = [
    (-3482258.63459582, 890420.383607373),
    (15.0618722713733, 84.9149257747669),
    (-0.0358191792925910, 0.0334910077722432),
    (-2.02022980381683, 0.488399681651699),
    (-1.03322686717359, 0.214274163161675),
    (-0.0511041056535807, 0.226073200069370),
    (1829.15146461355, 455.478499142212),
]


def test_longley_to_the_certified_digits() -> None:
    rows = [[float(cell) for cell in line.split()] for line in LONGLEY.strip().splitlines()]
    found = fit([row[0] for row in rows], [[1.0, *row[1:]] for row in rows], lags=0)
    for at, (coefficient, error) in enumerate(CERTIFIED):
        assert found.coefficients[at] == pytest.approx(coefficient, rel=1e-13)
        assert found.errors_ols[at] == pytest.approx(error, rel=1e-12)
    assert found.r_squared == pytest.approx(0.995479004577296, rel=1e-12)


def test_newey_west_errors_of_statsmodels() -> None:
    # statsmodels 0.15.0: OLS(Δlog realcons, [1, Δlog realdpi, tbilrate / 100]).fit(cov_type="HAC",
    # cov_kwds={"maxlags": 4, "use_correction": False}) on its macrodata.
    rows = list(csv.DictReader(MACRO.read_text().splitlines()))
    growth = {
        name: [log(float(now[name]) / float(then[name])) for then, now in pairwise(rows)]
        for name in ("realcons", "realdpi")
    }
    bill = [float(row["tbilrate"]) / 100 for row in rows[1:]]
    found = fit(growth["realcons"], [[1.0, y, t] for y, t in zip(growth["realdpi"], bill, strict=True)], lags=4)
    assert found.coefficients == pytest.approx(
        (0.006624783807630343, 0.3398925241897367, -0.02009400190162926), rel=1e-10
    )
    assert found.errors == pytest.approx((0.0013973527301262695, 0.07251154191667125, 0.02139318375260389), rel=1e-10)
    assert found.errors_ols == pytest.approx(
        (0.0010328670366750636, 0.04921220486412592, 0.015704687195437064), rel=1e-10
    )
    assert found.r_squared == pytest.approx(0.19944242627460929, rel=1e-10)


def test_lags() -> None:
    assert [lags_default(count) for count in (50, 100, 168, 500)] == [3, 4, 4, 5]


def test_no_unique_solution_is_an_error() -> None:
    with pytest.raises(Singular, match="dependent"):
        fit([1.0, 2.0, 3.0, 5.0], [[1.0, 2.0], [1.0, 2.0], [1.0, 2.0], [1.0, 2.0]])
    with pytest.raises(Singular, match="2 observations"):
        fit([1.0, 2.0], [[1.0, 2.0], [1.0, 3.0]])
