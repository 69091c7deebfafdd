"""The instance a chaos run works on: `python -m chaos.instance` runs it in the foreground, as `dawsos up` does.

Two orchestrators, two agent workers and a projector. The clocks of the second orchestrator and of the second agent
worker are an hour fast for the whole run, unless `--right-clocks` is given.
"""

import sys

from cli.instance_commands import prepare
from local.commands import up
from local.worker import WorkerSpec
from settings import load_settings

WRONG_CLOCKS_S = {"orchestrator-2": 3600.0, "agents-2": 3600.0}
ARGV = (sys.executable, "-m", "chaos.instance")
_DAWSOS = (sys.executable, "-m", "cli.main")


def worker_specs(wrong_clocks_s: dict[str, float]) -> tuple[WorkerSpec, ...]:
    """Return the workers.

    Args:
        wrong_clocks_s: worker name → seconds its clock is ahead.
    """
    specs = []
    for name in ("orchestrator-1", "orchestrator-2", "agents-1", "agents-2", "projector"):
        command = ("worker", name.partition("-")[0])
        shift_s = wrong_clocks_s.get(name)
        start = _DAWSOS if shift_s is None else (sys.executable, "-m", "chaos.wrong_clock", str(shift_s))
        specs.append(WorkerSpec(name, (*start, *command)))
    return tuple(specs)


def main() -> None:
    """Run until SIGTERM."""
    wrong_clocks_s = {} if sys.argv[1:] == ["--right-clocks"] else WRONG_CLOCKS_S
    raise SystemExit(up(load_settings(), worker_specs(wrong_clocks_s), prepare))


if __name__ == "__main__":
    main()
