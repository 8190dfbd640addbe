"""Fits in a process of their own: the same answers, a limit that holds, and life after a death."""

import asyncio
import os
import signal
from dataclasses import replace

import numpy as np
import pytest

from core.forecasting.engine import KnownInputs
from core.forecasting.fit import FitRequest, fit
from processor.forecasting.fit_wire import FitFailed, answer, packed, unpacked
from processor.forecasting.fits import FitProcess, FitTooSlow
from runtime.forecasting.calendars import holidays_of

FIRST = 490_000


def a_request(*, weeks: int = 5, region: str | None = None, bounds: tuple[float, float] = (0.0, 1e9)) -> FitRequest:
    hours = FIRST + np.arange(168 * weeks)
    return FitRequest(
        first_hour=FIRST,
        values=30.0 + hours % 24,
        horizon=72,
        zone="Europe/Berlin",
        region=region,
        bounds=bounds,
        memory=b"",
        cold_start=np.arange(168.0),
    )


def test_what_goes_through_the_pipe_is_what_a_fit_says() -> None:
    request = a_request(region="DE")
    direct = fit(request, holidays=holidays_of("DE", 2025, 2026))
    piped = unpacked(answer(packed(request)))
    np.testing.assert_array_equal(piped.value, direct.value)
    np.testing.assert_array_equal(piped.upper, direct.upper)
    assert (piped.model, piped.memory, piped.compared) == (direct.model, direct.memory, direct.compared)


def test_what_a_fit_raises_comes_back_in_words() -> None:
    with pytest.raises(FitFailed, match="ValueError"):
        unpacked(answer(packed(a_request(bounds=(5.0, 1.0)))))


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="a policy of Linux")
async def test_where_a_process_of_the_lowest_priority_runs_a_core_counts_as_free() -> None:
    process = FitProcess(niceness=19)
    try:
        await process.start()
        assert process.pid is not None
        assert os.sched_getscheduler(process.pid) == os.SCHED_IDLE
    finally:
        process.close()


async def test_a_process_has_low_priority_lets_the_loop_run_and_comes_again_after_a_death() -> None:
    process = FitProcess(niceness=3)
    try:
        loop = asyncio.get_running_loop()
        begun, longest = loop.time(), 0.0
        done = asyncio.ensure_future(process.fit(a_request(), seconds=60))
        while not done.done():
            before = loop.time()
            await asyncio.sleep(0.01)
            longest = max(longest, loop.time() - before)
        fitted, _ = await done
        assert len(fitted.value) == 72
        # whoever computed here would have held the loop for nearly all of the time
        assert longest < (loop.time() - begun) / 4
        pid = process.pid
        assert pid is not None
        assert os.getpriority(os.PRIO_PROCESS, pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 3)
        os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(os.waitid, os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        again, _ = await process.fit(a_request(), seconds=60)
        np.testing.assert_array_equal(again.value, fitted.value)
    finally:
        process.close()
    with pytest.raises(FitFailed, match="ending"):
        await process.fit(a_request(), seconds=60)


async def test_a_fit_that_takes_too_long_is_ended_and_the_next_one_is_not() -> None:
    process = FitProcess(niceness=3)
    try:
        await process.fit(a_request(), seconds=60)
        pid = process.pid
        assert pid is not None
        with pytest.raises(FitTooSlow, match="FIT_SECONDS"):
            await process.fit(a_request(weeks=150), seconds=0.001)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        await process.fit(a_request(), seconds=60)
    finally:
        process.close()


def test_inputs_go_through_the_pipe() -> None:
    inputs = KnownInputs(names=("a", "b"), first_hour=FIRST, values=np.random.default_rng(1).random((2, 168 * 10 + 96)))
    request = replace(a_request(weeks=10), inputs=inputs)
    piped, direct = unpacked(answer(packed(request))), fit(request)
    np.testing.assert_array_equal(piped.value, direct.value)
    assert piped.compared == direct.compared
    assert "ridge_with_inputs" in piped.compared
