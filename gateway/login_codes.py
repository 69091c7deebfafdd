"""Where the one-time codes of `dawsos console` are kept.

Apart from the routes, so that the command which makes a code does not load a web framework.
"""

from db.one_time import OneTimeStore
from db.redis_link import RedisLink

_LIFETIME_S = 600


def login_codes(redis: RedisLink, prefix: str) -> OneTimeStore:
    """Return the store of a system's codes."""
    return OneTimeStore(redis, prefix, "login", _LIFETIME_S)
