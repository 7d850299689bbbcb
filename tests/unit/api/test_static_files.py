"""The console's files: only those that are there, its page for every other address."""

from pathlib import Path

import httpx
import pytest

from api.static_files import NOT_BUILT
from tests.unit.api.web import Web

PAGE = b"<!doctype html><script src=/assets/index-abc.js></script>"
SCRIPT = b"console.log(1);" * 200


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Web:
    tmp_path = tmp_path_factory.mktemp("console")
    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_bytes(PAGE)
    (folder / "icon.svg").write_bytes(b"<svg/>")
    (folder / "data.bin").write_bytes(b"\x00")
    (folder / "assets" / "index-abc.js").write_bytes(SCRIPT)
    (tmp_path / "secret.txt").write_text("secret")
    return Web(more={"static": folder})


@pytest.mark.parametrize(
    ("path", "kind", "content"),
    [
        ("/", "text/html; charset=utf-8", PAGE),
        ("/index.html", "text/html; charset=utf-8", PAGE),
        ("/orders/202511-0001", "text/html; charset=utf-8", PAGE),
        ("/icon.svg", "image/svg+xml", b"<svg/>"),
        ("/assets/index-abc.js", "text/javascript; charset=utf-8", SCRIPT),
        ("/data.bin", "application/octet-stream", b"\x00"),
        ("/..%2fsecret.txt", "text/html; charset=utf-8", PAGE),
        ("/%2e%2e/secret.txt", "text/html; charset=utf-8", PAGE),
        ("/assets/..%2f..%2fsecret.txt", "text/html; charset=utf-8", PAGE),
        ("/a%00b", "text/html; charset=utf-8", PAGE),
        ("/%ff", "text/html; charset=utf-8", PAGE),
    ],
)
async def test_each_address_has_its_file(web: Web, path: str, kind: str, content: bytes) -> None:
    async with web.client() as client:
        reply = await client.get(path)
    assert (reply.status_code, reply.headers["content-type"]) == (200, kind)
    assert reply.content == content


async def test_a_file_is_zipped_where_it_pays_and_kept_where_its_name_says_so(web: Web) -> None:
    async with web.client() as client:
        plain = await client.get("/assets/index-abc.js", headers={"accept-encoding": "identity"})
        zipped = await client.get("/assets/index-abc.js", headers={"accept-encoding": "gzip"})
        page = await client.get("/", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.content == SCRIPT
    assert "immutable" in zipped.headers["cache-control"]
    assert page.headers["cache-control"] == "no-cache"
    assert "content-encoding" not in page.headers


async def test_a_file_that_is_known_is_not_sent_again(web: Web) -> None:
    async with web.client() as client:
        tag = (await client.get("/")).headers["etag"]
        assert (await client.get("/", headers={"if-none-match": tag})).status_code == 304


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/v1", "/api/v1/none", "/api/v2/x"])
async def test_an_address_of_the_api_never_gives_the_page(web: Web, path: str) -> None:
    async with web.client() as client:
        reply = await client.get(path)
    assert reply.status_code == 404
    assert reply.headers["content-type"] == "application/problem+json"


async def test_without_a_console_it_says_so(tmp_path: Path) -> None:
    web = Web(more={"static": tmp_path / "none"})
    transport = httpx.ASGITransport(web.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/")).content == NOT_BUILT
