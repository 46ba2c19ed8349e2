"""The pages for people: `/`, `/docs` (Swagger UI) and `/redoc`. They need no other host and no inline script."""

from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response

from backend import __version__
from backend.core.settings import settings
from backend.web import api_description

router = APIRouter(include_in_schema=False)

_OWN = Path(__file__).with_name("static")
_PACKAGE = Path(str(files("fastapi_standalone_docs"))) / "static"

_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_HOME_POLICY = f"{_NOTHING}; style-src 'self'; img-src 'self'"
_DOCS_POLICY = (
    f"{_NOTHING}; script-src 'self'; style-src 'self'"
    "; connect-src 'self'"  # reads the document, logs in, tries operations out
    "; img-src 'self' data:"  # the icons in Swagger UI's style sheet
)
_REDOC_POLICY = (
    f"{_NOTHING}; script-src 'self'"
    # Redoc adds two <style> elements: an empty one, which it fills by script, and its scroll bars'. These are their
    # hashes. The second one may change with the package; then a test in tests/web/test_pages.py says so.
    "; style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
    " 'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='"
    "; connect-src 'self'"  # reads the document
    "; img-src 'self' data:"  # the icon in Redoc's search field
    "; worker-src blob:"  # the search index runs in a worker that Redoc makes of its own text
)


_LABELS = {
    "docs": "Try the API (Swagger UI)",
    "redoc": "Read the API reference (Redoc)",
    "openapi": "The OpenAPI document",
    "health": "Health check",
    "simulated_phone": "The simulated phone: read and answer SMS",
}


@router.get("/")
async def show_home(request: Request) -> Response:
    """What this is and where to go on: a page for browsers, JSON for programs."""
    links = {"docs": "/docs", "redoc": "/redoc", "openapi": "/openapi.json", "health": "/health"}
    if settings.offers_simulated_phone:
        links["simulated_phone"] = "/dev/phone"
    vary = {"Vary": "Accept"}
    if "text/html" not in request.headers.get("accept", ""):
        content = {"name": api_description.TITLE, "version": __version__, **links}
        return JSONResponse(content, headers=vary)
    page = Template((_OWN / "home.html").read_text(encoding="utf-8")).substitute(
        name=escape(api_description.TITLE),
        version=escape(__version__),
        links="\n".join(f'<li><a href="{path[1:]}">{_LABELS[name]}</a></li>' for name, path in links.items()),
    )
    return HTMLResponse(page, headers={**vary, "Content-Security-Policy": _HOME_POLICY})


@router.get("/docs")
async def show_docs() -> Response:
    """Swagger UI. Its "Authorize" logs in with the password form."""
    return FileResponse(_OWN / "swagger.html", headers={"Content-Security-Policy": _DOCS_POLICY})


@router.get("/redoc")
async def show_redoc() -> Response:
    """Redoc."""
    return FileResponse(_OWN / "redoc.html", headers={"Content-Security-Policy": _REDOC_POLICY})


def _serve(url: str, path: Path) -> None:
    """Adds the route of a script, style sheet or picture."""

    async def get_asset() -> Response:
        return FileResponse(path, headers={"Cache-Control": "public, max-age=3600"})

    router.add_api_route(url, get_asset, methods=["GET"])


for _asset in (
    *(_OWN / "favicon.svg", _OWN / "pages.css", _OWN / "swagger.js"),
    *(_PACKAGE / "swagger" / "swagger-ui.css", _PACKAGE / "swagger" / "swagger-ui-bundle.js"),
):
    _serve(f"/docs/{_asset.name}", _asset)

for _asset in (
    *(_OWN / "redoc.js", _PACKAGE / "redoc" / "redoc.standalone.js"),
    _PACKAGE / "redoc" / "logo-mini.svg",  # the bundle looks for it beside the page
):
    _serve(f"/redoc/{_asset.name}", _asset)
