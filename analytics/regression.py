"""Ordinary least squares with Newey–West standard errors, for a handful of regressors.

The normal equations are formed and solved in exact rational arithmetic, so coefficients have no rounding but their
last and depend on no linear-algebra library or thread count. Errors: the heteroskedasticity and autocorrelation
consistent covariance of Newey and West (1987) with Bartlett weights 1 − l/(L + 1) and, unless given,
L = ⌊4·(n/100)^(2/9)⌋ lags (Newey and West 1994), without a small-sample correction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import fsum, sqrt


class Singular(ArithmeticError):
    """Regressors are linearly dependent, or there are fewer observations than coefficients."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A regression.

    Attributes:
        coefficients: one per column of the regressors, in order.
        errors: Newey–West standard errors, likewise.
        errors_ols: classical standard errors, √(s²·(X'X)⁻¹), for comparison.
        r_squared: about the mean; None when the response does not vary.
        residuals: one per observation.
    """

    coefficients: tuple[float, ...]
    errors: tuple[float, ...]
    errors_ols: tuple[float, ...]
    r_squared: float | None
    residuals: tuple[float, ...]
    lags: int


def lags_default(count: int) -> int:
    """Return the usual number of lags for `count` observations."""
    return int(4.0 * (count / 100.0) ** (2.0 / 9.0))


def fit(response: Sequence[float], regressors: Sequence[Sequence[float]], *, lags: int | None = None) -> Fit:
    """Regress.

    Args:
        response: n observations.
        regressors: n rows of k values; a constant is a column of ones.
        lags: of the Newey–West covariance; None for the usual number.

    Raises:
        Singular: no unique solution.
    Cost: O(n·k²·L).
    """
    count, width = len(response), len(regressors[0]) if regressors else 0
    if count <= width or not width:
        raise Singular(f"{count} observations for {width} coefficients")
    rows = [tuple(Fraction(value) for value in row) for row in regressors]
    right = [Fraction(value) for value in response]
    inverse = _inverse(_normal(rows))
    moment = [sum((row[i] * y for row, y in zip(rows, right, strict=True)), Fraction(0)) for i in range(width)]
    exact = [sum((inverse[i][j] * moment[j] for j in range(width)), Fraction(0)) for i in range(width)]
    residuals_exact = [
        y - sum((beta * value for beta, value in zip(exact, row, strict=True)), Fraction(0))
        for row, y in zip(rows, right, strict=True)
    ]
    residuals = [float(value) for value in residuals_exact]
    squares = float(sum((value * value for value in residuals_exact), Fraction(0)))
    middle = sum(right, Fraction(0)) / count
    spread = float(sum(((y - middle) ** 2 for y in right), Fraction(0)))
    bread = [[float(value) for value in row] for row in inverse]
    used = lags_default(count) if lags is None else lags
    covariance = _sandwich(bread, _meat(regressors, residuals, used))
    variance = squares / (count - width)
    return Fit(
        coefficients=tuple(float(value) for value in exact),
        errors=tuple(sqrt(max(covariance[i][i], 0.0)) for i in range(width)),
        errors_ols=tuple(sqrt(variance * bread[i][i]) for i in range(width)),
        r_squared=1.0 - squares / spread if spread > 0.0 else None,
        residuals=tuple(residuals),
        lags=used,
    )


def row_weights(regressors: Sequence[Sequence[float]], column: int) -> tuple[float, ...]:
    """Return what each response counts for in one coefficient: row `column` of (X'X)⁻¹X'.

    The coefficient of any response y is Σ weight·y; one inverse serves many responses.

    Raises:
        Singular: no unique solution.
    """
    rows = [tuple(Fraction(value) for value in row) for row in regressors]
    inverse = _inverse(_normal(rows))[column]
    return tuple(float(sum((a * b for a, b in zip(inverse, row, strict=True)), Fraction(0))) for row in rows)


def _normal(rows: Sequence[tuple[Fraction, ...]]) -> list[list[Fraction]]:
    """Return X'X."""
    width = range(len(rows[0]))
    return [[sum((row[i] * row[j] for row in rows), Fraction(0)) for j in width] for i in width]


def _meat(regressors: Sequence[Sequence[float]], residuals: Sequence[float], lags: int) -> list[list[float]]:
    scores = [[value * e for value in row] for row, e in zip(regressors, residuals, strict=True)]
    width = len(scores[0])
    found = [[fsum(row[i] * row[j] for row in scores) for j in range(width)] for i in range(width)]
    for lag in range(1, min(lags, len(scores) - 1) + 1):
        weight = 1.0 - lag / (lags + 1.0)
        now, then = scores[lag:], scores[:-lag]
        cross = [
            [fsum(a[i] * b[j] for a, b in zip(now, then, strict=True)) for j in range(width)] for i in range(width)
        ]
        for i in range(width):
            for j in range(width):
                found[i][j] += weight * (cross[i][j] + cross[j][i])
    return found


def _sandwich(bread: list[list[float]], meat: list[list[float]]) -> list[list[float]]:
    width = range(len(bread))
    left = [[fsum(bread[i][k] * meat[k][j] for k in width) for j in width] for i in width]
    return [[fsum(left[i][k] * bread[k][j] for k in width) for j in width] for i in width]


def _inverse(matrix: list[list[Fraction]]) -> list[list[Fraction]]:
    width = len(matrix)
    work = [[*row, *(Fraction(int(i == j)) for j in range(width))] for i, row in enumerate(matrix)]
    for column in range(width):
        pivot = next((i for i in range(column, width) if work[i][column]), None)
        if pivot is None:
            raise Singular("regressors are linearly dependent")
        work[column], work[pivot] = work[pivot], work[column]
        head = work[column][column]
        work[column] = [value / head for value in work[column]]
        for i in range(width):
            if i != column and work[i][column]:
                factor = work[i][column]
                work[i] = [value - factor * top for value, top in zip(work[i], work[column], strict=True)]
    return [row[width:] for row in work]
