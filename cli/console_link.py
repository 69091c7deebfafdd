"""`dawsos console`: a one-time link that logs in to the console of the running instance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import print_json, say
from cli.options import AsJson

if TYPE_CHECKING:
    from settings import Settings

_HOURS = 12.0


def console_command(
    user: Annotated[
        str, typer.Option("--user", "-u", metavar="USER", help="Name of a demo user, or a UUID.")
    ] = "alice",
    role: Annotated[str, typer.Option("--role", help="viewer, operator or admin.")] = "operator",
    hours: Annotated[float, typer.Option("--hours", min=0.1, max=24 * 30, help="How long the session lasts.")] = _HOURS,
    open_: Annotated[bool, typer.Option("--open", help="Open the link in the default browser.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print a link that logs in to the console in the browser: good once, for ten minutes.

    Only with the demo's own tokens. With an OIDC issuer (DAWSOS_AUTH_ISSUER) paste a token of the issuer instead.

    [bold]Example[/]

      dawsos console --user bob
    """
    import asyncio

    from cli.instance import connected

    found = connected()
    link = asyncio.run(console_link(found, user, role, hours))
    if as_json:
        print_json({"url": link})
    else:
        typer.echo(link)
        say("good once, for ten minutes")
    if open_:
        typer.launch(link)


async def console_link(found: Settings, user: str, role: str, hours: float = _HOURS) -> str:
    """Return a one-time link to the console.

    Raises:
        CommandFailed: the role or the user is unknown, or no gateway runs here.
    """
    from cli.exits import Exit
    from cli.failures import CommandFailed
    from cli.instance import find_user
    from db.redis_link import RedisLink
    from gateway.login_codes import login_codes
    from services.demo_users import TENANT
    from services.tokens import Role, demo_token

    if role not in tuple(Role):
        raise CommandFailed(f"--role: expected one of {', '.join(Role)}, got {role!r}", Exit.USAGE)
    address = _address(found)
    name = user if not _is_uuid(user) else None
    token = demo_token(found, TENANT, find_user(user), Role(role), hours * 3600, name=name)
    redis = RedisLink(found.redis_url(), timeout_s=2.0)
    try:
        code = await login_codes(redis, found.topic_prefix).put(token.encode())
    finally:
        await redis.close()
    return f"{address}/console/#code={code}"


def _is_uuid(text: str) -> bool:
    from uuid import UUID

    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _address(found: Settings) -> str:
    from cli.exits import Exit
    from cli.failures import CommandFailed
    from local.data_dir import DataDir
    from local.state import running_state

    state = running_state(DataDir(found.data_dir))
    if state is not None and state.gateway is not None:
        return state.gateway
    if found.gateway_port is not None:
        return f"http://{found.gateway_host}:{found.gateway_port}"
    raise CommandFailed(
        f"no gateway runs in {found.data_dir} and DAWSOS_GATEWAY_PORT is not set: start one with `dawsos up --detach`",
        Exit.UNAVAILABLE,
    )
