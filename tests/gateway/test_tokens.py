"""Tokens: what is refused, whatever it says, and how the issuer's keys are found again after a rotation."""

import base64
import json
import stat
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from services.tokens import (
    DEMO_ISSUER,
    LEEWAY_S,
    IssuerKeys,
    KeysUnavailable,
    OneSecret,
    Role,
    TokenRefused,
    TokenVerifier,
    demo_secret,
    demo_token,
    make_verifier,
)
from settings import Settings, SettingsError, load_settings

SECRET = "s" * 40
USER = UUID(int=5)
ISSUER = "https://issuer.example"


def settings(tmp_path: Path, **fields: Any) -> Settings:
    return load_settings(_env_file=None, data_dir=tmp_path, **fields)


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    made = {
        "iss": DEMO_ISSUER,
        "aud": "dawsos",
        "sub": str(USER),
        "tenant": "acme",
        "role": "viewer",
        "exp": now + 600,
    }
    return {name: value for name, value in {**made, **changes}.items() if value is not None}


def verifier(**options: Any) -> TokenVerifier:
    return TokenVerifier(OneSecret(SECRET), ["HS256"], DEMO_ISSUER, "dawsos", **options)


def signed(payload: dict[str, Any], key: str = SECRET) -> str:
    return jwt.encode(payload, key, algorithm="HS256")


async def test_a_good_token_names_tenant_user_and_role() -> None:
    principal = await verifier().verify(signed(claims(role=["viewer", "operator", "something else"])))
    assert (principal.tenant, principal.user_id, principal.role) == ("acme", USER, Role.OPERATOR)


async def test_a_subject_that_is_no_uuid_is_always_the_same_user() -> None:
    one = await verifier().verify(signed(claims(sub="auth0|17")))
    two = await verifier().verify(signed(claims(sub="auth0|17")))
    other = await verifier().verify(signed(claims(sub="auth0|18")))
    assert one.user_id == two.user_id != other.user_id


REFUSED = {
    "expired": signed(claims(exp=int(time.time()) - LEEWAY_S - 5)),
    "without an end": signed(claims(exp=None)),
    "for another audience": signed(claims(aud="other")),
    "of another issuer": signed(claims(iss="other")),
    "with another key": signed(claims(), "x" * 40),
    "without a tenant": signed(claims(tenant=None)),
    "with a tenant that is no name": signed(claims(tenant="a/b")),
    "with a tenant that is no text": signed(claims(tenant=["acme"])),
    "without a role": signed(claims(role=None)),
    "with an unknown role": signed(claims(role="root")),
    "without a subject": signed(claims(sub=None)),
    "not before tomorrow": signed(claims(nbf=int(time.time()) + 86_400)),
    "unsigned": jwt.encode(claims(), "", algorithm="none"),
    "no token": "hello",
    "empty": "",
    "three dots": "...",
    "too long": "a." * 20_000,
    "not ASCII": "ä.ö.ü",
}


@pytest.mark.parametrize("name", REFUSED)
async def test_refused(name: str) -> None:
    with pytest.raises(TokenRefused) as caught:
        await verifier().verify(REFUSED[name])
    assert SECRET not in str(caught.value)


async def test_alg_none_is_refused_with_any_spelling() -> None:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    for name in ("none", "None", "NONE", "nOnE", "", None):
        with pytest.raises(TokenRefused):
            await verifier().verify(f"{part({'alg': name, 'typ': 'JWT'})}.{part(claims())}.")


async def test_a_remembered_token_ends_when_it_says() -> None:
    now = time.time()
    clock = [now]
    token = signed(claims(exp=int(now) + 100))
    checker = verifier(clock=lambda: clock[0])
    await checker.verify(token)
    clock[0] = now + 100 + LEEWAY_S + 1
    # Checked anew by the real clock it is still good: what matters is that it is checked at all.
    assert (await checker.verify(token)).tenant == "acme"
    expired = signed(claims(exp=int(now) - LEEWAY_S - 1))
    with pytest.raises(TokenRefused):
        await checker.verify(expired)


