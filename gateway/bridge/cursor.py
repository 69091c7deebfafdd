"""Where a client of the bridge stands: for each partition of `execution-results` the first offset it has not seen.

It means the same on every gateway and after every restart. As text: base64url of a version byte and one varint per
partition, 12 to 60 characters for 8 partitions.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence

_VERSION = 1
_OFFSET_MAX = 2**63 - 1
_VARINT_BYTES_MAX = 9


class CursorInvalid(ValueError):
    """Text that is not a cursor of this system."""


def encode(offsets: Sequence[int]) -> str:
    """Return a cursor as text.

    Args:
        offsets: next offset by partition number, each ≥ 0.
    """
    data = bytearray((_VERSION,))
    for offset in offsets:
        while offset > 0x7F:
            data.append(offset & 0x7F | 0x80)
            offset >>= 7
        data.append(offset)
    return base64.urlsafe_b64encode(bytes(data)).rstrip(b"=").decode("ascii")


def decode(text: str) -> list[int]:
    """Return the offsets in a cursor.

    Raises:
        CursorInvalid: it is malformed.
    """
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise CursorInvalid("expected a cursor, got something else") from None
    if not data or data[0] != _VERSION:
        raise CursorInvalid(f"expected a cursor of version {_VERSION}")
    return list(_varints(data[1:]))


def _varints(data: bytes) -> Iterable[int]:
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
            if shift >= 7 * _VARINT_BYTES_MAX:
                raise CursorInvalid("expected offsets of at most 63 bits")
            continue
        if value > _OFFSET_MAX:
            raise CursorInvalid("expected offsets of at most 63 bits")
        yield value
        value = shift = 0
    if shift:
        raise CursorInvalid("the cursor is cut off")
