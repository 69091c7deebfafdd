"""The command group that turns every exception into one clear line and an exit code."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from cli.exits import Exit
from cli.failures import explain

_DEBUG = "DAWSOS_DEBUG"


class Commands(TyperGroup):
    """The root group: `--debug` lets tracebacks through, Ctrl-C ends with 130."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Raises:
            typer.Exit: with the code of `cli.exits`, after one line on stderr.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _print_error("interrupted")
            raise typer.Exit(Exit.INTERRUPTED) from None
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if type(error).__module__.startswith("typer.") or os.environ.get(_DEBUG):
                raise
            found = explain(error)
            if found is None:
                _print_error(
                    f"unexpected {type(error).__name__}: {error}\n"
                    "This is a fault of dawsos; `dawsos --debug …` shows where it happened."
                )
                raise typer.Exit(Exit.ERROR) from None
            _print_error(found.message)
            raise typer.Exit(found.code) from None


def set_debug(on: bool) -> None:
    """Let tracebacks through, here and in processes started from here."""
    if on:
        os.environ[_DEBUG] = "1"


def _print_error(message: str) -> None:
    colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    label = "\x1b[1;31merror:\x1b[0m" if colour else "error:"
    sys.stderr.write(f"{label} {message}\n")
    sys.stderr.flush()
