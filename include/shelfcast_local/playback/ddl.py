"""Builds the shop's schema in PostgreSQL from its declaration, and the publication that change capture reads."""

import psycopg

from shelfcast.cold_store.statements import statement
from shelfcast.errors import SourceUnavailable
from shelfcast.sources.shop_schema import SOURCE_SCHEMA, TABLES, Table

PUBLICATION = "shelfcast"

Connection = psycopg.Connection[tuple[object, ...]]


def playback_statement(name: str) -> bytes:
    """The text of `sql/playback/<name>.sql`; a file of the repository, never a user's input."""
    return statement(f"playback/{name}").encode()


def connect(address: str) -> Connection:
    """Opens the shop's database with autocommit, so that each `transaction()` block is one commit.

    Raises:
        SourceUnavailable: The server does not answer or refuses the login.
    """
    try:
        return psycopg.connect(address, autocommit=True, connect_timeout=10)
    except psycopg.OperationalError as error:
        raise SourceUnavailable(
            f"The shop's database cannot be reached: {str(error).strip()}. "
            "Start it (`shelfcast up`) or correct the address, then run this again."
        ) from error


def create_table(table: Table) -> str:
    """The CREATE TABLE text of one shop table.

    Only key columns are NOT NULL, and there are no checks or foreign keys: a shop's database holds whatever its tills
    sent. What the declaration requires is judged on the way in, where a bad row goes to quarantine with its reason.
    """
    columns = ",\n".join(f"    {column.name} {column.type}" for column in table.columns)
    key = ", ".join(table.key)
    return (
        f"CREATE TABLE IF NOT EXISTS {SOURCE_SCHEMA}.{table.name} (\n{columns},\n"
        f"    CONSTRAINT {table.name}_key PRIMARY KEY ({key})\n)"
    )


def shop_statements() -> list[str]:
    """All statements that build the shop's schema; each may be run again.

    Replica identity stays the primary key: a delete then names the key only, and what the row held is in the change
    history. Identity FULL would write every old row into the log for nothing.
    """
    statements = [f"CREATE SCHEMA IF NOT EXISTS {SOURCE_SCHEMA}"]
    for table in TABLES.values():
        statements.append(create_table(table))
        statements.append(f"ALTER TABLE {SOURCE_SCHEMA}.{table.name} REPLICA IDENTITY DEFAULT")
    return statements


def publication_statement(*, exists: bool) -> str:
    """The statement after which the change capture reads all tables of the shop.

    They are listed one by one: a publication of a whole schema may only be made by a superuser, which a shop's
    database does not hand out.
    """
    tables = ", ".join(f"{SOURCE_SCHEMA}.{name}" for name in TABLES)
    if exists:
        return f"ALTER PUBLICATION {PUBLICATION} SET TABLE {tables}"
    return f"CREATE PUBLICATION {PUBLICATION} FOR TABLE {tables}"


def create_shop(connection: Connection) -> None:
    """Creates the schema `sales`, its publication, and the notes of what was written; keeps what is there."""
    with connection.transaction():
        for text in shop_statements():
            connection.execute(text.encode())
        connection.execute(publication_statement(exists=_publication_exists(connection)).encode())
        for name in ("create_playback_schema", "create_playback_settings", "create_days_written"):
            connection.execute(playback_statement(name))


def _publication_exists(connection: Connection) -> bool:
    return connection.execute(statement("sources/publication_exists").encode(), [PUBLICATION]).fetchone() is not None
