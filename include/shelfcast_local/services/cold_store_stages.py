"""Stages of fakesnow: files come and go at signed addresses only, and `COPY INTO` a stage, GET and REMOVE are known."""

import hmac
import os
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from sqlglot import exp, parse_one
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from shelfcast_local.services.cold_store_patches import replace_route

FILES = "/fs_bucket/"
ADDRESS_SECONDS = 3600
"""How long the address of a file is good for, as long as Snowflake's own."""

UNLOAD_OPTIONS = {"FILE_FORMAT", "HEADER", "SINGLE", "MAX_FILE_SIZE"}


def install(server: Any) -> None:
    """Applies the cures; `server` is the module `fakesnow.server`."""
    _unload_get_and_remove()
    _open_signed_addresses_only(server)


def _open_signed_addresses_only(server: Any) -> None:
    """Takes and gives a file at an address that a PUT or GET was answered with; the stock server takes any from anybody.

    Who sends or fetches a file does not log in: the address is all that it brings, as to a bucket of Snowflake's. So it
    carries a signature, by a key that lives as long as the server, of the one file, what may be done with it, and the
    moment until which it may be.
    """
    key = secrets.token_bytes(32)
    stock_address, stock_upload = server.gcs_stage_info, server.bucket_upload

    def signature(method: str, path: str, expires: str) -> str:
        return hmac.new(key, f"{method} {expires} {path}".encode(), "sha256").hexdigest()

    def signed(method: str, address: str) -> str:
        path, expires = unquote(urlsplit(address).path).removeprefix(FILES), str(int(time.time()) + ADDRESS_SECONDS)
        return f"{address}?{urlencode({'expires': expires, 'signature': signature(method, path, expires)})}"

    def is_signed(request: Request) -> bool:
        expires, given = (request.query_params.get(name, "") for name in ("expires", "signature"))
        expected = signature(request.method, request.path_params["path"], expires)
        return hmac.compare_digest(given.encode(), expected.encode()) and int(expires) >= time.time()

    def signed_addresses(request: Request, answer: Any, transfer: dict[str, Any]) -> dict[str, Any]:
        if transfer["command"] == "UPLOAD":
            info: dict[str, Any] = stock_address(request, answer, transfer)
            return info | {"presignedUrl": signed("PUT", info["presignedUrl"])}
        folder = quote(os.path.relpath(transfer["stageInfo"]["location"], _bucket()))
        base = f"{request.url.scheme}://{request.url.netloc}{FILES}{folder}"
        transfer["presignedUrls"] = [signed("GET", f"{base}/{quote(name)}") for name in transfer["src_locations"]]
        return {"locationType": "GCS", "location": "", "creds": {}}

    async def upload(request: Request) -> Response:
        response: Response = await stock_upload(request) if is_signed(request) else Response(status_code=403)
        return response

    async def download(request: Request) -> Response:
        path = _bucket() / request.path_params["path"]
        if not is_signed(request):
            return Response(status_code=403)
        return FileResponse(path) if path.is_file() else Response(status_code=404)

    server.gcs_stage_info = signed_addresses
    replace_route(server, f"{FILES}{{path:path}}", upload)
    server.app.router.routes.append(Route(f"{FILES}{{path:path}}", download, methods=["GET"]))


def _unload_get_and_remove() -> None:
    """Carries out what the stock server takes for statements of DuckDB's."""
    from fakesnow import cursor

    stock = cursor.FakeSnowflakeCursor._execute

    def execute(self: Any, transformed: Any, params: Any = None) -> Any:
        answer = _answer_of(transformed)
        return stock(self, transformed, params) if answer is None else stock(self, answer(self, transformed), None)

    cursor.FakeSnowflakeCursor._execute = execute


def _answer_of(transformed: Any) -> Callable[[Any, Any], Any] | None:
    """What carries a statement out and returns a query of its result; `None` for what the stock server can do."""
    if isinstance(transformed, exp.Copy) and transformed.this.name.startswith("@"):
        return _unload
    if isinstance(transformed, exp.Get):
        return _get
    is_removal = isinstance(transformed, exp.Command) and transformed.name.upper() == "REMOVE"
    return _remove if is_removal else None


def _unload(cursor: Any, copy: Any) -> Any:
    """Writes the rows to the one file that is named, in the order of the query."""
    found = {option.name.upper() for option in copy.args["params"]}
    if found != UNLOAD_OPTIONS:
        raise NotImplementedError(f"COPY INTO a stage with {sorted(found)}, only with {sorted(UNLOAD_OPTIONS)}")
    path = _path(cursor, copy.this.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    query = copy.args["files"][0].this.sql(dialect="duckdb")
    file = exp.Literal.string(str(path)).sql(dialect="duckdb")
    cursor._duck_conn.execute(f"COPY ({query}) TO {file} (FORMAT parquet, COMPRESSION snappy)")
    ((rows,),) = cursor._duck_conn.fetchall()
    size = path.stat().st_size
    return parse_one(f'SELECT {rows} AS "rows_unloaded", {size} AS "input_bytes", {size} AS "output_bytes"')


def _get(cursor: Any, get: Any) -> Any:
    """Tells the connector, as of a PUT, what to fetch and where to put it; the addresses are the server's to give."""
    location = get.args["target"].name
    folder = _path(cursor, location)
    answer = parse_one("SELECT 'GET' AS status")
    answer.args["put_stage_data"] = {
        "command": "DOWNLOAD",
        "stageInfo": {"locationType": "LOCAL_FS", "location": str(folder), "creds": {}},
        "src_locations": [path.name for path in sorted(folder.iterdir())],
        "localLocation": get.this.name.removeprefix("file://"),
        "encryptionMaterial": [],
        "parallel": 1,
    }
    return answer


def _remove(cursor: Any, removal: Any) -> Any:
    location = removal.expression.name.strip()
    shutil.rmtree(_path(cursor, location), ignore_errors=True)
    return parse_one('SELECT 1 AS "name", \'removed\' AS "result"')


def _path(cursor: Any, location: str) -> Path:
    """The folder on the disk of `@stage/path`; raises `ProgrammingError` if there is no such stage."""
    from fakesnow.transforms import stage

    name, _, path = location.removeprefix("@").partition("/")
    parts = stage.parts_from_var(name, cursor._conn.database, cursor._conn.schema)
    if not cursor._duck_conn.execute(stage.stage_lookup_sql(*parts, cursor._conn.table_stages)).fetchone():
        raise stage.not_found_error(".".join(parts))
    return Path(stage.internal_dir(".".join(parts), path))


def _bucket() -> Path:
    from fakesnow.transforms import stage

    return Path(stage.LOCAL_BUCKET_PATH)
