"""Errors as problem details (RFC 9457): one clear sentence each, with the value, the rule and the remedy.

Whatever goes wrong, the body has the same shape: `type`, `title`, `status`, `detail`, and `errors` where several
places of the request are meant.
"""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

LOGGER: Final = logging.getLogger("nexova.api")
MEDIA_TYPE: Final = "application/problem+json"
_MOST_ERRORS: Final = 20
_SHOWN: Final = 80


class Place(BaseModel):
    """Problem at one place of the request."""

    pointer: str = Field(description="JSON pointer into the body, or the parameter's name.", examples=["/data/0/power"])
    detail: str = Field(examples=["'warm': Input should be a valid number"])


class ProblemDetails(BaseModel):
    """Problem details of RFC 9457."""

    type: str = Field(examples=["urn:nexova:problem:bad-input"])
    title: str = Field(examples=["Bad input"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["horizon = 0: must be 1 to 168 steps; ask for fewer"])
    errors: list[Place] = []


class Problem(HTTPException):
    """An error response. detail: the value, the rule and the remedy, in one sentence."""

    def __init__(
        self,
        status: int,
        slug: str,
        detail: str,
        *,
        errors: Sequence[Place] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, dict(headers) if headers else None)
        self.slug = slug
        self.errors = tuple(errors)

    def response(self) -> Response:
        """Return the HTTP response."""
        body: dict[str, Any] = {
            "type": f"urn:nexova:problem:{self.slug}",
            "title": self.slug.replace("-", " ").capitalize(),
            "status": self.status_code,
            "detail": self.detail,
        }
        if self.errors:
            body["errors"] = [place.model_dump() for place in self.errors]
        return Response(msgspec.json.encode(body), self.status_code, self.headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Turn every error of `app` into a problem, and declare it in its OpenAPI document."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        document = plain()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        if ProblemDetails.__name__ not in schemas:
            for model in (Place, ProblemDetails):
                schemas[model.__name__] = model.model_json_schema(ref_template="#/components/schemas/{model}")
                schemas[model.__name__].pop("$defs", None)
            # replaces FastAPI's own error responses
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
        return document

    app.openapi = openapi  # type: ignore[method-assign]
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101  registered for it alone
    return error.response()


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  registered for it alone
    title = HTTPStatus(error.status_code).phrase
    path, allowed = request.url.path[:_SHOWN], (error.headers or {}).get("Allow", "another method")
    details = {
        400: "the body cannot be read: it is no UTF-8, nests too deep or has a number of thousands of digits; send "
        "plain JSON",
        404: f"{path} is not here; see /docs for what there is",
        405: f"{request.method} is not for {path}; use {allowed}, or see /docs",
    }
    detail = details.get(error.status_code, f"{error.detail}; see /docs")
    slug = title.lower().replace(" ", "-").replace("'", "")
    return Problem(error.status_code, slug, detail, headers=error.headers).response()


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  registered for it alone
    found = error.errors()
    if any(one["loc"] == ("body",) and isinstance(one.get("input"), bytes) for one in found):
        kind = request.headers.get("content-type", "nothing")[:_SHOWN]
        detail = f"Content-Type says {kind}, and bodies are JSON; send it with Content-Type: application/json"
        return Problem(415, "not-json", detail).response()
    places = [_place(one) for one in found[:_MOST_ERRORS]]
    first = places[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    detail = f"{first.pointer}: {first.detail}{more}; correct it and send it again, /docs shows the shape"
    return Problem(422, "bad-input", detail, errors=places).response()


def _place(error: Mapping[str, Any]) -> Place:
    location = [str(part) for part in error["loc"]]
    pointer = "/" + "/".join(location[1:]) if location[:1] == ["body"] else ".".join(location[1:])
    if location == ["body"]:
        pointer = "body"
        if error["type"] == "missing":
            return Place(pointer=pointer, detail="is empty, and JSON is needed")
    if error["type"] == "json_invalid":
        return Place(pointer="body", detail=f"is no JSON: {error.get('ctx', {}).get('error', error['msg'])}")
    shown = repr(error.get("input"))
    value = "" if error["type"] == "missing" else f"{shown[:_SHOWN]}{'…' if len(shown) > _SHOWN else ''}: "
    return Place(pointer=pointer, detail=f"{value}{error['msg'].removeprefix('Value error, ')}")


def unexpected(method: str, path: str, error: Exception) -> Problem:
    """Return what is said of a failure of ours; what it was stands in the log alone."""
    LOGGER.error("%s %s failed", method, path, exc_info=error)
    return Problem(
        500, "internal-error", "the service failed at this request, and its log says where; try again, or report it"
    )


RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    status: {"description": text, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}}
    for status, text in (
        (400, "The request cannot be understood."),
        (401, "A token is needed, or the one given is not known."),
        (403, "The token's scope does not allow this."),
        (413, "The body is too large."),
        (415, "The body is not JSON."),
        (422, "A value breaks a rule."),
        (429, "Too many requests; `Retry-After` says when to try again."),
        (503, "Too busy, or Kafka is away; try again."),
    )
}
"""What every route may answer besides success."""
