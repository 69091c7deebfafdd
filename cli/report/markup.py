"""HTML that cannot be injected into: every string is escaped unless it is already `Html`."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from typing import Any


class Html(str):
    """Markup that is known to be safe, because this module made it."""

    __slots__ = ()


Child = str | Iterable["Child"] | None
_VOID = frozenset({"br", "hr", "img", "meta", "link", "col"})


def tag(name: str, /, *children: Child, **attributes: str | bool | None) -> Html:
    """Return an element.

    Args:
        name: tag name.
        children: text (escaped), `Html` (as it is), None (nothing) or iterables of them.
        attributes: values are escaped; None and False leave the attribute out; a trailing `_` of a name is cut and
            other `_` become `-`, so `class_` and `aria_label` work.
    """
    shown = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        attribute = key.rstrip("_").replace("_", "-")
        shown.append(f" {attribute}" if value is True else f' {attribute}="{html.escape(value)}"')
    opening = f"<{name}{''.join(shown)}>"
    return Html(opening if name in _VOID else f"{opening}{join(children)}</{name}>")


def join(children: Child) -> Html:
    """Return children one after the other."""
    if children is None:
        return Html("")
    if isinstance(children, Html):
        return children
    if isinstance(children, str):
        return Html(html.escape(children))
    return Html("".join(join(child) for child in children))


def json_script(identifier: str, value: Any) -> Html:
    """Return a data block that scripts of the page can read and that no string in it can end."""
    return Html(f'<script type="application/json" id="{html.escape(identifier)}">{script_json(value)}</script>')


def script_json(value: Any) -> str:
    """Return JSON that may stand inside a script element: `<`, `>` and `&` are written as escapes."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character, code in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(character, code)
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
