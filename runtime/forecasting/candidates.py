"""Candidate forecasters of the extra `forecasters`, by name."""

from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from typing import Final

from core.forecasting.engine.candidates import CandidateForecaster
from runtime.errors import UsageError
from runtime.forecasting.lightgbm import LightGbm
from runtime.forecasting.mstl import Mstl

_ALL: Final[Mapping[str, LightGbm | Mstl]] = {one.name: one for one in (LightGbm(), Mstl())}


def candidates_of(names: Iterable[str], *, asked_by: str) -> tuple[CandidateForecaster, ...]:
    """Return the candidates of these names; asked_by: the setting or option that names them.

    Raises:
        UsageError: the name is unknown, or its library is not installed.
    """
    found = []
    for name in names:
        if name not in _ALL:
            raise UsageError(f"{asked_by}: {name} is none; there are {', '.join(_ALL)}")
        if find_spec(_ALL[name].module) is None:
            raise UsageError(
                f"{asked_by}: {name} needs {_ALL[name].module}, which is not installed; "
                "pip install 'nexova[forecasters]', or leave it out"
            )
        found.append(_ALL[name])
    return tuple(found)
