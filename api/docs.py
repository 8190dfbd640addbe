"""/docs and /redoc without the internet: pages of our own around the scripts that a wheel brings."""

from importlib.resources import files
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from starlette.responses import FileResponse, HTMLResponse, Response

from api.problems import Problem


def _text(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


_FOREIGN: Final = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "redoc.standalone.js": "text/javascript",
}
_OWN: Final = {
    "docs.js": (
        "text/javascript",
        'window.ui = SwaggerUIBundle({url: "/openapi.json", dom_id: "#docs", deepLinking: true});\n',
    ),
    "icon.svg": ("image/svg+xml", _text("icon.svg")),
    "nexova.css": ("text/css", _text("nexova.css")),
}
_HEAD: Final = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    '<link rel="icon" href="/assets/icon.svg">'
)
_DOCS: Final = (
    _HEAD.format(title="Nexova API")
    + '<link rel="stylesheet" href="/assets/swagger-ui.css"></head><body><div id="docs"></div>'
    '<script src="/assets/swagger-ui-bundle.js"></script><script src="/assets/docs.js"></script></body></html>\n'
)
_REDOC: Final = (
    _HEAD.format(title="Nexova API reference")
    + '<link rel="stylesheet" href="/assets/nexova.css"></head><body class="wide"><redoc spec-url="/openapi.json">'
    '</redoc><script src="/assets/redoc.standalone.js"></script></body></html>\n'
)


def router() -> APIRouter:
    """Return the pages and what they load."""
    routes = APIRouter(include_in_schema=False)
    folder = Path(str(files("fastapi_offline"))) / "static"

    @routes.get("/docs")
    async def docs() -> HTMLResponse:
        return HTMLResponse(_DOCS)

    @routes.get("/redoc")
    async def redoc() -> HTMLResponse:
        return HTMLResponse(_REDOC)

    @routes.get("/assets/{name}")
    async def asset(name: str) -> Response:
        keep = {"Cache-Control": "max-age=86400"}
        if name in _OWN:
            kind, text = _OWN[name]
            return Response(text, media_type=kind, headers=keep)
        if name in _FOREIGN:
            return FileResponse(folder / name, media_type=_FOREIGN[name], headers=keep)
        raise Problem(404, "not-found", f"/assets/{name[:80]} is not here; see /docs for what there is")

    return routes
