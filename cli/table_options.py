"""Options of commands that read tables; each overrides what is otherwise recognised."""

from typing import Annotated

import typer

SeparatorOption = Annotated[str | None, typer.Option("--separator", help="Cell separator; default: recognised.")]
DecimalOption = Annotated[str | None, typer.Option("--decimal", help="Decimal sign, . or ,; default: recognised.")]
EncodingOption = Annotated[
    str | None, typer.Option("--encoding", help="Encoding of the file, such as cp1252; default: recognised.")
]
