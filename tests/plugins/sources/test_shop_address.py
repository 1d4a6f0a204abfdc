"""One address of the shop for every client: what its connection asks for is passed on, or refused where it means nothing."""

import json

import pytest
from airflow.sdk import Connection

from shelfcast.errors import ConfigurationError
from shelfcast_provider.sources.shop_address import ShopAddress

WHERE = {"conn_type": "postgres", "host": "db", "login": "shop", "password": "secret", "schema": "sales"}
FILES = {"sslrootcert": "/ca.pem", "sslcert": "/shop.pem", "sslkey": "/shop.der"}


def address(**extras):
    return ShopAddress.of(Connection.from_json(json.dumps(WHERE | {"extra": extras}), conn_id="shop_database"))


def test_what_the_connection_asks_for_is_told_to_both_clients():
    found = address(slot_name="s", sslmode="verify-full", **FILES)
    tls = {"sslmode": "verify-full", **FILES}
    login = {"host": "db", "port": 5432, "user": "shop", "password": "secret", "dbname": "sales"}
    assert found.for_psycopg() == login | tls
    properties = found.for_debezium()
    assert {name: properties[f"database.{name}"] for name in tls} == tls
    assert properties["database.hostname"] == "db"
    assert "secret" not in repr(found)


def test_without_extras_each_client_does_as_it_always_does():
    assert not [name for name in [*address().for_psycopg(), *address().for_debezium()] if "ssl" in name]


@pytest.mark.parametrize(
    ("mode", "expected"), [("require", "verify-ca"), ("verify-ca", "verify-ca"), ("verify-full", "verify-full")]
)
def test_both_clients_check_the_server_where_one_does(mode, expected):
    """In mode `require` libpq checks a server against a root certificate that it is given."""
    found = address(sslmode=mode, sslrootcert="/ca.pem")
    assert found.for_psycopg()["sslmode"] == mode
    assert found.for_debezium()["database.sslmode"] == expected


def test_an_encrypted_connection_to_whomever_is_left_as_it_is():
    assert address(sslmode="require").for_debezium()["database.sslmode"] == "require"


@pytest.mark.parametrize(
    ("extras", "said"),
    [
        ({"sslmode": "verify_full"}, "sslmode 'verify_full'; there are disable, allow, prefer, require, verify-ca"),
        ({"sslrootcert": "/ca.pem"}, "sslrootcert with sslmode prefer"),
        ({"sslrootcert": "/ca.pem", "sslmode": "allow"}, "sslrootcert with sslmode allow"),
        ({"sslrootcert": "/ca.pem", "sslmode": "disable"}, "sslrootcert with sslmode disable"),
    ],
)
def test_a_certificate_that_would_protect_nothing_and_a_mode_that_there_is_not_are_refused(extras, said):
    with pytest.raises(ConfigurationError, match=said):
        address(**extras)
