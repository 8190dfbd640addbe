import io
import json
import logging
import warnings
from collections.abc import Iterator

import pytest

from runtime.logging import CHATTY, configure_logging
from runtime.settings import load_settings


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Logging is the process's own: put back what these tests change."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in CHATTY}
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def test_text_lines_carry_time_level_logger_and_message() -> None:
    stream = configured()
    logging.getLogger("nexova.test").warning("press %s is silent", "press-01")
    time, level, logger, message = stream.getvalue().rstrip().split(" ", 3)
    assert time.endswith("Z")
    assert (level, logger, message) == ("WARNING", "nexova.test:", "press press-01 is silent")


def test_each_json_record_is_one_line_with_its_extra_fields() -> None:
    stream = configured(log_format="json")
    logging.getLogger("nexova.test").error("two\nlines", extra={"partition": 3})
    document = json.loads(stream.getvalue())
    assert document["message"] == "two\nlines"
    assert (document["level"], document["logger"], document["partition"]) == ("ERROR", "nexova.test", 3)
    assert stream.getvalue().count("\n") == 1


def test_an_exception_is_part_of_its_json_record() -> None:
    stream = configured(log_format="json")
    try:
        raise ValueError("no such sensor")  # noqa: TRY301
    except ValueError:
        logging.getLogger("nexova.test").exception("could not read")
    assert "ValueError: no such sensor" in json.loads(stream.getvalue())["exception"]


def test_records_below_the_level_are_not_written() -> None:
    stream = configured(log_level="WARNING")
    logging.getLogger("nexova.test").info("hidden")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("name", ["faust.app", "mode.worker"])
def test_libraries_are_heard_from_warning_on(name: str) -> None:
    stream = configured()
    logging.getLogger(name).info("joined")
    logging.getLogger(name).warning("left")
    assert "joined" not in stream.getvalue()
    assert "left" in stream.getvalue()


def test_a_client_that_mends_its_errors_itself_is_silent() -> None:
    stream = configured()
    logging.getLogger("aiokafka.consumer.group_coordinator").warning("the coordinator is gone, trying again")
    assert stream.getvalue() == ""


def test_at_debug_libraries_are_heard_in_full() -> None:
    stream = configured(log_level="DEBUG")
    logging.getLogger("aiokafka.conn").debug("connected")
    assert "connected" in stream.getvalue()


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_credentials_in_an_address_are_blanked(log_format: str) -> None:
    stream = configured(log_format=log_format)
    logging.getLogger("nexova.test").info("models at %s", "s3://key:hush@bucket/models")
    assert "hush" not in stream.getvalue()
    assert "s3://***@bucket/models" in stream.getvalue()


def test_configuring_twice_writes_each_line_once() -> None:
    configured()
    stream = configured()
    logging.getLogger("nexova.test").info("once")
    assert stream.getvalue().count("once") == 1


def test_warnings_of_python_become_log_records() -> None:
    stream = configured()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old ways", UserWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    assert "old ways" in stream.getvalue()


def configured(**settings: str) -> io.StringIO:
    stream = io.StringIO()
    configure_logging(load_settings(_env_file=None, **settings), stream=stream)
    return stream
