"""The base of every capability agent."""

import re
from typing import ClassVar

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


class BaseAgent:
    """A named group of capabilities. Services arrive through the constructor; no state is kept between calls.

    Attributes:
        name: names the agent's request topic `capability-requests.<name>`: lower case, digits, `_`.
        version: of the code, for people and traces; capabilities have their own versions.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1.0.0"

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        name = getattr(cls, "name", None)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise TypeError(f"{cls.__qualname__}: expected `name` like financial_analyst, got {name!r}")
