"""Ports and passwords: chosen once, private, whole or refused."""

import json
import socket
from pathlib import Path

import pytest

from shelfcast.errors import ConfigurationError
from shelfcast_local.configuration import HOST, Configuration, is_taken, private_folder, write_private


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_configuration_is_made_once_and_kept_private(tmp_path: Path) -> None:
    home = tmp_path / "above" / "home"
    made = Configuration.load(home)
    assert Configuration.load(home) == made
    assert mode(home / "config.json") == 0o600
    assert mode(home) == 0o700
    assert len(set(made.ports.values())) == len(made.ports)
    assert len(set(made.passwords.values())) == len(made.passwords)


def test_saving_takes_a_file_back_from_those_who_could_read_it(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.touch(mode=0o644)
    path.chmod(0o644)
    with path.open() as reader_from_before:
        Configuration.load(tmp_path / "other").save(tmp_path)
        assert reader_from_before.read() == "", "an open handle must not see the passwords either"
    assert mode(path) == 0o600


def test_an_interrupted_save_leaves_what_was_there(tmp_path: Path) -> None:
    write_private(tmp_path / "config.json", "old")
    with pytest.raises(UnicodeEncodeError):
        write_private(tmp_path / "config.json", "new" * 100_000 + "\ud800")
    assert (tmp_path / "config.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "Invalid JSON"),
        ('{"ports": {', "Invalid JSON"),
        ("[]", "should be an object"),
        ("\udcff", "codec can't decode"),
        ('{"ports": {}, "passwords": {}}', "fernet_key Field required"),
        ('{"ports": {}, "passwords": {"mail": "hidden-word"}, "fernet_key": "k"}', r"ports\.postgres is missing"),
        ('{"ports": {"mail": "hidden-word"}, "passwords": {}, "fernet_key": "k"}', r"ports\.mail Input"),
    ],
)
def test_a_broken_configuration_is_refused_with_advice_and_without_its_secrets(
    tmp_path: Path, content: str, fault: str
) -> None:
    (tmp_path / "config.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(ConfigurationError, match=fault) as refused:
        Configuration.load(tmp_path)
    assert "shelfcast down" in str(refused.value)
    assert "hidden-word" not in str(refused.value)


def test_every_name_that_is_missing_is_named(tmp_path: Path) -> None:
    content = Configuration.load(tmp_path).model_dump()
    del content["ports"]["mail"], content["passwords"]["jwt"]
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(ConfigurationError, match=r"ports\.mail is missing; passwords\.jwt is missing"):
        Configuration.load(tmp_path)


def test_a_move_changes_the_named_ports_only(tmp_path: Path) -> None:
    made = Configuration.load(tmp_path)
    moved = made.moved("smtp", "mail")
    assert {name for name, port in made.ports.items() if moved.ports[name] != port} == {"smtp", "mail"}
    assert moved.passwords == made.passwords


def test_a_port_is_taken_while_somebody_listens_on_it() -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        assert is_taken(port)
    assert not is_taken(port)


def test_a_folder_of_the_users_keeps_its_mode(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    theirs.chmod(0o755)
    assert mode(private_folder(theirs)) == 0o755
    assert mode(private_folder(theirs / "ours")) == 0o700
