"""Who asks: a signed token (JWT) becomes a principal, or is refused with a reason that gives nothing away.

Two ways. *OIDC*: tokens of one issuer, checked with its published keys, which are fetched when needed and again when a
token names a key that is not known (rotation). *Demo*: HS256 with a secret of this installation, made in the data
directory; for one machine only. Nothing is ever accepted unsigned, and the two ways never mix.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from uuid import NAMESPACE_URL, UUID, uuid5

import jwt
from pydantic import TypeAdapter, ValidationError

from settings import Settings, SettingsError
from topics.messages import Tenant

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

DEMO_ISSUER = "dawsos-demo"
DEMO_ALGORITHM = "HS256"
LEEWAY_S = 30
TOKEN_CHARS_MAX = 16_384
_KNOWN_MAX = 10_000
# Then it is checked again: its key may have been withdrawn.
_KNOWN_S = 60.0
_KEYS_AGE_MAX_S = 600.0
# A token with an unknown key makes us ask the issuer, but not more often than this, whoever sends such tokens.
_KEYS_AGE_MIN_S = 10.0
_FETCH_TIMEOUT_S = 5.0
_SECRET_FILE = "auth-demo-secret"
_TENANT: TypeAdapter[str] = TypeAdapter(Tenant)


class TokenRefused(Exception):
    """The token is not good for anything here; the text is for the client."""


class KeysUnavailable(Exception):
    """The issuer's keys cannot be fetched, so that no token can be checked now."""


class Role(StrEnum):
    """What a principal may do; each role may do all that the ones before it may."""

    VIEWER = "viewer"
    """Runs patterns on the own portfolios and reads the own executions."""
    OPERATOR = "operator"
    """Also sees and redrives the tenant's dead letters."""
    ADMIN = "admin"
    """Also, in the operations tenant, dead letters of all tenants."""

    def covers(self, needed: Role) -> bool:
        """Whether this role may do what `needed` may."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(needed)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is behind a request.

    Attributes:
        user_id: the subject if it is a UUID, else a UUIDv5 of issuer and subject.
        expires_at: seconds since the epoch at which the token ends.
    """

    tenant: str
    user_id: UUID
    role: Role
    subject: str
    expires_at: float


class Keys(Protocol):
    """Where the key that checks a token comes from."""

    async def key(self, header: Mapping[str, Any]) -> Any:
        """Return the key a token's header asks for.

        Raises:
            TokenRefused: there is no such key.
            KeysUnavailable: it cannot be known now.
        """
        ...


@dataclass(frozen=True, slots=True)
class OneSecret:
    """The demo's key."""

    secret: str

    async def key(self, header: Mapping[str, Any]) -> str:
        """Return the secret."""
        return self.secret