class Issuer:
    """An OIDC issuer whose answers the tests choose."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {}
        self.up = True
        self.asked = 0
        self.now = 1000.0
        self.started = time.time() - self.now
        client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        self.found = IssuerKeys(ISSUER, None, client, lambda: self.now)
        self.verifier = TokenVerifier(
            self.found, ["RS256", "ES256"], ISSUER, "dawsos", clock=lambda: self.started + self.now
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if not self.up:
            raise httpx.ConnectError("down")
        if request.url.path == "/.well-known/openid-configuration":
            return httpx.Response(200, json={"jwks_uri": f"{ISSUER}/keys"})
        public = []
        for kid, key in self.keys.items():
            algorithm = (
                jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
            )
            public.append({**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig"})
        return httpx.Response(
            200, json={"keys": [*public, {"kty": "oct", "k": "c2VjcmV0", "kid": "shared"}, {"kty": "?"}]}
        )

    def token(self, kid: str, key: Any, algorithm: str = "RS256", **changes: Any) -> str:
        return jwt.encode(claims(iss=ISSUER, **changes), key, algorithm=algorithm, headers={"kid": kid})


@pytest.fixture(scope="module")
def rsa_keys() -> list[rsa.RSAPrivateKey]:
    return [rsa.generate_private_key(65537, 2048) for _ in range(2)]


async def test_keys_are_found_by_discovery_and_fetched_again_after_a_rotation(rsa_keys: list[Any]) -> None:
    issuer = Issuer()
    issuer.keys = {"one": rsa_keys[0]}
    assert (await issuer.verifier.verify(issuer.token("one", rsa_keys[0]))).tenant == "acme"
    asked = issuer.asked
    assert (await issuer.verifier.verify(issuer.token("one", rsa_keys[0], role="admin"))).role is Role.ADMIN
    assert issuer.asked == asked, "a known key is not fetched again"
    curve = ec.generate_private_key(ec.SECP256R1())
    issuer.keys = {"two": rsa_keys[1], "three": curve}
    issuer.now += 11
    await issuer.verifier.verify(issuer.token("two", rsa_keys[1]))
    await issuer.verifier.verify(issuer.token("three", curve, "ES256"))
    with pytest.raises(TokenRefused):
        await issuer.verifier.verify(issuer.token("one", rsa_keys[0], sub="another"))


async def test_a_token_whose_key_was_withdrawn_is_refused_though_it_was_good_before(rsa_keys: list[Any]) -> None:
    issuer = Issuer()
    issuer.keys = {"one": rsa_keys[0]}
    token = issuer.token("one", rsa_keys[0])
    await issuer.verifier.verify(token)
    issuer.keys = {"two": rsa_keys[1]}
    issuer.now += 59
    await issuer.verifier.verify(token)
    issuer.now += 602
    with pytest.raises(TokenRefused):
        await issuer.verifier.verify(token)


async def test_tokens_with_unknown_keys_do_not_make_us_ask_all_the_time(rsa_keys: list[Any]) -> None:
    issuer = Issuer()
    issuer.keys = {"one": rsa_keys[0]}
    for number in range(20):
        with pytest.raises(TokenRefused):
            await issuer.verifier.verify(issuer.token(f"unknown {number}", rsa_keys[1]))
    assert issuer.asked == 2


async def test_an_issuer_that_is_down_matters_only_while_no_key_is_known(rsa_keys: list[Any]) -> None:
    issuer = Issuer()
    issuer.keys = {"one": rsa_keys[0]}
    issuer.up = False
    with pytest.raises(KeysUnavailable):
        await issuer.verifier.verify(issuer.token("one", rsa_keys[0]))
    issuer.up = True
    issuer.now += 11
    await issuer.verifier.verify(issuer.token("one", rsa_keys[0]))
    issuer.up = False
    issuer.now += 3600
    await issuer.verifier.verify(issuer.token("one", rsa_keys[0], role="operator"))


async def test_the_issuers_public_key_is_no_secret_to_sign_with(rsa_keys: list[Any]) -> None:
    issuer = Issuer()
    issuer.keys = {"one": rsa_keys[0]}
    shared = jwt.encode(claims(iss=ISSUER), "secret" * 6, algorithm="HS256", headers={"kid": "shared"})
    with pytest.raises(TokenRefused):
        await issuer.verifier.verify(shared)


async def test_the_demos_secret_is_made_once_and_private(tmp_path: Path) -> None:
    found = settings(tmp_path)
    assert demo_secret(found) == demo_secret(found)
    file = tmp_path / "auth-demo-secret"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    principal = await make_verifier(found).verify(demo_token(found, "acme", USER, Role.ADMIN, 60))
    assert (principal.tenant, principal.user_id, principal.role) == ("acme", USER, Role.ADMIN)
    file.write_text("short")
    with pytest.raises(SettingsError, match="damaged"):
        demo_secret(found)


async def test_with_an_issuer_the_demos_tokens_are_nothing(tmp_path: Path) -> None:
    token = demo_token(settings(tmp_path), "acme", USER, Role.ADMIN, 60)
    with_issuer = settings(tmp_path, auth_issuer=ISSUER, auth_jwks_url="http://127.0.0.1:9/keys")
    with pytest.raises(TokenRefused):
        await make_verifier(with_issuer).verify(token)
    with pytest.raises(SettingsError):
        demo_secret(with_issuer)
