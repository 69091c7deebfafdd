"""The text of `.env.example`, made from the settings so that it cannot lag behind them."""

from __future__ import annotations

import sys

from settings import variables

HEADER = """\
# Copy to .env and uncomment what you want to change. Variables of the environment win over this file.
# An address left empty means: `dawsos up` starts that service itself.
"""


def render() -> str:
    """Every variable as a comment with its meaning and default, in the order of the settings."""
    parts = [HEADER]
    for name, (default, meaning) in variables().items():
        parts.append(f"# {meaning}\n# {name}={default}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(render())
