"""Which producers may speak for which tenants: signed requests.

Without keys every producer that Kafka lets in is trusted (a closed network, or ACLs). With keys, what asks for an
execution or its end carries a header that signs the record's bytes with the key of its producer, and a key stands for
certain tenants only. A request that names another tenant, or is not signed, is never begun: it becomes a dead letter.

A signature holds for its bytes for ever. That does no harm: the same request is the same execution, a request older
than the retention is refused, and a cancel of a finished execution has no effect.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from settings import Settings, SettingsError, parse_request_keys

SIGNATURE = "dawsos-signature"
_SCHEME = "v1"
Header = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs what this process publishes; without a key it signs nothing."""

    name: str = ""
    secret: bytes = field(default=b"", repr=False)

    def headers(self, value: bytes) -> list[Header]:
        """Return the header that signs a record's value."""
        if not self.secret:
            return []
        return [(SIGNATURE, f"{_SCHEME} {self.name} {_mac(self.secret, value)}".encode())]


@dataclass(frozen=True, slots=True)
class Trust:
    """Checks what was signed.

    Attributes:
        keys: name → (tenants, `*` for all; secret); empty trusts everybody.
    """

    keys: Mapping[str, tuple[frozenset[str], bytes]] = field(repr=False)

    def refusal(self, headers: Iterable[tuple[str, bytes | None]] | None, value: bytes, tenant: str) -> str | None:
        """Return why a record must not be believed, or None.

        Args:
            headers: of the record.
            value: of the record, as it came.
            tenant: whose it says it is.
        """
        if not self.keys:
            return None
        given = next((data for name, data in headers or () if name == SIGNATURE and data is not None), None)
        if given is None:
            return f"expected a header {SIGNATURE}, found none"
        scheme, _, rest = given.decode("ascii", "replace").partition(" ")
        name, _, signature = rest.partition(" ")
        known = self.keys.get(name)
        if scheme != _SCHEME or known is None:
            return f"expected a header {SIGNATURE} by a known key, it names {name[:64]!r}"
        tenants, secret = known
        if not hmac.compare_digest(_mac(secret, value), signature):
            return f"the signature of key {name} does not fit the record"
        if tenant not in tenants and "*" not in tenants:
            return f"key {name} does not stand for tenant {tenant}"
        return None


def trust_of(settings: Settings) -> Trust:
    """Return what an orchestrator believes."""
    return Trust(_keys(settings))


def signer_of(settings: Settings) -> Signer:
    """Return what this process signs with: `DAWSOS_REQUEST_KEY`, else the first key it has.

    Raises:
        SettingsError: it names a key that is not in `DAWSOS_REQUEST_KEYS`.
    """
    keys = _keys(settings)
    if not keys:
        return Signer()
    name = settings.request_key or next(iter(keys))
    if name not in keys:
        raise SettingsError(f"DAWSOS_REQUEST_KEY: expected one of {', '.join(keys)}, got {name!r}")
    return Signer(name, keys[name][1])


def _keys(settings: Settings) -> Mapping[str, tuple[frozenset[str], bytes]]:
    if settings.request_keys is None:
        return {}
    return parse_request_keys(settings.request_keys.get_secret_value())


def _mac(secret: bytes, value: bytes) -> str:
    return hmac.new(secret, value, hashlib.sha256).hexdigest()
