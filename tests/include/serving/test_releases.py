"""Pointers are followed beside the requests, and nothing that is unsound is followed."""

import shutil
import threading

import pytest
from served_world import wait_for
from starlette.testclient import TestClient

from shelfcast.deployment import pointer
from shelfcast.errors import BundleError
from shelfcast.serving import releases as following
from shelfcast.serving.app import create_app
from shelfcast.serving.predictor import Predictor
from shelfcast.serving.releases import Releases

MODELS = ("demand", "order_value")
ABSENT = "demand-20240630-0000000000"
TOKEN = {"Authorization": "Bearer secret"}


@pytest.fixture
def folder(releases_folder, tmp_path):
    return shutil.copytree(releases_folder, tmp_path / "releases")


@pytest.fixture
def releases(folder):
    made = Releases(folder, MODELS)
    made.follow()
    return made


def test_nothing_serves_before_the_pointer_is_followed(folder, releases, predictor):
    assert Releases(folder, MODELS).names == {"demand": None, "order_value": None}
    assert releases.names == {"demand": predictor.bundle.release_id, "order_value": None}
    assert releases.problem is None


def test_a_pointer_at_nothing_takes_the_release_out_of_service(folder, releases):
    (folder / "demand" / pointer.POINTER).unlink()
    releases.follow()
    assert releases.current("demand") is None


def test_an_unsound_release_leaves_the_one_before_in_service(folder, releases, predictor):
    pointer.swap(folder / "demand", ABSENT)
    releases.follow()
    assert releases.names["demand"] == predictor.bundle.release_id
    assert "no readable manifest" in releases.problem
    pointer.roll_back(folder / "demand", ABSENT)
    releases.follow()
    assert releases.problem is None


@pytest.mark.parametrize("content", [b"", b'{"current": "dema', b"[]", b"\xff", b'{"current": "../x"}'])
def test_a_torn_pointer_leaves_the_release_in_service(folder, releases, predictor, content):
    (folder / "demand" / pointer.POINTER).write_bytes(content)
    releases.follow()
    assert releases.names["demand"] == predictor.bundle.release_id
    assert "does not say which release of demand serves" in releases.problem


def test_a_problem_of_one_model_outlives_the_success_of_another(folder, releases):
    (folder / "order_value").mkdir()
    (folder / "order_value" / pointer.POINTER).write_text("{")
    (folder / "demand" / pointer.POINTER).write_text("{")
    releases.follow()
    assert "of demand" in releases.problem
    assert "of order_value" in releases.problem
    (folder / "demand" / pointer.POINTER).unlink()
    releases.follow()
    assert "of demand" not in releases.problem
    assert "of order_value" in releases.problem


def test_an_error_that_nobody_foresaw_does_not_end_the_following(folder, releases, predictor, monkeypatch, caplog):
    (folder / "demand" / pointer.POINTER).write_text(f'{{"current": "{ABSENT}"}}')
    monkeypatch.setattr(releases, "load", lambda *_: 1 / 0)
    releases.follow()
    assert releases.names["demand"] == predictor.bundle.release_id
    assert releases.problem == "demand cannot be followed (ZeroDivisionError); the log says why."
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("release_id", ["../demand", "order_value-20240630-0123456789", "demand", ""])
def test_only_a_release_of_the_model_is_loaded(releases, release_id):
    with pytest.raises(BundleError, match="no release of demand"):
        releases.load("demand", release_id)


class Nothing:
    """A hot store without a vector."""

    async def read(self, declaration, entity):
        return "20250630-aaaaaaaa", None


def app_of(releases, demand):
    return create_app(Nothing(), releases, models=[demand], token="secret", freshness=None)


def ready(client):
    return client.get("/readyz").json()


def test_a_running_forecaster_follows_by_itself(folder, demand, predictor, monkeypatch):
    monkeypatch.setattr(following, "LOOK_EVERY_SECONDS", 0.02)
    with TestClient(app_of(Releases(folder, MODELS), demand), headers=TOKEN) as client:
        assert ready(client)["releases"]["demand"] == predictor.bundle.release_id
        (folder / "demand" / pointer.POINTER).unlink()
        assert wait_for(lambda: ready(client)["releases"]["demand"] is None)
        (folder / "demand" / pointer.POINTER).write_text("{")
        assert wait_for(lambda: ready(client)["problem"])
        assert client.get("/readyz").status_code == 503


def test_the_old_release_answers_while_another_one_loads(folder, demand, predictor, monkeypatch):
    monkeypatch.setattr(following, "LOOK_EVERY_SECONDS", 0.02)
    releases = Releases(folder, MODELS)
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def slow_load(*_):
        begun.set()
        may_end.wait(20)
        ended.set()
        return Predictor(predictor.bundle)

    with TestClient(app_of(releases, demand), headers=TOKEN) as client:
        monkeypatch.setattr(releases, "load", slow_load)
        pointer.swap(folder / "demand", ABSENT)
        assert begun.wait(20)
        answer = ready(client)
        was_loading = not ended.is_set()
        may_end.set()
    assert was_loading
    assert answer["releases"]["demand"] == predictor.bundle.release_id
