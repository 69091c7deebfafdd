"""How providers are asked: keys kept out of every text, calls spaced, failures retried with the provider's own pauses.

A short pause is waited for here; a long one is handed to the engine as a retryable failure with its time, so that no
worker sleeps on it. The circuit breaker of the agent runtime counts what is raised here per provider. Redirects are not
followed: a key must not reach another host.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import monotonic, time
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, SecretStr, ValidationError

from topics.errors import Code, RetryableError, TerminalError

BODY_BYTES_MAX = 32 * 1024 * 1024
_FAULTS_SHOWN = 3
_Model = TypeVar("_Model", bound=BaseModel)

# Its INFO lines hold whole URLs, and some providers take the key in the query.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Manners:
    """How a provider wants to be asked.

    Attributes:
        rate_per_s: calls per second of this process, evenly spaced.
        attempts_max: of one call, the first included.
        timeout_s: for connecting, and between bytes.
        wait_s_max: longest pause waited for here; longer ones go to the engine.
        backoff_s: first pause after a failure that names none, doubled each time.
    """

    rate_per_s: float = 5.0
    attempts_max: int = 3
    timeout_s: float = 10.0
    wait_s_max: float = 5.0
    backoff_s: float = 0.5


class ProviderHttp:
    """GET requests to one provider.

    Args:
        name: of the provider; also of its circuit.
        base_url: without a trailing slash.
        key: None when it is not configured.
        setting: the variable that holds the key, for the error text.
        header: header that carries the key, with the prefix before it; None sends it as query parameter `key_param`.
        key_param: see `header`.
        manners: limits and pauses.
        sleep: for tests; `asyncio.sleep` by default.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        key: SecretStr | None,
        setting: str,
        *,
        header: tuple[str, str] | None = None,
        key_param: str = "api_key",
        manners: Manners | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.name = name
        self._base_url = base_url.rstrip("/")
        self._key = key
        self._setting = setting
        self._header = header
        self._key_param = key_param
        self._manners = manners or Manners()
        self._sleep = sleep
        self._next_at = 0.0

    @property
    def configured(self) -> bool:
        """Whether there is a key."""
        return self._key is not None

    def require_key(self) -> SecretStr:
        """Return the key; raises PROVIDER_NOT_CONFIGURED without one."""
        if self._key is None:
            raise TerminalError(
                Code.PROVIDER_NOT_CONFIGURED,
                f"{self.name} needs a key: set {self._setting}; whatever does not need {self.name} works without",
            )
        return self._key

    async def get(self, path: str, params: Mapping[str, str | int], model: type[_Model]) -> _Model:
        """Return a checked answer.

        Args:
            path: below the base URL, or a whole URL of the same host (a next page).
            params: query, without the key.
            model: what the answer must look like.

        Raises:
            TerminalError: PROVIDER_NOT_CONFIGURED without a key or with one that is refused; INVALID_ARGS for what the
                provider does not know; UPSTREAM_FAILED for an answer outside its schema.
            RetryableError: UPSTREAM_FAILED, with the pause the provider asked for if it named one.
        """
        key = self.require_key()
        url = self._url(path)
        last: RetryableError | None = None
        async with httpx.AsyncClient(timeout=self._manners.timeout_s, follow_redirects=False) as client:
            for attempt in range(self._manners.attempts_max):
                await self._space()
                try:
                    body = await self._once(client, url, params, key.get_secret_value())
                    return self._checked(body, model)
                except RetryableError as error:
                    last = error
                    pause = error.retry_after_s
                    if pause is None:
                        pause = self._manners.backoff_s * 2**attempt
                    if pause > self._manners.wait_s_max or attempt + 1 == self._manners.attempts_max:
                        break
                    await self._sleep(pause)
        assert last is not None
        raise last

    def _url(self, path: str) -> str:
        if "://" not in path:
            return self._base_url + path
        if urlsplit(path)[:2] != urlsplit(self._base_url)[:2]:
            raise TerminalError(Code.UPSTREAM_FAILED, f"{self.name} names a next page on another host")
        return path

    async def _space(self) -> None:
        now = monotonic()
        at = max(self._next_at, now)
        self._next_at = at + 1.0 / self._manners.rate_per_s
        if at > now:
            await self._sleep(at - now)

    async def _once(self, client: httpx.AsyncClient, url: str, params: Mapping[str, str | int], key: str) -> bytes:
        query = dict(params)
        headers = {"Accept": "application/json"}
        if self._header is not None:
            headers[self._header[0]] = f"{self._header[1]}{key}"
        else:
            query[self._key_param] = key
        try:
            # A next page's URL has a query of its own; the parameters are added to it.
            async with client.stream("GET", httpx.URL(url).copy_merge_params(query), headers=headers) as answer:
                self._judge(answer)
                body = bytearray()
                async for chunk in answer.aiter_bytes():
                    body += chunk
                    if len(body) > BODY_BYTES_MAX:
                        raise TerminalError(Code.UPSTREAM_FAILED, f"{self.name} sent more than {BODY_BYTES_MAX} bytes")
                return bytes(body)
        except httpx.TimeoutException as error:
            raise self._retryable(f"did not answer within {self._manners.timeout_s:g} s") from error
        except httpx.TransportError as error:
            # The exception's own text may hold the URL.
            raise self._retryable(f"could not be reached ({type(error).__name__})") from None

    def _judge(self, answer: httpx.Response) -> None:
        status = answer.status_code
        if status == 200:
            return
        if status == 429 or status >= 500:
            raise self._retryable(f"answered {status}", _retry_after(answer.headers.get("retry-after")))
        if status in (401, 403):
            raise TerminalError(
                Code.PROVIDER_NOT_CONFIGURED, f"{self.name} refuses the key in {self._setting} ({status})"
            )
        if status in (400, 404, 422):
            raise TerminalError(Code.INVALID_ARGS, f"{self.name} does not know what was asked for ({status})")
        raise TerminalError(Code.UPSTREAM_FAILED, f"{self.name} answered {status}")

    def _checked(self, body: bytes, model: type[_Model]) -> _Model:
        try:
            document: Any = json.loads(body)
        except ValueError:
            raise self._retryable(f"sent {len(body)} bytes that are no whole JSON") from None
        try:
            return model.model_validate(document)
        except ValidationError as error:
            faults = [
                f"/{'/'.join(map(str, fault['loc']))}: {fault['msg']}"
                for fault in error.errors(include_url=False, include_input=False, include_context=False)[:_FAULTS_SHOWN]
            ]
            raise TerminalError(
                Code.UPSTREAM_FAILED, f"{self.name} answered outside its schema: {'; '.join(faults)}"
            ) from None

    def _retryable(self, what: str, retry_after_s: float | None = None) -> RetryableError:
        return RetryableError(
            Code.UPSTREAM_FAILED, f"{self.name} {what}", retry_after_s=retry_after_s, service=self.name
        )


def _retry_after(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header, given as a number or as a date; None when it says neither."""
    if value is None:
        return None
    try:
        return max(float(value), 0.0)
    except ValueError:
        pass
    try:
        return max(parsedate_to_datetime(value).timestamp() - time(), 0.0)
    except (TypeError, ValueError):
        return None
