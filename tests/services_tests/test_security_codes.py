"""Check digits of ISIN and FIGI, against published codes and by hand."""

import pytest
from pydantic import ValidationError

from services.pack_import_request import GivenIdentifier
from services.security_codes import code_fault


@pytest.mark.parametrize(
    ("scheme", "code"),
    [
        # Apple, Alphabet, Microsoft, IBM, Treasury Corporation of Victoria.
        *(("isin", code) for code in ("US0378331005", "US02079K3059", "US5949181045", "US4592001014", "AU0000XVGZA3")),
        # Apple, IBM, Microsoft; one of another prefix.
        *(("figi", code) for code in ("BBG000B9XRY4", "BBG000BLNNH6", "BBG000BPH459", "NRG92C84SB39")),
        ("mine", "whatever it is"),
    ],
)
def test_codes_that_were_given_out_pass(scheme: str, code: str) -> None:
    assert code_fault(scheme, code) is None


@pytest.mark.parametrize(
    ("scheme", "code", "said"),
    [
        # U 30, S 28: 30 28 0378331 00; from the right, every other doubled, the digits' sum:
        # 0+0+2+3+6+8+5+3+0+8+4+0+6 = 45 (1·2, 3, 3·2, 8, 7·2 → 5, 3, 0·2, 8, 2·2, 0, 3·2), so 5 is missing to 50.
        ("isin", "US0378331006", "check digit 6, expected 5"),
        ("isin", "US0378331050", "check digit 0, expected"),
        ("isin", "not-an-isin", "expected an ISIN"),
        ("isin", "us0378331005", "expected an ISIN"),
        ("isin", "US037833100", "expected an ISIN"),
        # B 11, B 22 → 4, G 16, eight zeros doubled or not: 2 + 4 + 7 = 13, so 7 is missing to 20.
        ("figi", "BBG000000001", "check digit 1, expected 7"),
        ("figi", "BBG00000000A", "expected a FIGI"),
        ("figi", "BAG000000007", "expected a FIGI"),  # a vowel
        ("figi", "GBG000000007", "expected a FIGI"),  # an ISIN's prefix
        ("figi", "BBX000000007", "expected a FIGI"),
    ],
)
def test_codes_that_nobody_gave_out_are_refused(scheme: str, code: str, said: str) -> None:
    assert said in (code_fault(scheme, code) or "")
    with pytest.raises(ValidationError, match=said):
        GivenIdentifier(symbol="AAPL", scheme=scheme, value=code)
