"""What fakesnow 0.12.1 lacks to stand in for Snowflake, cured on the server's side; clients stay unmodified.

Each function replaces one inner function of that very release, which is why its version is pinned exactly.
"""

import asyncio
import contextvars
import json
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp, parse_one
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

BIG_RESULT_BYTES = 8 << 20
CHUNK_BYTES = 16 << 20
ROWS_INLINE = 1000
UNSUPPORTED = 261000
DUPLICATE_ROW = 100090
IN_PROGRESS = "333333"
ANSWER_SECONDS = 30.0
"""After which a client is told that its statement still runs: one that hears nothing for a minute sends it again."""


class NewestResults(dict[Any, Any]):
    """A mapping that forgets its oldest entry beyond `limit`: the stock server keeps every result for ever."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        while len(self) > self._limit:
            del self[next(iter(self))]


def install(server: Any) -> None:
    """Applies all cures; `server` is the module `fakesnow.server`."""
    _send_null_timestamps_as_null()
    _merge_in_one_statement()
    _fail_instead_of_hanging(server, _ChunkedResults(server), _RunningStatements())


def _send_null_timestamps_as_null() -> None:
    """The stock server sends NULL timestamps without a validity mask: they arrive as 1970-01-01."""
    from fakesnow import arrow

    stock = arrow.timestamp_to_sf_struct

    def with_mask(values: Any) -> Any:
        if isinstance(values, pa.ChunkedArray):
            combined = values.combine_chunks()
            values = combined if isinstance(combined, pa.Array) else pa.concat_arrays(combined.chunks)
        if not values.null_count:
            return stock(values)
        struct = stock(pc.fill_null(values, pa.scalar(0, values.type)))
        fields = [pa.field(field.name, field.type, nullable=False) for field in struct.type]
        return pa.StructArray.from_arrays(struct.flatten(), fields=fields, mask=pc.is_null(values))

    arrow.timestamp_to_sf_struct = with_mask


def _merge_in_one_statement() -> None:
    """Runs MERGE as DuckDB's own: atomic, and with any source, where the stock one emulates it in four statements."""
    from fakesnow import cursor, transforms

    stock = cursor.FakeSnowflakeCursor._execute
    transforms.merge = lambda expression: [expression]

    def execute(self: Any, transformed: Any, params: Any = None) -> Any:
        if not isinstance(transformed, exp.Merge):
            return stock(self, transformed, params)
        return stock(self, _merge_counts(transformed, _run_merge(self, transformed, params)), None)

    cursor.FakeSnowflakeCursor._execute = execute


def _run_merge(cursor: Any, merge: Any, params: Any) -> dict[str, int]:
    """Runs the statement; returns the number of rows by action."""
    import duckdb
    from snowflake.connector.errors import ProgrammingError

    for update in merge.find_all(exp.Update):
        for assignment in update.expressions:
            if isinstance(assignment.this, exp.Column):
                assignment.set("this", exp.Column(this=assignment.this.this.copy()))
    for insert in merge.find_all(exp.Insert):
        for column in insert.this.expressions if insert.this else []:
            if isinstance(column, exp.Column):
                column.set("table", None)
    connection = cursor._conn
    if not connection._autocommit and not connection._in_transaction:
        cursor._duck_conn.begin()
        connection._in_transaction = True
    text = merge.sql(dialect="duckdb") + " RETURNING merge_action"
    try:
        table = cursor._duck_conn.execute(text, params if merge.find(exp.Placeholder) else None).to_arrow_table()
    except duckdb.Error as error:
        is_duplicate = "more than once" in str(error)
        raise ProgrammingError(
            msg=f"{'Duplicate row detected during DML action: ' if is_duplicate else ''}{error}",
            errno=DUPLICATE_ROW if is_duplicate else 2043,
            sqlstate="42P18" if is_duplicate else "02000",
        ) from error
    return {entry["values"]: entry["counts"] for entry in pc.value_counts(table["merge_action"]).to_pylist()}


def _merge_counts(merge: Any, counts: dict[str, int]) -> Any:
    """A query that answers as Snowflake answers a MERGE: one count an action that the statement names."""
    from fakesnow.transforms.merge import operations

    actions = {"inserted": "INSERT", "updated": "UPDATE", "deleted": "DELETE"}
    columns = [
        f'{int(counts.get(actions[name], 0))} AS "number of rows {name}"'
        for name, positions in operations(merge).items()
        if positions
    ]
    answer = parse_one(f"SELECT {', '.join(columns)}")
    answer.set("merge_counts", True)
    return answer


class _Deferred:
    """A result whose rows behind the first are still to be fetched."""

    def __init__(self, rows: Any, rowtype: Any) -> None:
        self.rows = rows
        self.rowtype = rowtype
        self.chunk_rows = 0


