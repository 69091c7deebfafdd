"""How rarely a process that lives long looks for garbage."""

import gc


def look_for_garbage_rarely() -> None:
    """Look seldom, and not among what is there now: it stays, and looking through it again costs milliseconds."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
