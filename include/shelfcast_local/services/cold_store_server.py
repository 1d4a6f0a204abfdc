"""The cold store on a laptop: fakesnow, a Snowflake emulator on DuckDB, made fit to stand behind the stock provider.

    python -m shelfcast_local.services.cold_store_server --home FOLDER --port PORT --memory 4GiB

(password: SHELFCAST_COLD_STORE_PASSWORD)

The Snowflake provider always speaks TLS, so the server has a certificate of its own; clients trust it through
`REQUESTS_CA_BUNDLE=FOLDER/tls/ca-bundle.pem`. What else the stock server lacks is in `cold_store_patches` and its neighbours.
"""

import argparse
import gzip
import hmac
import json
import os
from datetime import UTC, datetime, timedelta
from importlib import import_module
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from shelfcast_local.configuration import HOST, write_private

DATABASE = "SHELFCAST"
RESULTS_KEPT = 8


def make_certificate(folder: Path) -> Path:
    """Makes key, certificate and the bundle that clients trust, once; returns the bundle's path."""
    bundle = folder / "ca-bundle.pem"
    if bundle.exists():
        return bundle
    import certifi
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shelfcast cold store")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=825))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(IPv4Address(HOST))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    write_private(folder / "key.pem", key.private_bytes(encoding, form, serialization.NoEncryption()).decode())
    own = certificate.public_bytes(encoding)
    (folder / "certificate.pem").write_bytes(own)
    trusted = Path(os.environ.get("SSL_CERT_FILE") or certifi.where()).read_bytes()
    bundle.write_bytes(trusted + b"\n" + own)
    return bundle


class PasswordRequired:
    """ASGI layer that refuses a login without the password; fakesnow itself lets anybody in."""

    def __init__(self, app: Any, password: str) -> None:
        self._app = app
        self._password = password.encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Passes everything on but logins with a wrong password."""
        if scope["type"] != "http" or not scope["path"].endswith("/login-request"):
            await self._app(scope, receive, send)
            return
        from starlette.requests import Request
        from starlette.responses import JSONResponse

        body = await Request(scope, receive).body()
        text = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
        given = str(json.loads(text)["data"].get("PASSWORD", "")).encode()
        if not hmac.compare_digest(given, self._password):
            refusal = {"data": {}, "code": "390100", "message": "Incorrect username or password.", "success": False}
            await JSONResponse(refusal)(scope, receive, send)
            return

        async def again() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, again, send)


def serve(home: Path, port: int, password: str, *, memory: str, threads: int) -> None:
    """Serves until SIGTERM; tables, stages' files and load history survive in `home`."""
    from fakesnow.instance import FakeSnow
    from fakesnow.transforms import stage
    from uvicorn import run

    from shelfcast_local.services import cold_store_patches, cold_store_stages, cold_store_transactions

    server = import_module("fakesnow.server")  # the package has a function of that name too
    for name in ("db", "bucket", "tmp"):
        (home / name).mkdir(parents=True, exist_ok=True)
    stage.LOCAL_BUCKET_PATH = str(home / "bucket")
    cold_store_patches.install(server)
    cold_store_stages.install(server)
    cold_store_transactions.install()
    # one DuckDB instance that all sessions share: the stock server would open the file once a session, and fail
    shared = FakeSnow(db_path=str(home / "db"))
    shared.results_cache = cold_store_patches.NewestResults(RESULTS_KEPT)
    server.shared_fs = shared
    for setting, value in (("memory_limit", memory), ("threads", threads), ("temp_directory", home / "tmp")):
        shared.duck_conn.execute(f"SET GLOBAL {setting} = '{value}'")
    shared.connect(database=DATABASE, schema="PUBLIC")
    tls = home / "tls"
    make_certificate(tls)
    try:
        run(
            PasswordRequired(server.app, password),
            host=HOST,
            port=port,
            log_level="warning",
            timeout_keep_alive=120,
            timeout_graceful_shutdown=3,  # a client that keeps an idle connection does not answer the end of TLS
            ssl_certfile=str(tls / "certificate.pem"),
            ssl_keyfile=str(tls / "key.pem"),
        )
    finally:
        shared.duck_conn.execute(f'CHECKPOINT "{DATABASE}"')
        shared.duck_conn.close()


def main() -> None:
    """Reads the command line and serves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--memory", required=True, help="beyond which a query spills to disk, such as 4GiB")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    password = os.environ["SHELFCAST_COLD_STORE_PASSWORD"]
    serve(options.home.absolute(), options.port, password, memory=options.memory, threads=options.threads)


if __name__ == "__main__":
    main()
