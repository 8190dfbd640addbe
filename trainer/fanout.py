"""Parallel fits of many machines, on all cores of this machine or on a Dask or Ray cluster."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from importlib import import_module
from typing import Any, Final, TypeVar

from joblib import Parallel, delayed, parallel_config

from runtime.errors import FailureError, UsageError
from trainer.candidate import Progress

Task = TypeVar("Task")
Done = TypeVar("Done")
_FEW: Final = 6  # so few are done before other processes have imported what they need


class Backend(StrEnum):
    """Back ends: processes of this machine, or the cluster at DASK_SCHEDULER_ADDRESS or RAY_ADDRESS."""

    LOKY = "loky"
    DASK = "dask"
    RAY = "ray"


@contextmanager
def working_on(backend: Backend) -> Iterator[None]:
    """Run joblib's tasks in the block on a back end; without an address, a local cluster is started.

    Raises:
        UsageError: the packages of that back end are not installed.
        FailureError: the cluster did not answer.
    """
    if backend is Backend.LOKY:
        yield  # fits of machines go to processes, as joblib does by itself
    elif backend is Backend.DASK:
        with _dask(), parallel_config(backend="dask", n_jobs=-1):
            yield
    else:
        with _ray(), parallel_config(backend="ray", n_jobs=-1):
            yield


@contextmanager
def sharing_memory() -> Iterator[None]:
    """Within, joblib works in threads of this process, whatever `working_on` says.

    Trees of a forest are quick to grow and all need the same rows: sending those takes longer than growing them.
    """
    with parallel_config(backend="threading", n_jobs=-1):
        yield


@contextmanager
def _dask() -> Iterator[None]:
    distributed = _needed("distributed", Backend.DASK)
    named = _needed("dask", Backend.DASK).config.get("scheduler-address", None)
    # a cluster of this machine has its page for this machine alone, and not on the usual port, which may be taken
    own = {} if named else {"dashboard_address": "127.0.0.1:0"}
    try:
        client = distributed.Client(**own)
    except OSError as error:
        raise _no_answer(Backend.DASK, "DASK_SCHEDULER_ADDRESS", error) from error
    with client:
        yield


@contextmanager
def _ray() -> Iterator[None]:
    ray = _needed("ray", Backend.RAY)
    _needed("ray.util.joblib", Backend.RAY).register_ray()
    ours = not ray.is_initialized()
    if ours:
        try:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        except OSError as error:
            raise _no_answer(Backend.RAY, "RAY_ADDRESS", error) from error
    try:
        yield
    finally:
        if ours:
            ray.shutdown()


def _needed(module: str, backend: Backend) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise UsageError(
            f"--backend {backend.value}: the package {module.partition('.')[0]} is not installed; "
            f"pip install 'nexova[{backend.value}]', or leave it at loky"
        ) from error


def _no_answer(backend: Backend, variable: str, error: OSError) -> FailureError:
    return FailureError(
        f"--backend {backend.value}: no cluster answered ({' '.join(str(error).split())}); see what {variable} says, "
        "or leave it at loky"
    )


def each(
    work: Callable[[Task], Done], tasks: Sequence[Task], *, step: str = "", progress: Progress | None = None
) -> list[Done]:
    """Return the results of `work` for each task, in order, in parallel; `work` must be a module's function."""
    results = []
    for result in _parallel(len(tasks))(delayed(work)(task) for task in tasks):
        results.append(result)
        if progress is not None:
            progress(step, len(results) / len(tasks))
    return results


def _parallel(tasks: int) -> Parallel:
    # None: what `working_on` says, and one where it says nothing
    workers = None if tasks <= _FEW else -1
    try:
        return Parallel(n_jobs=workers, return_as="generator")
    except ValueError:  # Ray hands results back all at once
        return Parallel(n_jobs=workers)
