"""`dawsos token`: a token of the demo for the gateway."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from cli.options import DEMO_TENANT, DEMO_USER, AsJson, Tenant, User


class RoleName(StrEnum):
    """Roles of `services.tokens`, which help texts need not load."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


def token_command(
    role: Annotated[RoleName, typer.Option(help="What the token may do.")] = RoleName.VIEWER,
    hours: Annotated[float, typer.Option(min=0.001, max=24 * 366, help="How long it is valid.")] = 12.0,
    tenant: Tenant = DEMO_TENANT,
    user: User = DEMO_USER,
    as_json: AsJson = False,
) -> None:
    """Print a token for the gateway of this data directory.

    For demos and tests; with DAWSOS_AUTH_ISSUER tokens come from the issuer.

    [bold]Example[/]

      curl -H "Authorization: Bearer $(dawsos token)" http://127.0.0.1:8080/patterns
    """
    from cli.console import print_json
    from cli.instance import find_user, settings
    from services.tokens import Role, demo_token

    token = demo_token(settings(), tenant, find_user(user), Role(role.value), hours * 3600)
    if as_json:
        print_json({"token": token})
    else:
        typer.echo(token)
