"""Where alert mails arrive on a laptop: an SMTP sink, and a page that shows what came.

python -m shelfcast_local.services.mail --folder FOLDER --smtp-port PORT --page-port PORT   (password: SHELFCAST_MAIL_PASSWORD)
"""

import argparse
import email
import hmac
import html
import os
import sys
from base64 import b64decode
from collections.abc import Callable
from datetime import datetime
from email import policy
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from shelfcast_local.configuration import HOST, Configuration
from shelfcast_local.services import loopback
from shelfcast_local.services.supervisor import Service

USER = "mail"
PAGE = """<!doctype html><meta charset="utf-8"><title>Mails</title>
<style>body{{font:15px system-ui;margin:2rem auto;max-width:60rem}}article{{border:1px solid #ccc;border-radius:6px;
padding:1rem;margin:1rem 0}}iframe{{width:100%;height:24rem;border:0;background:#fafafa}}</style>
<h1>{count} mails</h1>{mails}"""
MAIL = """<article><b>{subject}</b><br>to {to}, {received}<iframe sandbox srcdoc="{body}"></iframe></article>"""


def service(home: Path, configuration: Configuration) -> Service:
    """Sink and page in one process."""
    smtp, page = configuration.ports["smtp"], configuration.ports["mail"]
    command = [sys.executable, "-m", "shelfcast_local.services.mail", "--folder", str(home / "mail")]
    return Service(
        name="mail",
        command=[*command, "--smtp-port", str(smtp), "--page-port", str(page)],
        environment={"SHELFCAST_MAIL_PASSWORD": configuration.passwords["mail"]},
        is_healthy=lambda: is_healthy(configuration),
        health_seconds=60,
    )


def url(configuration: Configuration) -> str:
    """Address of the page, without credentials."""
    return f"http://{HOST}:{configuration.ports['mail']}"


def is_healthy(configuration: Configuration) -> bool:
    """Whether the page serves those who have the password; the process opens it after the sink."""
    return loopback.opens_to_us_only(f"{url(configuration)}/mails", auth=(USER, configuration.passwords["mail"]))


class Sink:
    """Keeps each mail as a file of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        """Stores a mail; the sender hears of success only when it is on disk."""
        number = max((int(path.stem) for path in self._folder.iterdir() if path.stem.isdecimal()), default=0) + 1
        draft = self._folder / f"{number:05d}.part"
        draft.write_bytes(envelope.content)
        draft.rename(self._folder / f"{number:05d}.eml")
        return "250 OK"


def read_mails(folder: Path) -> list[dict[str, str]]:
    """All mails, newest first: subject, to, received (ISO text) and body (HTML if it has one)."""
    return [_read(path) for path in sorted(folder.glob("*.eml"), reverse=True)]


def _read(path: Path) -> dict[str, str]:
    message = email.message_from_bytes(path.read_bytes(), policy=policy.default)
    return {
        "subject": _text(lambda: message["Subject"]),
        "to": _text(lambda: message["To"]),
        "received": datetime.fromtimestamp(path.stat().st_mtime).isoformat(timespec="seconds"),
        "body": _text(lambda: _body(message)),
    }


def _body(message: Any) -> str:
    part = message.get_body(("html", "plain"))
    try:
        return str(part.get_content()) if part else ""
    except LookupError:  # a charset that Python does not know
        return bytes(part.get_payload(decode=True)).decode(errors="replace")


def _text(read: Callable[[], Any]) -> str:
    """What `read` answers, fit to be sent; one mail that breaks Python's parser must not hide the others."""
    try:
        return str(read() or "").encode(errors="replace").decode()
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        return f"(cannot be read: {error})"


def page(folder: Path, password: str) -> Starlette:
    """The page `/` and the list `/mails`, behind HTTP basic authentication."""

    def is_allowed(request: Request) -> bool:
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        try:
            credentials = b64decode(given) if kind.lower() == "basic" else b""
        except ValueError:
            return False
        return hmac.compare_digest(credentials, f"{USER}:{password}".encode())

    async def refuse() -> Response:
        return Response("Log in.", status_code=401, headers={"WWW-Authenticate": 'Basic realm="mails"'})

    async def listed(request: Request) -> Response:
        return JSONResponse(read_mails(folder)) if is_allowed(request) else await refuse()

    async def shown(request: Request) -> Response:
        if not is_allowed(request):
            return await refuse()
        mails = [{name: html.escape(text) for name, text in mail.items()} for mail in read_mails(folder)]
        return HTMLResponse(PAGE.format(count=len(mails), mails="".join(MAIL.format(**mail) for mail in mails)))

    return Starlette(routes=[Route("/", shown), Route("/mails", listed)])


def main() -> None:
    """Runs sink and page until SIGTERM."""
    import uvicorn

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--smtp-port", type=int, required=True)
    parser.add_argument("--page-port", type=int, required=True)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    sink = Controller(Sink(options.folder), hostname=HOST, port=options.smtp_port)
    sink.start()
    app = page(options.folder, os.environ["SHELFCAST_MAIL_PASSWORD"])
    uvicorn.run(app, host=HOST, port=options.page_port, log_level="warning")
    sink.stop()


if __name__ == "__main__":
    main()
