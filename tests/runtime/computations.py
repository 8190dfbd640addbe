"""What a child computes in tests of `runtime.child_worker`."""

import os
import signal
import sys
import time


def compute(request: bytes) -> bytes:
    """Do what the request names."""
    if request == b"die":
        os.kill(os.getpid(), signal.SIGKILL)
    if request == b"raise":
        raise ValueError(request)
    if request == b"sleep":
        time.sleep(3600)
    if request == b"threads":
        return " ".join(os.environ[name] for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")).encode()
    if request == b"pid":
        return str(os.getpid()).encode()
    return request.upper()


def numpy_was_here() -> bool:
    """Whether something imported numpy before."""
    return "numpy" in sys.modules


_EARLY = numpy_was_here()


def early(request: bytes) -> bytes:
    """Say whether numpy had been imported before this module was."""
    del request
    return str(_EARLY).encode()
