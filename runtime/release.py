"""Which release of this software runs."""

from importlib.metadata import PackageNotFoundError, version


def release() -> str:
    """Return the version of this software as it is installed; `checkout` where it is not."""
    try:
        return version("nexova")
    except PackageNotFoundError:
        return "checkout"
