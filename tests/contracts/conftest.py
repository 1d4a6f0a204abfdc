"""Both cold stores: the shipped fake in this process, and the hook through the stock provider to a real server."""

import copy
import json
import shutil
import tempfile
from pathlib import Path

import pytest

from shelfcast.cold_store import statements
from shelfcast.cold_store.duckdb_store import DuckDBStore


@pytest.fixture(scope="module")
def contract_statements(tmp_path_factory):
    """The repository's statements, and `contract/…`: what only the contract asks."""
    folder = tmp_path_factory.mktemp("statements") / "sql"
    shutil.copytree(statements.SQL_FOLDER, folder)
    shutil.copytree(Path(__file__).parent / "sql", folder / "contract")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statements, "SQL_FOLDER", folder)
        statements._templates.cache_clear()
        yield
    statements._templates.cache_clear()


@pytest.fixture(scope="module")
def duckdb_store(contract_statements):
    store = DuckDBStore(num_threads=1)
    yield store
    store.connection.close()


@pytest.fixture(scope="module")
def snowflake_store(contract_statements):
    """The hook and the stock provider, unmodified, and the emulator that stands in for Snowflake."""
    from shelfcast_local.environment import connections
    from shelfcast_local.stack import Stack
    from shelfcast_provider.cold_store.cold_store_hook import ColdStoreHook

    with tempfile.TemporaryDirectory(prefix="shelfcast-contract-") as folder, pytest.MonkeyPatch.context() as patch:
        stack = Stack(Path(folder) / "home")
        try:
            stack.up(["cold_store"])
            for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NO_PROXY", "no_proxy"):
                patch.setenv(name, stack.environment()[name])
            patch.setenv("AIRFLOW_CONN_COLD_STORE", json.dumps(connections(stack.configuration)["cold_store"]))
            with ColdStoreHook() as hook:
                yield hook
        finally:
            stack.down()


@pytest.fixture(scope="module", params=["duckdb", pytest.param("snowflake", marks=pytest.mark.integration)])
def store(request):
    """One of them."""
    return request.getfixturevalue(f"{request.param}_store")


@pytest.fixture
def other(store):
    """The same store by a connection of its own."""
    if isinstance(store, DuckDBStore):
        second = copy.copy(store)
        second.connection = store.connection.cursor()
        yield second
        second.connection.close()
    else:
        with type(store)() as hook:
            yield hook
