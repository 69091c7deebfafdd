"""The header `Prefer` (RFC 7240): `respond-async` and `wait=SECONDS`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Preferences:
    """How a client wants to be answered.

    Attributes:
        wait_s: seconds to wait for the result.
        applied: what to say in `Preference-Applied`; None when there is nothing to say.
    """

    wait_s: float
    applied: str | None = None


def read_preferences(header: str | None, wait_s: float, wait_s_max: float) -> Preferences:
    """Return a client's preferences; what is not understood is ignored, as the RFC asks.

    Args:
        header: as it came; None when it did not.
        wait_s: when the client does not say.
        wait_s_max: the longest wait.
    """
    asynchronous = False
    asked: float | None = None
    for part in (header or "").split(","):
        name, _, value = part.strip().partition("=")
        name = name.strip().lower()
        if name == "respond-async":
            asynchronous = True
        elif name == "wait" and asked is None:
            digits = value.split(";")[0].strip().strip('"')
            if digits.isascii() and digits.isdigit() and len(digits) <= 9:
                asked = float(digits)
    if asked is not None:
        wait = min(asked, wait_s_max)
        return Preferences(wait, f"wait={wait:g}")
    if asynchronous:
        return Preferences(0.0, "respond-async")
    return Preferences(wait_s)