class _ChunkedResults:
    """Serves a big result by URL in chunks, as Snowflake does; the stock server sends one blob inside one JSON."""

    def __init__(self, server: Any) -> None:
        self._current: contextvars.ContextVar[_Deferred | None] = contextvars.ContextVar("deferred", default=None)
        self._waiting = NewestResults(8)
        self._to_sf, self._to_ipc = server.to_sf, server.to_ipc
        self.route = Route("/results/{token}/{start:int}", self._chunk, methods=["GET"])
        server.to_sf, server.to_ipc = self._deferred_to_sf, self._first_rows_to_ipc

    def _deferred_to_sf(self, table: Any, rowtype: Any) -> Any:
        return _Deferred(table, rowtype) if table.nbytes > BIG_RESULT_BYTES else self._to_sf(table, rowtype)

    def _first_rows_to_ipc(self, table: Any) -> Any:
        if not isinstance(table, _Deferred):
            return self._to_ipc(table)
        self._current.set(table)
        return self._to_ipc(self._to_sf(table.rows.slice(0, ROWS_INLINE), table.rowtype))

    def name_chunks(self, request: Request, response: Response) -> Response:
        """The answer to a query, with the addresses of the rows that are not in it."""
        result = self._current.get()
        if result is None:
            return response
        self._current.set(None)
        result.rows = result.rows.slice(ROWS_INLINE)
        result.chunk_rows = max(1000, int(CHUNK_BYTES / max(result.rows.nbytes / max(result.rows.num_rows, 1), 1)))
        token = secrets.token_urlsafe(32)
        self._waiting[token] = result
        base = f"{request.url.scheme}://{request.url.netloc}/results/{token}"
        answer = json.loads(bytes(response.body))
        answer["data"]["chunks"] = [
            {
                "url": f"{base}/{start}",
                "rowCount": min(result.chunk_rows, result.rows.num_rows - start),
                "uncompressedSize": CHUNK_BYTES,
                "compressedSize": CHUNK_BYTES,
            }
            for start in range(0, result.rows.num_rows, result.chunk_rows)
        ]
        answer["data"]["chunkHeaders"] = {}
        return JSONResponse(answer)

    async def _chunk(self, request: Request) -> Response:
        result = self._waiting.get(request.path_params["token"])
        if result is None:
            return Response(status_code=404)
        rows = result.rows.slice(request.path_params["start"], result.chunk_rows).combine_chunks()
        content = await run_in_threadpool(lambda: self._to_ipc(self._to_sf(rows, result.rowtype)).to_pybytes())
        return Response(content, media_type="application/octet-stream")


class _RunningStatements:
    """Tells a client where to ask again for what takes long, as Snowflake does; the stock server answers when it is done."""

    def __init__(self) -> None:
        self._running = NewestResults(8)  # a client that was killed never asks for its own
        self.route = Route("/queries/{token}/result", self._result, methods=["GET"])

    async def answer(self, running: asyncio.Task[Response]) -> Response:
        """The answer to a statement, or after a while the address at which it will be."""
        await asyncio.wait({running}, timeout=ANSWER_SECONDS)
        if running.done():
            return running.result()
        token = secrets.token_urlsafe(32)
        self._running[token] = running
        told = {"code": IN_PROGRESS, "message": "The statement still runs.", "success": True}
        return JSONResponse({"data": {"getResultUrl": f"/queries/{token}/result"}, **told})

    async def _result(self, request: Request) -> Response:
        running: asyncio.Task[Response] | None = self._running.get(request.path_params["token"])
        return Response(status_code=404) if running is None else await self.answer(running)


def _fail_instead_of_hanging(server: Any, chunked: _ChunkedResults, statements: _RunningStatements) -> None:
    """Turns HTTP 500 into an ordinary SQL error: the connector repeats a request that got 500 for ever."""
    from fakesnow.cursor import FakeSnowflakeCursor
    from snowflake.connector.errors import OperationalError, ProgrammingError

    stock = FakeSnowflakeCursor.execute

    def execute(self: Any, command: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return stock(self, command, *args, **kwargs)
        except (ProgrammingError, OperationalError):
            raise
        except Exception as error:
            text = f"The emulator does not run this statement: {type(error).__name__}: {error}"
            raise ProgrammingError(msg=text[:4000], errno=UNSUPPORTED, sqlstate="0A000") from error

    async def executed(request: Request) -> Response:
        response: Response = await server.query_request(request)
        if response.status_code != 500:
            return chunked.name_chunks(request, response)
        failure = {"errorCode": str(UNSUPPORTED), "sqlState": "0A000"}
        message = "The emulator could not describe the result; its log says why."
        return JSONResponse({"data": failure, "code": str(UNSUPPORTED), "message": message, "success": False})

    async def query(request: Request) -> Response:
        return await statements.answer(asyncio.create_task(executed(request)))

    FakeSnowflakeCursor.execute = execute
    replace_route(server, "/queries/v1/query-request", query)
    server.app.router.routes.extend([chunked.route, statements.route])


def replace_route(server: Any, path: str, endpoint: Callable[[Request], Awaitable[Response]]) -> None:
    """Puts an endpoint of ours in the place of the stock server's; raises `ValueError` if it has none there."""
    routes = server.app.router.routes
    position = [route.path for route in routes].index(path)
    routes[position] = Route(path, endpoint, methods=list(routes[position].methods))
