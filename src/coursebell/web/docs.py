"""The page `/docs`: Swagger UI, everything it needs served from the installed package."""

from __future__ import annotations

from pathlib import Path

import fastapi_offline
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from starlette.responses import HTMLResponse

_ASSETS = Path(fastapi_offline.__file__).parent / "static"
_STATIC = "/docs/static"


def install(app: FastAPI) -> None:
    app.mount(_STATIC, StaticFiles(directory=_ASSETS), name="docs-static")
    app.add_api_route("/docs", docs_page, include_in_schema=False)


async def docs_page() -> HTMLResponse:
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Coursebell API",
        swagger_js_url=f"{_STATIC}/swagger-ui-bundle.js",
        swagger_css_url=f"{_STATIC}/swagger-ui.css",
        swagger_favicon_url=f"{_STATIC}/favicon.png",
    )
