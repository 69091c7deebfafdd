"""Who the demo's users are: known without loading anything."""

from uuid import NAMESPACE_URL, UUID, uuid5

TENANT = "demo"
USERS = ("alice", "bob")
NAMESPACE = uuid5(NAMESPACE_URL, "dawsos-executor:demo")


def user_id_of(name: str) -> UUID:
    """Return the id of a demo user, `alice` or `bob`; the same on every machine."""
    return uuid5(NAMESPACE, f"user:{name}")
