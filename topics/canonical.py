"""Canonical bytes (RFC 8785) and the digests built on them.

Two values are the same exactly when their canonical bytes are. Every digest in the system is SHA-256 over these
bytes, so an independent program can recompute it with any RFC 8785 implementation.
"""

import hashlib
from typing import Any

import orjson
import rfc8785

_INT_MAX = 2**53 - 1
# Between these magnitudes orjson and ECMAScript print the same shortest decimal; outside them they choose
# the exponent differently.
_PLAIN_MIN = 1e-4
_PLAIN_MAX = 1e15
# The largest negative exponent that ECMAScript writes out.
_SMALL_PLAIN_MAX = 6
_AS_IT_IS = frozenset({str, bool, type(None)})
_KEYS_SEEN_MAX = 4096
_keys_seen: set[str] = set()


class NotCanonical(ValueError):
    """The value has no canonical form: expected JSON types, finite numbers and integers within 2**53."""


class _NeedsReference(Exception):
    """The fast path cannot be sure of the ordering or type; the reference implementation decides."""


def canonical_bytes(value: Any) -> bytes:
    """Return the RFC 8785 bytes of a JSON value.

    Args:
        value: dict with string keys, list, tuple, str, int, float, bool or None, nested.

    Raises:
        NotCanonical: a NaN, an infinity, an integer beyond 2**53 - 1 or a type JSON does not have.
    """
    try:
        return orjson.dumps(_plain(value), option=orjson.OPT_SORT_KEYS)
    except (_NeedsReference, TypeError, RecursionError, rfc8785.CanonicalizationError):
        try:
            return rfc8785.dumps(value)
        except (rfc8785.CanonicalizationError, TypeError, RecursionError, UnicodeEncodeError) as error:
            raise NotCanonical(f"expected plain JSON with finite numbers: {error}") from error


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of bytes as 64 lower-case hex digits."""
    return hashlib.sha256(data).hexdigest()


def digest(value: Any) -> str:
    """Return the SHA-256 of a value's canonical bytes as 64 lower-case hex digits.

    Raises:
        NotCanonical: as for `canonical_bytes`.
    """
    return hashlib.sha256(canonical_bytes(value)).hexdigest()


def _plain(value: Any) -> Any:
    """Return an equal value that orjson prints exactly as RFC 8785 demands."""
    kind = type(value)
    if kind in _AS_IT_IS:
        return value
    if kind is float:
        size = abs(value)
        if size < _INT_MAX and value.is_integer():
            return int(value)
        if _PLAIN_MIN <= size < _PLAIN_MAX:
            return value
        return orjson.Fragment(_small(value) if size < _PLAIN_MIN else rfc8785.dumps(value))
    if kind is dict:
        if not value.keys() <= _keys_seen:
            _look_at_keys(value)
        return {key: item if type(item) in _AS_IT_IS else _plain(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [item if type(item) in _AS_IT_IS else _plain(item) for item in value]
    if kind is int and -_INT_MAX <= value <= _INT_MAX:
        return value
    raise _NeedsReference


def _small(value: float) -> str:
    """Return a number below 1e-4 as ECMAScript prints it: the same digits as Python, from 1e-6 on without exponent.

    Residuals and the like are so small; the reference takes ten times as long.
    """
    mantissa, _, exponent = repr(value).partition("e-")
    shift = int(exponent)
    if shift > _SMALL_PLAIN_MAX:
        return f"{mantissa}e-{shift}"
    sign = "-" if value < 0 else ""
    return f"{sign}0.{'0' * (shift - 1)}{mantissa.removeprefix('-').replace('.', '')}"


def _look_at_keys(value: dict[Any, Any]) -> None:
    """Remember keys that sort by their bytes as by their UTF-16 code units, so that they are looked at once."""
    for key in value:
        if type(key) is not str or not key.isascii():
            raise _NeedsReference
    if len(_keys_seen) + len(value) <= _KEYS_SEEN_MAX:
        _keys_seen.update(value)
