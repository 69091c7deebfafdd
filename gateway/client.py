"""A client for notebooks and scripts: run patterns over HTTP, watch them, and read results, as pandas where installed.

Needs httpx only. Errors of the gateway (RFC 9457) are raised as `ApiProblem`.

    with Client("http://127.0.0.1:8080", token) as dawsos:
        result = dawsos.execute("tax_lots", portfolio_id=dawsos.portfolio("growth"), asof="2012-12-31")
        result.frame("lots.rows")
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, Self
from uuid import UUID, uuid4

import httpx

if TYPE_CHECKING:
    import pandas

_PROBLEM = "application/problem+json"
_TIMEOUT_S = 60.0
_RECONNECTS_MAX = 5
_DECIMAL = re.compile(r"-?\d+(\.\d+)?")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


class ApiProblem(Exception):
    """The gateway refused, or the execution did not succeed.

    Attributes:
        status: of HTTP.
        code: for machines; `GET /errors` lists them.
        detail: for people.
        retryable: whether the same request may succeed later; `retry_after_s` says when, if that is known.
        errors: every mistake in the request, as (JSON pointer, text).
        execution_id: the execution that ended so, if one was started.
    """

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        self.status = status
        self.code = str(body.get("code", "INTERNAL"))
        self.detail = str(body.get("detail", ""))
        self.retryable = bool(body.get("retryable", False))
        self.retry_after_s: float | None = body.get("retry_after_s")
        self.errors = tuple((str(each["pointer"]), str(each["detail"])) for each in body.get("errors") or ())
        self.execution_id: str | None = body.get("execution_id")
        super().__init__(f"{self.code}: {self.detail}")


@dataclass(frozen=True, slots=True)
class Event:
    """An execution as it stands: `progress` while it is under way, at last `end`.

    Attributes:
        execution: the document of `GET /executions/{id}`; with `steps` while it is under way.
    """

    kind: Literal["progress", "end"]
    execution: dict[str, Any]

    @property
    def status(self) -> str:
        """Where it stands: `running`, `waiting_for_pack`, `succeeded`, …."""
        return str(self.execution["status"])


@dataclass(frozen=True, slots=True, repr=False)
class Result:
    """What came of an execution.

    Attributes:
        data: outputs by name; money and quantities are decimal texts.
        charts: Vega-Lite specifications.
        trace: how it came about, with every data and code version.
        digest: equal for equal answers.
    """

    execution_id: str
    data: dict[str, Any]
    charts: list[dict[str, Any]]
    trace: dict[str, Any]
    digest: str

    def __repr__(self) -> str:
        return f"<Result of {self.execution_id}: {', '.join(self.data)}; {len(self.charts)} charts>"

    def frame(self, path: str, *, exact: bool = False) -> pandas.DataFrame:
        """Return rows of the data as a pandas DataFrame; days become timestamps, decimal texts floats.

        Args:
            path: dotted, into `data`: a list of objects (`lots.rows`), or an object whose longest lists are columns.
            exact: make decimal texts `Decimal` instead.

        Raises:
            ImportError: pandas is not installed.
            KeyError: there is nothing at the path.
            TypeError: what is there is no table.
        """
        import pandas

        found = self._at(path)
        if isinstance(found, dict):
            lists = {name: column for name, column in found.items() if isinstance(column, list)}
            found = {name: column for name, column in lists.items() if len(column) == max(map(len, lists.values()))}
        if not isinstance(found, list) and not (isinstance(found, dict) and found):
            raise TypeError(f"expected a list of rows or an object of lists at {path!r}")
        table = pandas.DataFrame(found)
        for name in table.columns:
            known = [value for value in table[name] if isinstance(value, str)]
            if not known or len(known) != table[name].notna().sum():
                continue
            if all(map(_DAY.fullmatch, known)):
                table[name] = pandas.to_datetime(table[name])
            elif all(map(_DECIMAL.fullmatch, known)):
                if exact:
                    table[name] = [Decimal(value) if isinstance(value, str) else None for value in table[name]]
                else:
                    table[name] = table[name].astype(float)
        return table

    def _at(self, path: str) -> Any:
        here: Any = self.data
        for key in path.split("."):
            if isinstance(here, list) and key.isdigit() and int(key) < len(here):
                here = here[int(key)]
            elif isinstance(here, dict) and key in here:
                here = here[key]
            else:
                known = ", ".join(here) if isinstance(here, dict) else type(here).__name__
                raise KeyError(f"no {key!r} of {path!r} in {known}")
        return here


class Client:
    """Talks to one gateway on behalf of one token. Close it, or use it in `with`.

    Args:
        gateway: its address.
        token: as `dawsos token` prints it.
        transport: for tests and proxies of one's own.
    """

    def __init__(self, gateway: str, token: str, *, transport: httpx.BaseTransport | None = None) -> None:
        headers = {"Authorization": f"Bearer {token.strip()}"}
        self._http = httpx.Client(base_url=gateway.strip(), headers=headers, timeout=_TIMEOUT_S, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def patterns(self) -> list[dict[str, Any]]:
        """Return what can be run."""
        return self._json("GET", "/patterns")["patterns"]

    def portfolio(self, name: str) -> str:
        """Return the id of one's portfolio of this name; the part after a colon is enough.

        Raises:
            KeyError: none has it, or several have.
        """
        listed = self._json("GET", "/portfolios")["portfolios"]
        wanted = name.casefold()
        found = [
            each["portfolio_id"]
            for each in listed
            if wanted in (each["name"].casefold(), each["name"].rpartition(":")[2].strip().casefold())
        ]
        if len(found) != 1:
            known = ", ".join(each["name"] for each in listed) or "none"
            raise KeyError(f"expected one portfolio called {name!r}, {len(found)} are; there are {known}")
        return str(found[0])

    def execute(
        self,
        pattern_id: str,
        *,
        portfolio_id: str | UUID | None = None,
        inputs: Mapping[str, Any] | None = None,
        asof: str | date | None = None,
        gate: Mapping[str, Any] | None = None,
        request_id: str | None = None,
        wait_s: float = 300.0,
    ) -> Result:
        """Run a pattern and return its result.

        Args:
            pattern_id: which.
            portfolio_id: for patterns over a portfolio.
            inputs: of the pattern, by name.
            asof: day to value at; the newest with prices when absent.
            gate: while the day's pack is warming, `{"policy": "wait", "wait_s": 60}`, for example.
            request_id: the same name is the same execution.
            wait_s: how long to wait in all; the execution goes on after that.

        Raises:
            ApiProblem: it was refused or did not succeed.
            TimeoutError: it takes longer; the text holds its id.
        """
        until = time.monotonic() + wait_s
        response = self._post(pattern_id, portfolio_id, inputs, asof, gate, request_id, f"wait={min(30, wait_s):.0f}")
        if response.status_code == 202:
            return self._wait(str(response.json()["execution_id"]), until)
        return _result(response.json())

    def submit(
        self,
        pattern_id: str,
        *,
        portfolio_id: str | UUID | None = None,
        inputs: Mapping[str, Any] | None = None,
        asof: str | date | None = None,
        gate: Mapping[str, Any] | None = None,
        request_id: str | None = None,
    ) -> str:
        """Start a pattern and return its execution id at once; arguments and errors as of `execute`."""
        # A stored result is answered although none is waited for.
        response = self._post(pattern_id, portfolio_id, inputs, asof, gate, request_id, "respond-async")
        return str(response.json()["execution_id"])

    def stream(self, execution_id: str) -> Iterator[Event]:
        """Yield an execution's present state and each change until it ends; lost connections are taken up again.

        Raises:
            ApiProblem: it is not one's own, or unknown.
            httpx.TransportError: the gateway cannot be reached for a while.
        """
        seen: str | None = None
        failures = 0
        while True:
            try:
                for identity, event in self._events(execution_id, seen):
                    seen, failures = identity, 0
                    yield event
                    if event.kind == "end":
                        return
            except httpx.TransportError:
                if failures == _RECONNECTS_MAX:
                    raise
            time.sleep(min(failures, 3))
            failures += 1

    def result(self, execution_id: str, *, wait_s: float = 300.0) -> Result:
        """Return an execution's result, waiting for it; errors as of `execute`."""
        return self._wait(execution_id, time.monotonic() + wait_s)

    def cancel(self, execution_id: str, reason: str = "") -> None:
        """Tell an execution to stop; harmless when it has ended."""
        self._json("DELETE", f"/executions/{execution_id}", params={"reason": reason})

    def _post(
        self,
        pattern_id: str,
        portfolio_id: str | UUID | None,
        inputs: Mapping[str, Any] | None,
        asof: str | date | None,
        gate: Mapping[str, Any] | None,
        request_id: str | None,
        prefer: str,
    ) -> httpx.Response:
        body = {
            "pattern_id": pattern_id,
            "portfolio_id": portfolio_id and str(portfolio_id),
            "inputs": inputs or {},
            "asof": asof and str(asof),
            "gate": gate,
            # Named always, so that what is sent twice runs once.
            "request_id": request_id or f"client-{uuid4()}",
        }
        given = {name: value for name, value in body.items() if value is not None}
        return _checked(self._http.post("/execute", json=given, headers={"Prefer": prefer}))

    def _wait(self, execution_id: str, until: float) -> Result:
        while True:
            response = _checked(self._http.get(f"/executions/{execution_id}/result"))
            if response.status_code != 202:
                return _result(response.json())
            if time.monotonic() >= until:
                raise TimeoutError(f"execution {execution_id} is {response.json()['status']} and goes on")
            time.sleep(float(response.headers.get("Retry-After", 1)))

    def _events(self, execution_id: str, seen: str | None) -> Iterator[tuple[str, Event]]:
        headers = {} if seen is None else {"Last-Event-ID": seen}
        with self._http.stream("GET", f"/executions/{execution_id}/events", headers=headers) as response:
            if response.is_error:
                response.read()
            _checked(response)
            fields: dict[str, str] = {}
            for line in response.iter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif fields.get("event") in ("progress", "end"):
                    kind: Any = fields["event"]
                    yield fields["id"], Event(kind, json.loads(fields["data"]))
                    fields = {}

    def _json(self, method: str, path: str, **options: Any) -> Any:
        return _checked(self._http.request(method, path, **options)).json()


def _checked(response: httpx.Response) -> httpx.Response:
    """Return the response if it is no error."""
    if response.is_error:
        ours = response.headers.get("content-type", "").startswith(_PROBLEM)
        # Something between us and the gateway may answer in another form.
        raise ApiProblem(response.status_code, response.json() if ours else {"detail": response.text[:500]})
    return response


def _result(body: Mapping[str, Any]) -> Result:
    return Result(str(body["execution_id"]), body["data"], body["charts"], body["trace"], body["digest"])