class IssuerKeys:
    """The published keys of an OIDC issuer (JWKS), kept for ten minutes.

    A token whose key was withdrawn is refused at most a minute later than that.
    While the issuer does not answer, keys that are known go on being used.

    Args:
        issuer: for discovery at `/.well-known/openid-configuration`.
        url: of the JWKS document; None finds it by discovery.
        client: asks; None makes one per fetch.
        monotonic: seconds that never go back.
    """

    def __init__(
        self,
        issuer: str,
        url: str | None = None,
        client: httpx.AsyncClient | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer.rstrip("/")
        self._url = url
        self._client = client
        self._monotonic = monotonic
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._lock = asyncio.Lock()

    async def key(self, header: Mapping[str, Any]) -> jwt.PyJWK:
        """Return the issuer's key by the token's `kid`; with a single key, a token need not name it."""
        kid = header.get("kid")
        if kid is not None and not isinstance(kid, str):
            raise TokenRefused("the token's kid is not a text")
        if self._age(self._fetched_at) > _KEYS_AGE_MAX_S or self._find(kid) is None:
            await self._refresh()
        found = self._find(kid)
        if found is None:
            if not self._keys:
                raise KeysUnavailable("the issuer's keys are not known")
            raise TokenRefused("the token is signed with a key the issuer does not publish")
        return found

    def _find(self, kid: str | None) -> jwt.PyJWK | None:
        if kid is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(kid)

    def _age(self, at: float | None) -> float:
        return float("inf") if at is None else self._monotonic() - at

    async def _refresh(self) -> None:
        # Only now: a command that makes a demo token asks nobody, and loading this is a fifth of its time.
        import httpx

        async with self._lock:
            if self._age(self._tried_at) < _KEYS_AGE_MIN_S:
                return
            self._tried_at = self._monotonic()
            try:
                self._keys = await self._fetch()
                self._fetched_at = self._monotonic()
            except (httpx.HTTPError, jwt.PyJWTError, ValueError, KeyError, TypeError) as error:
                log.warning("cannot fetch the keys of %s: %s", self._issuer, error or type(error).__name__)

    async def _fetch(self) -> dict[str, jwt.PyJWK]:
        import httpx

        async with (
            httpx.AsyncClient(timeout=_FETCH_TIMEOUT_S) if self._client is None else _Borrowed(self._client) as client
        ):
            if self._url is None:
                found = await client.get(f"{self._issuer}/.well-known/openid-configuration")
                self._url = str(found.raise_for_status().json()["jwks_uri"])
            document = (await client.get(self._url)).raise_for_status().json()
        keys: dict[str, jwt.PyJWK] = {}
        for number, item in enumerate(document["keys"]):
            if item.get("use", "sig") != "sig" or item.get("kty") == "oct":
                continue
            try:
                keys[str(item.get("kid", f"#{number}"))] = jwt.PyJWK(item)
            except jwt.PyJWTError:
                # A key of a kind we do not know is no reason to do without the others.
                continue
        return keys


class _Borrowed:
    """A client that somebody else closes."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def __aenter__(self) -> httpx.AsyncClient:
        return self._client

    async def __aexit__(self, *exc: object) -> None:
        return None


class TokenVerifier:
    """Checks tokens; one that was good is remembered for a minute, or until it ends.

    Args:
        keys: where keys come from.
        algorithms: signatures accepted; never `none`.
        issuer: expected `iss`.
        audience: expected in `aud`.
        tenant_claim: names the tenant.
        role_claim: holds a role or a list of roles, of which the highest counts.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        keys: Keys,
        algorithms: Sequence[str],
        issuer: str,
        audience: str,
        tenant_claim: str = "tenant",
        role_claim: str = "role",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._algorithms = list(algorithms)
        self._issuer = issuer
        self._audience = audience
        self._tenant_claim = tenant_claim
        self._role_claim = role_claim
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[Principal, float]] = OrderedDict()

    async def verify(self, token: str) -> Principal:
        """Return who the token stands for.

        Raises:
            TokenRefused: malformed, unsigned, ended, for another audience or issuer, or without tenant or role.
            KeysUnavailable: it cannot be checked now.
        """
        if len(token) > TOKEN_CHARS_MAX:
            raise TokenRefused("the token is too long")
        name = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        principal, until = self._known.pop(name, (None, 0.0))
        if principal is None or until <= self._clock():
            principal = self._principal(await self._claims(token))
            until = min(self._clock() + _KNOWN_S, principal.expires_at + LEEWAY_S)
        self._known[name] = principal, until
        if len(self._known) > _KNOWN_MAX:
            self._known.popitem(last=False)
        return principal

    async def _claims(self, token: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in self._algorithms:
                raise TokenRefused(f"expected a token signed with {' or '.join(self._algorithms)}")
            key = await self._keys.key(header)
            return jwt.decode(
                token,
                key,
                algorithms=self._algorithms,
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"], "strict_aud": False},
            )
        except jwt.ExpiredSignatureError:
            raise TokenRefused("the token has expired") from None
        except jwt.InvalidAudienceError:
            raise TokenRefused("the token is for another audience") from None
        except jwt.InvalidIssuerError:
            raise TokenRefused("the token is of another issuer") from None
        except jwt.PyJWTError:
            raise TokenRefused("the token is not valid") from None

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        try:
            tenant = _TENANT.validate_python(claims.get(self._tenant_claim), strict=True)
        except ValidationError:
            raise TokenRefused(f"expected a tenant in the token's claim {self._tenant_claim!r}") from None
        subject = claims["sub"]
        if not isinstance(subject, str) or not subject:
            raise TokenRefused("expected a subject in the token")
        return Principal(tenant, self._user_id(subject), self._role(claims), subject, float(claims["exp"]))

    def _user_id(self, subject: str) -> UUID:
        try:
            return UUID(subject)
        except ValueError:
            return uuid5(uuid5(NAMESPACE_URL, self._issuer), subject)

    def _role(self, claims: Mapping[str, Any]) -> Role:
        given = claims.get(self._role_claim)
        names = [given] if isinstance(given, str) else given if isinstance(given, list) else []
        roles = [role for role in Role if role.value in names]
        if not roles:
            raise TokenRefused(f"expected {', '.join(Role)} in the token's claim {self._role_claim!r}")
        return roles[-1]


def make_verifier(settings: Settings) -> TokenVerifier:
    """Return the verifier the settings ask for: OIDC with an issuer, else the demo's."""
    if settings.auth_issuer is None:
        return TokenVerifier(OneSecret(demo_secret(settings)), [DEMO_ALGORITHM], DEMO_ISSUER, settings.auth_audience)
    return TokenVerifier(
        IssuerKeys(settings.auth_issuer, settings.auth_jwks_url),
        settings.auth_algorithms,
        settings.auth_issuer,
        settings.auth_audience,
        settings.auth_tenant_claim,
        settings.auth_role_claim,
    )


def demo_secret(settings: Settings) -> str:
    """Return the secret of the demo's tokens: the given one, else the data directory's, made when there is none.

    Raises:
        SettingsError: an issuer is configured, so that there are no demo tokens.
    """
    if settings.auth_issuer is not None:
        raise SettingsError("DAWSOS_AUTH_ISSUER is set: tokens come from the issuer, there are none of the demo")
    if settings.auth_demo_secret is not None:
        return settings.auth_demo_secret.get_secret_value()
    path = settings.data_dir.expanduser().resolve() / _SECRET_FILE
    try:
        return _read_secret(path)
    except FileNotFoundError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(48))
    try:
        # Of several processes that make it at once the first wins.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return _read_secret(path)


def _read_secret(path: Path) -> str:
    text = path.read_text(encoding="ascii").strip()
    if len(text) < 32:
        raise SettingsError(f"{path} is damaged: expected a secret of 32 characters or more; remove it to make another")
    return text


def demo_token(
    settings: Settings,
    tenant: str,
    user_id: UUID,
    role: Role,
    lifetime_s: float,
    now_s: float | None = None,
    name: str | None = None,
) -> str:
    """Return a token of the demo; `name` is what the console calls the user.

    Raises:
        SettingsError: see `demo_secret`.
    """
    now = time.time() if now_s is None else now_s
    claims: dict[str, Any] = {
        "iss": DEMO_ISSUER,
        "aud": settings.auth_audience,
        "sub": str(user_id),
        "tenant": tenant,
        "role": role.value,
        "iat": int(now),
        "exp": int(now + lifetime_s),
    }
    if name is not None:
        claims["name"] = name
    return jwt.encode(claims, demo_secret(settings), algorithm=DEMO_ALGORITHM)
