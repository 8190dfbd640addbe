"""Release of the running software."""

from importlib.metadata import PackageNotFoundError, version


def release() -> str:
    """Return the installed version of this software, or `checkout` if it is not installed."""
    try:
        return version("nexova")
    except PackageNotFoundError:
        return "checkout"
