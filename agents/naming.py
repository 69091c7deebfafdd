"""How many names are said in a message."""

from collections.abc import Sequence


def first_named(names: Sequence[str], most: int) -> str:
    """Return the names in one line; of more than `most` the first ones and how many there are besides."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
