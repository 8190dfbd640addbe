"""Options shared by several commands; those of tables override what is otherwise recognised."""

from pathlib import Path
from typing import Annotated

import typer

PlantOption = Annotated[
    Path | None, typer.Option("--plant", help="Plant file; default: NEXOVA_PLANT_FILE, else the shipped default.")
]

SeparatorOption = Annotated[str | None, typer.Option("--separator", help="Cell separator; default: recognised.")]
DecimalOption = Annotated[str | None, typer.Option("--decimal", help="Decimal sign, . or ,; default: recognised.")]
EncodingOption = Annotated[
    str | None, typer.Option("--encoding", help="Encoding of the file, such as cp1252; default: recognised.")
]
