"""Where the shop's database is and how it is reached, as its connection says, in the words of each client."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shelfcast.errors import ConfigurationError
from shelfcast_provider.connections import SHOP_DATABASE, TLS_EXTRAS, check_extras

if TYPE_CHECKING:
    from airflow.sdk import Connection

CHECKED_MODES = ("verify-ca", "verify-full")
TLS_MODES = ("disable", "allow", "prefer", "require", *CHECKED_MODES)


@dataclass(frozen=True, kw_only=True)
class ShopAddress:
    """The shop's database, the same for each client that opens it.

    Attributes:
        host: Name or address of the server.
        port: Its port.
        user: Who logs in.
        password: `None` where a certificate is enough.
        database: Name of the database.
        tls: libpq's `sslmode`, `sslrootcert`, `sslcert` and `sslkey`, those that the connection gives. Files are PEM; the
            key is PKCS-8, as DER, or as PEM if it is an RSA key: what libpq and Java both read.
    """

    host: str
    port: int
    user: str
    password: str | None = field(repr=False)
    database: str
    tls: dict[str, str]

    @classmethod
    def of(cls, connection: "Connection") -> "ShopAddress":
        """What an Airflow connection says; raises `ConfigurationError` for an extra or a mode that is not allowed."""
        extras = connection.extra_dejson
        check_extras(SHOP_DATABASE, extras)
        return cls(
            host=str(connection.host),
            port=connection.port or 5432,
            user=str(connection.login),
            password=connection.password,
            database=str(connection.schema),
            tls=_checked_tls({name: str(extras[name]) for name in TLS_EXTRAS if extras.get(name)}),
        )

    def __str__(self) -> str:
        return f"{self.host}:{self.port}/{self.database}"

    def for_psycopg(self) -> dict[str, Any]:
        """Arguments of `psycopg.connect`."""
        address = {"host": self.host, "port": self.port, "user": self.user, "password": self.password}
        return address | {"dbname": self.database} | self.tls

    def for_debezium(self) -> dict[str, str]:
        """Debezium's properties.

        libpq checks the server against a root certificate in mode `require` too, Debezium's driver does not: it is told
        to, so that both trust the same server.
        """
        address = {"hostname": self.host, "port": str(self.port), "user": self.user, "dbname": self.database}
        tls = dict(self.tls)
        if "sslrootcert" in tls and tls["sslmode"] not in CHECKED_MODES:
            tls["sslmode"] = "verify-ca"
        named = address | {"password": self.password or ""} | tls
        return {f"database.{name}": value for name, value in named.items()}


def _checked_tls(tls: dict[str, str]) -> dict[str, str]:
    mode = tls.get("sslmode", "prefer")
    if mode not in TLS_MODES:
        raise ConfigurationError(
            f"Connection {SHOP_DATABASE} has sslmode {mode!r}; there are {', '.join(TLS_MODES)}. Write one of them."
        )
    if "sslrootcert" in tls and mode not in ("require", *CHECKED_MODES):
        raise ConfigurationError(
            f"Connection {SHOP_DATABASE} gives an sslrootcert with sslmode {mode}, which goes on without TLS where the "
            "server has none: the certificate would protect nothing. Write sslmode verify-full, or leave it out."
        )
    return tls
