"""Become another program that dies with its parent; run as a script, never imported.

`python -I -S launch.py SIGNAL PARENT_PID USER CAPABILITY -- ARGV…`

A server that outlives its supervisor would hold ports and data. Linux can send a signal to a child when the
thread that started it ends (PR_SET_PDEATHSIG); it has to be asked for inside the child, after any change of user
(which clears it) and before exec. Doing it here rather than in `preexec_fn` keeps Python code out of the window
between fork and exec, which is unsafe in a program with threads.

USER is `-` or a user name to become (Postgres refuses to run as root). CAPABILITY is `-` or a number to keep
across that change: with CAP_DAC_OVERRIDE (1) the user `nobody` can enter folders such as /root that only root may,
so nobody has to open their permissions.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 1 << 2
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAPABILITY_VERSION_3 = 0x20080522


def _become(user: str, capability: int | None, libc: ctypes.CDLL | None) -> None:
    import pwd

    entry = pwd.getpwnam(user)
    if capability is not None and libc is not None:
        # Keeps capabilities over the change of user, and lets access(2), which initdb asks, respect them.
        libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    if capability is None or libc is None:
        return
    bit = 1 << capability
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    # Two blocks of effective, permitted, inheritable (low and high 32 bits).
    sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    if libc.capset(header, sets) or libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0):
        sys.exit(f"cannot keep capability {capability} as {user}: errno {ctypes.get_errno()}")


def _main(arguments: list[str]) -> None:
    signal_number, parent, user, capability, separator, *argv = arguments
    if separator != "--" or not argv:
        sys.exit("expected: SIGNAL PARENT_PID USER CAPABILITY -- ARGV…")
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    if user != "-":
        _become(user, None if capability == "-" else int(capability), libc)
    if libc is not None:
        libc.prctl(PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
        if os.getppid() != int(parent):
            sys.exit("the parent ended before the program could start")
    os.execv(argv[0], argv)


if __name__ == "__main__":
    _main(sys.argv[1:])
