"""`nexova token`: creation of API tokens, shown once, and their hashes for the settings."""

import hashlib
import json
import re
import secrets
from typing import Annotated, Final

import typer

from runtime.errors import UsageError
from runtime.settings import Scope

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


def token(
    name: Annotated[str, typer.Argument(help="Name of the caller, as shown in the change log.")],
    *,
    scope: Annotated[Scope, typer.Option(help="read, operate (read and feedback) or admin.")] = "read",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Create a token. Only its hash goes into NEXOVA_API__TOKENS; the token itself is not stored."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name[:80]!r} is no name for a token: 1 to 64 letters, digits, dots, dashes; choose another")
    made = secrets.token_urlsafe(32)
    entry = f"{name}:{scope}:{hashlib.sha256(made.encode()).hexdigest()}"
    if as_json:
        typer.echo(json.dumps({"name": name, "scope": scope, "token": made, "setting": entry}))
        return
    typer.echo(f"Token for {name} ({scope}), shown this once:\n\n    {made}\n")
    typer.echo(f"Add its hash to NEXOVA_API__TOKENS, after a comma if there are others:\n\n    {entry}")
