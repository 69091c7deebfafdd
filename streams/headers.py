"""Record headers: what upstream sent along travels with the execution and comes back on its result."""

from collections.abc import Iterable, Sequence

Header = tuple[str, bytes]
Headers = tuple[Header, ...]

FORWARDED = "dawsos-forwarded"
_CARRIED = frozenset({"traceparent", "tracestate", "baggage", "correlation-id", "x-correlation-id", "x-request-id"})
_CARRIED_BYTES_MAX = 4096


def carried(headers: Iterable[tuple[str, bytes | None]] | None) -> Headers:
    """Return the headers that travel on: W3C trace context and correlation ids, at most 4 KiB in all."""
    kept: list[Header] = []
    size = 0
    for name, value in headers or ():
        if name.lower() in _CARRIED and value is not None:
            size += len(name) + len(value)
            if size > _CARRIED_BYTES_MAX:
                break
            kept.append((name, value))
    return tuple(kept)


def was_forwarded(headers: Iterable[tuple[str, bytes | None]] | None) -> bool:
    """Tell whether a message was already sent on to another partition."""
    return any(name == FORWARDED for name, _ in headers or ())


def pack(headers: Headers) -> bytes:
    """Return headers as bytes for a state row: lengths and contents."""
    parts = []
    for name, value in headers:
        raw = name.encode()
        parts += [len(raw).to_bytes(2, "big"), raw, len(value).to_bytes(2, "big"), value]
    return b"".join(parts)


def unpack(data: bytes) -> Headers:
    """Return the headers in bytes made by `pack`."""
    found: list[Header] = []
    place = 0
    pieces: list[bytes] = []
    while place < len(data):
        size = int.from_bytes(data[place : place + 2], "big")
        pieces.append(data[place + 2 : place + 2 + size])
        place += 2 + size
        if len(pieces) == 2:
            found.append((pieces[0].decode(), pieces[1]))
            pieces = []
    return tuple(found)


def as_list(headers: Sequence[Header]) -> list[Header] | None:
    """Return headers as aiokafka takes them."""
    return list(headers) or None
