"""The page of an example that uses the SDK of Centrifugo, which comes from a CDN or from a file."""

from pathlib import Path

from wsframe import Request, Response, register_global_route, static_file, unregister_global_route


def register_page(page: Path) -> None:
    """Register a page that takes the SDK from a CDN."""

    register_text(page.read_text(encoding="utf-8"))


def take_sdk_from(page: Path, sdk: str) -> None:
    """Have the page take the SDK from ``dist/centrifuge.js`` of the npm package, without a CDN."""

    head, _, rest = page.read_text(encoding="utf-8").partition("<!-- sdk -->")
    unregister_global_route("/")
    register_text(f'{head}<script src="centrifuge.js"></script>{rest.partition("<!-- end of sdk -->")[2]}')
    register_global_route("/centrifuge.js", static_file(sdk))


def register_text(text: str) -> None:
    @register_global_route("/")
    async def page(request: Request) -> Response:
        return Response(text, content_type="text/html; charset=utf-8")
