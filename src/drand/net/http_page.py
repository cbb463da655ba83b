"""The page for people at `/`: files of our own, read once, served with a policy that lets nothing else in."""

import hashlib
from functools import cache
from importlib.resources import files

from drand.net.http_chain import SERVER
from drand.net.http_content import Answer, Headers, Request, names_tag

TYPES = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "theme.js": "text/javascript; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "parts.js": "text/javascript; charset=utf-8",
    "look.js": "text/javascript; charset=utf-8",
    "draw.js": "text/javascript; charset=utf-8",
    "sha256.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Headers = (
    ("Server", SERVER),
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cache-Control", "no-cache"),
)


def page(request: Request) -> Answer | None:
    """The page, or one of its parts; None when the request is not for it.

    `/` is the page only for who accepts HTML, and GETs: v1.5.11 has nothing there, and programs shall see the same.
    """
    root = request.path == "/"
    name = "index.html" if root else request.path.removeprefix("/page/")
    if not request.reads or name not in TYPES or root != (name == "index.html"):
        return None
    if root and "text/html" not in (request.header("accept") or ""):
        return None
    body, etag = _part(name)
    vary = (("Vary", "Accept"),) if root else ()
    headers = (*_HEADERS, *vary, ("ETag", etag))
    if names_tag(request.header("if-none-match") or "", etag, weakly=True):
        return Answer(304, headers)
    return Answer(200, (("Content-Type", TYPES[name]), *headers), body)


@cache
def _part(name: str) -> tuple[bytes, str]:
    """Bytes and entity tag of one of the files of TYPES."""
    body = files("drand.net").joinpath("page", name).read_bytes()
    return body, f'"{hashlib.sha256(body).hexdigest()[:16]}"'
