"""`@capability`: what turns a method into something a pattern can ask for.

The annotations are the contract. Parameters after `context` become the input schema, the return annotation becomes
the output schema, both JSON Schema 2020-12; the same pydantic types check every call. A capability is described by
its class alone, so the catalogue needs no running service.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, PydanticUserError, TypeAdapter, create_model

JSON_SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"
NEEDS = ("pack", "ledger", "portfolio")
_MARK = "__capability__"

_Method = TypeVar("_Method", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Retry:
    """How the engine repeats a capability that failed retryably, unless the pattern says otherwise."""

    attempts_max: int = 3
    backoff_s: float = 0.2
    factor: float = 2.0
    cap_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Terms:
    """What the decorator declares; see `capability`."""

    name: str
    version: int
    ttl_s: int | None
    timeout_s: float
    pure: bool
    needs: tuple[str, ...]
    shared: bool
    upstreams: tuple[str, ...]
    retry: Retry
    concurrency_max: int | None = None
    rate_per_s: float | None = None


def capability(
    name: str,
    *,
    version: int = 1,
    ttl_s: int | None = None,
    timeout_s: float = 30.0,
    pure: bool = False,
    needs: tuple[str, ...] = (),
    shared: bool = False,
    upstreams: tuple[str, ...] = (),
    retry: Retry | None = None,
    concurrency_max: int | None = None,
    rate_per_s: float | None = None,
) -> Callable[[_Method], _Method]:
    """Mark an async method of a `BaseAgent` as a capability.

    Args:
        name: `<area>.<verb or noun>`, what patterns write.
        version: raise it whenever the same arguments and pins may give another answer. The method of the former version
            may stay beside the new one, under another method name, for executions that began with it.
        ttl_s: seconds an answer may be cached; None means it does not age because everything it rests on is pinned.
        timeout_s: longest a call may take.
        pure: the answer depends on arguments and `needs` only. Only pure capabilities are cached and recomputed by
            `replay --verify`.
        needs: pins it reads: `pack`, `ledger`, `portfolio`.
        shared: answers rest on nobody's own data, so tenants and users may share cached ones. Off by default.
        upstreams: services it calls; each has its own circuit breaker.
        retry: how often the engine tries again.
        concurrency_max: calls at a time in one worker process; None leaves it to the worker's pool.
        rate_per_s: calls begun per second in one worker process, evenly spaced; None for no limit.
    """
    unknown = [need for need in needs if need not in NEEDS]
    if unknown:
        raise ValueError(f"capability {name}: expected needs among {', '.join(NEEDS)}, got {', '.join(unknown)}")
    if shared and ("ledger" in needs or "portfolio" in needs):
        raise ValueError(f"capability {name}: what reads a ledger or portfolio cannot be shared between users")
    if concurrency_max is not None and concurrency_max < 1:
        raise ValueError(f"capability {name}: expected concurrency_max from 1, got {concurrency_max}")
    if rate_per_s is not None and not 0 < rate_per_s < float("inf"):
        raise ValueError(f"capability {name}: expected rate_per_s above 0, got {rate_per_s}")
    terms = Terms(
        name,
        version,
        ttl_s,
        timeout_s,
        pure,
        needs,
        shared,
        upstreams,
        retry or Retry(),
        concurrency_max,
        rate_per_s,
    )

    def mark(method: _Method) -> _Method:
        if not inspect.iscoroutinefunction(method):
            raise TypeError(f"capability {name}: expected an async method, got {method!r}")
        setattr(method, _MARK, terms)
        return method

    return mark


@dataclass(frozen=True, slots=True)
class Description:
    """A capability as its class declares it, with the types that check its calls.

    Attributes:
        owner: `module:Class.method`, for error texts.
        method: attribute of the agent.
        arguments: model of the parameters; unknown ones are refused.
        answer: checks and serialises what the method returns.
        summary: first line of the docstring.
        former: the other versions this class still has; the description itself is of the newest.
    """

    agent: str
    agent_version: str
    owner: str
    method: str
    terms: Terms
    summary: str
    arguments: type[BaseModel]
    answer: TypeAdapter[Any] = field(repr=False)
    former: tuple["Description", ...] = ()

    def of_version(self, version: int) -> "Description | None":
        """Return the description of one version; None if the class does not have it."""
        return next((each for each in (self, *self.former) if each.terms.version == version), None)

    def as_json(self) -> dict[str, Any]:
        """Return the catalogue entry."""
        terms = self.terms
        limits = {"concurrency_max": terms.concurrency_max, "rate_per_s": terms.rate_per_s}
        return {
            "version": terms.version,
            "summary": self.summary,
            "input_schema": _with_dialect(self.arguments.model_json_schema(mode="validation")),
            "output_schema": _with_dialect(self.answer.json_schema(mode="serialization")),
            "timeout_s": terms.timeout_s,
            "ttl_s": terms.ttl_s,
            "pure": terms.pure,
            "needs": list(terms.needs),
            "retry": asdict(terms.retry),
            **{name: limit for name, limit in limits.items() if limit is not None},
        }


@cache
def describe(agent: type) -> Mapping[str, Description]:
    """Return an agent class's capabilities by name, in order of definition, base classes first; newest versions.

    Made once per class: the models of arguments and answers take milliseconds.

    Raises:
        TypeError: a capability without annotations, or two methods of one class with one name and version.
    """
    found: dict[str, list[Description]] = {}
    methods: dict[str, Any] = {}
    for base in reversed(agent.__mro__):
        methods.update(vars(base))
    for attribute, method in methods.items():
        terms = getattr(method, _MARK, None)
        if not isinstance(terms, Terms):
            continue
        description = _describe(agent, attribute, method, terms)
        same = found.setdefault(terms.name, [])
        for other in same:
            if other.terms.version == terms.version:
                what = f"capability {terms.name} in version {terms.version}"
                raise TypeError(f"{what} is declared by {other.owner} and {description.owner}")
        same.append(description)
    newest = {name: max(same, key=lambda each: each.terms.version) for name, same in found.items()}
    return {
        name: replace(each, former=tuple(other for other in found[name] if other is not each))
        for name, each in newest.items()
    }


def _describe(agent: type, attribute: str, method: Callable[..., Any], terms: Terms) -> Description:
    owner = f"{agent.__module__}:{agent.__qualname__}.{attribute}"
    hints = get_type_hints(method, include_extras=True)
    parameters = list(inspect.signature(method).parameters.values())[1:]
    if not parameters or parameters[0].name != "context":
        raise TypeError(f"{owner}: expected `context` as the first parameter after self")
    if "return" not in hints:
        raise TypeError(f"{owner}: expected a return annotation, it becomes the output schema")
    fields: dict[str, Any] = {}
    for parameter in parameters[1:]:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise TypeError(f"{owner}: expected named parameters only, got {parameter}")
        if parameter.name not in hints:
            raise TypeError(f"{owner}: expected an annotation on {parameter.name!r}, it becomes the input schema")
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    title = "".join(part.capitalize() for part in terms.name.replace(".", "_").split("_"))
    arguments = create_model(
        f"{title}Arguments", __config__=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False), **fields
    )
    summary = (inspect.getdoc(method) or "").strip().split("\n", 1)[0]
    return Description(
        agent=agent.name,  # pyright: ignore[reportAttributeAccessIssue]
        agent_version=agent.version,  # pyright: ignore[reportAttributeAccessIssue]
        owner=owner,
        method=attribute,
        terms=terms,
        summary=summary,
        arguments=arguments,
        answer=_answer_adapter(hints["return"]),
    )


def _answer_adapter(annotation: Any) -> TypeAdapter[Any]:
    """Return the adapter of an answer. A NaN inside `Any` must reach the check of the canonical form, not turn null."""
    try:
        return TypeAdapter(annotation, config=ConfigDict(ser_json_inf_nan="constants"))
    except PydanticUserError:  # models bring their own configuration
        return TypeAdapter(annotation)


def _with_dialect(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"$schema": JSON_SCHEMA_DIALECT, **schema}
