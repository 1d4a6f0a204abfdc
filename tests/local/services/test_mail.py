"""The mail page shows every mail that arrived, whatever it is made of, to those who may."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from shelfcast_local.services.mail import USER, Sink, page, read_mails

LOGIN = (USER, "secret")


def receive(folder: Path, *contents: bytes) -> None:
    sink = Sink(folder)
    for content in contents:
        assert asyncio.run(sink.handle_DATA(None, None, SimpleNamespace(content=content))) == "250 OK"


def mail(subject: str, body: str = "text", *, charset: str = "utf-8") -> bytes:
    head = f"Subject: {subject}\r\nTo: a@b.example\r\nContent-Type: text/plain; charset={charset}\r\n\r\n"
    return head.encode() + body.encode()


def test_the_newest_mail_comes_first(tmp_path: Path) -> None:
    receive(tmp_path, mail("one"), mail("two", "grüße"))
    assert [found["subject"] for found in read_mails(tmp_path)] == ["two", "one"]
    assert read_mails(tmp_path)[0]["body"] == "grüße"


@pytest.mark.parametrize("lost", ["00001.eml", "00002.eml"])
def test_a_mail_never_takes_the_place_of_another(tmp_path: Path, lost: str) -> None:
    receive(tmp_path, mail("one"), mail("two"), mail("three"))
    (tmp_path / lost).unlink()
    (tmp_path / "notes.eml").write_bytes(mail("somebody's own"))
    left = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    receive(tmp_path, mail("four"))
    assert left.items() < {path.name: path.read_bytes() for path in tmp_path.iterdir()}.items()


def test_a_mail_with_an_unknown_charset_is_shown_beside_the_others(tmp_path: Path) -> None:
    receive(tmp_path, mail("good"), mail("odd", "still legible", charset="klingon-8"))
    client = TestClient(page(tmp_path, "secret"))
    shown = client.get("/", auth=LOGIN)
    assert shown.status_code == 200
    assert "good" in shown.text
    assert "still legible" in shown.text


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    head=st.sampled_from(
        [b"", b"Subject: ", b"To: ", b"Content-Type: ", b"Content-Type: text/html; charset=", b"Date: "]
    ),
    content=st.binary(max_size=60)
    | st.text(alphabet='"=?utf8<>@(),;:\\ \nbq\udcff', max_size=30).map(
        lambda text: text.encode(errors="surrogateescape")
    ),
)
def test_no_mail_whatsoever_breaks_the_page(tmp_path: Path, head: bytes, content: bytes) -> None:
    (tmp_path / "00001.eml").write_bytes(head + content)
    client = TestClient(page(tmp_path, "secret"))
    assert client.get("/", auth=LOGIN).status_code == 200
    assert len(client.get("/mails", auth=LOGIN).json()) == 1


def test_a_mail_cannot_put_markup_into_the_page(tmp_path: Path) -> None:
    receive(tmp_path, mail("<script>alert(1)</script>", '"><script>alert(2)</script>'))
    assert "<script" not in TestClient(page(tmp_path, "secret")).get("/", auth=LOGIN).text


@pytest.mark.parametrize("path", ["/", "/mails"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Basic ###"},
        {"Authorization": "Bearer secret"},
        {"Authorization": "Basic bWFpbDp3cm9uZw=="},
    ],
    ids=["none", "no base64", "another kind", "wrong password"],
)
def test_nobody_without_the_password_sees_a_mail(tmp_path: Path, path: str, headers: dict[str, str]) -> None:
    receive(tmp_path, mail("private"))
    client = TestClient(page(tmp_path, "secret"))
    refused = client.get(path, headers=headers)
    assert refused.status_code == 401
    assert "private" not in refused.text
    assert client.get(path, auth=LOGIN).status_code == 200
