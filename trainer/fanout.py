"""Where the fits of many machines run: on all cores of this machine, or on a Dask or Ray cluster."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from importlib import import_module
from typing import Any, Final, TypeVar

from joblib import Parallel, delayed, parallel_config

from runtime.errors import UsageError
from trainer.candidate import Progress

Task = TypeVar("Task")
Done = TypeVar("Done")
_FEW: Final = 6  # so few are done before other processes have imported what they need


class Backend(StrEnum):
    """Who works: processes of this machine, or a cluster that DASK_SCHEDULER_ADDRESS or RAY_ADDRESS names."""

    LOKY = "loky"
    DASK = "dask"
    RAY = "ray"


@contextmanager
def working_on(backend: Backend) -> Iterator[None]:
    """Let everything that joblib fans out within run there; without an address, a cluster of this machine is made.

    Raises:
        UsageError: the packages of that back end are not installed.
    """
    if backend is Backend.LOKY:
        yield  # forests share memory in threads, and fits of machines go to processes, as joblib does by itself
    elif backend is Backend.DASK:
        with _needed("distributed", backend).Client(), parallel_config(backend="dask", n_jobs=-1):
            yield
    else:
        ray = _needed("ray", backend)
        _needed("ray.util.joblib", backend).register_ray()
        if not ray.is_initialized():
            ray.init()
        with parallel_config(backend="ray", n_jobs=-1):
            yield


def _needed(module: str, backend: Backend) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise UsageError(
            f"--backend {backend.value}: the package {module.partition('.')[0]} is not installed; "
            f"pip install 'nexova[{backend.value}]', or leave it at loky"
        ) from error


def each(
    work: Callable[[Task], Done], tasks: Sequence[Task], *, step: str = "", progress: Progress | None = None
) -> list[Done]:
    """The results of `work` for each task, in order, worked on side by side; `work` must be a module's function."""
    parallel = Parallel(n_jobs=1 if len(tasks) <= _FEW else -1, return_as="generator")
    results = []
    for result in parallel(delayed(work)(task) for task in tasks):
        results.append(result)
        if progress is not None:
            progress(step, len(results) / len(tasks))
    return results
