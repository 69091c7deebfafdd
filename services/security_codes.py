"""Codes of securities that carry a check digit: ISIN (ISO 6166) and FIGI (OMG Financial Instrument Global Identifier).

Other schemes are a vendor's own; whatever they say is taken as it is.
"""

import re

# Of each a security has one at a time, unless somebody mistook one line for another.
STANDARDS = ("figi", "isin")
_ISIN = re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]")
# No vowels, so that no word comes out; the prefixes left out would be those of an ISIN.
_FIGI = re.compile(r"(?!BS|BM|GG|GB|GH|KY|VG)[B-DF-HJ-NP-TV-Z]{2}G[B-DF-HJ-NP-TV-Z0-9]{8}[0-9]")


def code_fault(scheme: str, code: str) -> str | None:
    """Return what is wrong with a code, None when nothing is or the scheme has no check.

    Args:
        scheme: `isin`, `figi`, or any other.
        code: in capitals, without spaces.
    """
    if scheme == "isin":
        if not _ISIN.fullmatch(code):
            return f"expected an ISIN, two letters, nine letters or digits and a check digit, got {code!r}"
        return _wrong_digit("ISIN", code, _isin_digit(code[:-1]))
    if scheme == "figi":
        if not _FIGI.fullmatch(code):
            return f"expected a FIGI, twelve capital consonants or digits with G as the third, got {code!r}"
        return _wrong_digit("FIGI", code, _figi_digit(code[:-1]))
    return None


def _wrong_digit(name: str, code: str, digit: int) -> str | None:
    return None if code[-1] == str(digit) else f"{name} {code!r} has check digit {code[-1]}, expected {digit}"


def _isin_digit(body: str) -> int:
    """Luhn over digits: a letter counts as its two, A as 10 to Z as 35."""
    digits = "".join(str(int(char, 36)) for char in body)
    return _luhn([int(digit) for digit in digits], doubled=0)


def _figi_digit(body: str) -> int:
    """Luhn over characters: a letter counts as one number, A as 10 to Z as 35."""
    return _luhn([int(char, 36) for char in body], doubled=1)


def _luhn(numbers: list[int], doubled: int) -> int:
    """Return the digit that fills the sum of digits up to a ten.

    Args:
        numbers: each counts with the sum of its digits, every other one doubled first.
        doubled: 0 when the last is doubled, 1 when the last but one is.
    """
    total = 0
    for place, number in enumerate(reversed(numbers)):
        total += sum(map(int, str(number * 2 if place % 2 == doubled else number)))
    return -total % 10
