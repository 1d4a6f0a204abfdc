"""What goes to Weights & Biases and what does not, with W&B's own library and a server of its protocol."""

import json
import os
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path

import psutil
import pytest
from airflow.sdk.exceptions import AirflowFailException
from structlog.testing import capture_logs
from wandb_server import WandbServer

from shelfcast.errors import ConfigurationError
from shelfcast.training.evaluation import by_fold
from shelfcast_provider.registry import wandb_hook
from shelfcast_provider.registry.register_candidate_operator import RegisterCandidateOperator
from shelfcast_provider.registry.wandb_candidate import describe
from shelfcast_provider.registry.wandb_hook import WandbHook

KEY = "0123456789abcdef0123456789abcdef01234567"
PICTURES = ("calibration", "error_by_horizon", "forecast_against_actual", "importance", "shap_summary")
MODEL_FILES = ("model.txt", "spread.txt", "calibration.json", "declaration.yaml")


def connect(patch, url, **changes):
    """Makes the connection `wandb` and returns its hook."""
    extra = {"entity": "a-team", "project": "forecasts", **changes.pop("extra", {})}
    connection = {"conn_type": "shelfcast_wandb", "host": url, "password": KEY, "extra": extra, **changes}
    patch.setenv("AIRFLOW_CONN_WANDB", json.dumps(connection))
    return WandbHook


@pytest.fixture(scope="module")
def server():
    with WandbServer() as serving:
        yield serving


@pytest.fixture(scope="module")
def logged(hook, server, trained, context):
    """The id of the MLflow run of a candidate that was registered and then logged again as by a retry; what was told."""
    with pytest.MonkeyPatch.context() as patch, capture_logs() as told:
        wandb = connect(patch, server.url)
        operator = RegisterCandidateOperator(task_id="register", model="demand", folder=str(trained))
        run_id = operator.execute(context)["mlflow_run_id"]
        assert wandb().write_run(describe(run_id, "manual__it's", "demand", trained / "candidate"), trained)
    return run_id, str(told)


def test_a_candidate_is_one_run_with_its_parameters_and_metrics(server, logged, trained, candidate):
    run_id, _ = logged
    assert list(server.runs) == [run_id]
    config = {name: each["value"] for name, each in json.loads(server.runs[run_id]["config"]).items()}
    about = json.loads((trained / "candidate" / "training.json").read_text())
    assert config["frame_digest"] == about["frame_digest"]
    assert config["mlflow_run_id"] == run_id
    assert (config["model"], config["seed"], config["reason"]) == ("demand", 7, "a test")
    assert config["learning_rate"] > 0
    overall = json.loads((trained / "candidate" / "metrics.json").read_text())
    summary = json.loads(server.files["wandb-summary.json"])
    assert {name: summary[name] for name in ("wape", "bias", "coverage_90")}.items() <= overall.items()
    *folds, _ = rows = [json.loads(row) for row in server.history[run_id]]
    assert [row["_step"] for row in rows] == [0, 1, 2]
    for sent, fold in zip(folds, by_fold(candidate.rows), strict=True):
        wanted = fold["metrics"]
        assert {name: sent[f"fold/{name}"] for name in wanted} == pytest.approx(wanted)


def test_each_leads_to_the_other(hook, server, logged):
    run_id, told = logged
    url = f"{server.url}/a-team/forecasts/runs/{run_id}"
    assert hook.get_conn().get_run(run_id).data.tags["wandb_run_url"] == url
    assert url in told


def test_the_model_and_the_pictures_are_sent_and_no_row_of_the_frame(server, logged, trained):
    for name in MODEL_FILES:
        assert server.files[name] == (trained / "candidate" / name).read_bytes()
    pictures = {Path(name).stem.rsplit("_", 2)[0]: sent for name, sent in server.files.items() if "/plots/" in name}
    assert pictures == {
        name: (trained / "candidate" / "report" / "plots" / f"{name}.png").read_bytes() for name in PICTURES
    }
    others = {name for name in server.files if "/plots/" not in name} - set(MODEL_FILES)
    assert others == {"manifest.json", "wandb-summary.json", "config.yaml"}


def test_wandb_is_told_nothing_of_the_machine_and_of_no_error(server, logged):
    run = server.runs[logged[0]]
    assert not {"host", "repo", "commit"} & set(run)
    spoken = b"".join(body for path, _, body in server.received if not path.startswith("/put/media"))
    assert f'"{socket.gethostname()}"'.encode() not in spoken
    assert not [path for path, *_ in server.received if path.startswith("/sdk/otel")]


def test_the_key_goes_to_the_server_and_nowhere_else(server, logged, trained, context):
    assert all("Authorization" in headers for path, headers, _ in server.received if path == "/graphql")
    assert not [path for path, _, body in server.received if KEY.encode() in body]
    assert not [path for path in trained.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert KEY not in logged[1] + json.dumps(context["ti"].left) + json.dumps(dict(os.environ))


def test_the_task_has_loaded_nothing_of_wandb_and_leaves_no_process(logged, trained):
    assert "wandb" not in sys.modules
    assert not [name for name in os.environ if name.startswith("WANDB_")]
    assert not (trained / "wandb").exists()
    assert not services_below(trained)


def services_below(folder):
    """W&B's services that were started for a training run."""
    found = [process for process in psutil.process_iter(["name"]) if process.info["name"] == "wandb-core"]
    return [process for process in found if str(folder) in process.environ().get("WANDB_DATA_DIR", "")]


@pytest.fixture
def described(logged, trained):
    return describe(logged[0], "manual__it's", "demand", trained / "candidate")


def test_offline_the_run_is_on_disk_and_is_sent_by_the_command_in_the_log(described, tmp_path, monkeypatch):
    with WandbServer() as server, capture_logs() as told:
        hook = connect(monkeypatch, server.url, extra={"mode": "offline"}, password=None)()
        assert hook.write_run(described, tmp_path) is None
        assert not server.received
        (said,) = told
        assert said["log_level"] == "info"
        send(said["event"], tmp_path, monkeypatch)
        assert list(server.runs) == [described["id"]]
        assert [json.loads(row)["_step"] for row in server.history[described["id"]]] == [0, 1, 2]
        assert json.loads(server.files["wandb-summary.json"])["wape"] == described["summary"]["wape"]
        assert set(MODEL_FILES) < set(server.files)


def send(said, home, monkeypatch):
    """Runs the command that a line of the log ends in, as a person who has a key."""
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("PATH", f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}")
    subprocess.run(said.partition("Send it: ")[2], shell=True, check=True, timeout=200, capture_output=True)


@pytest.fixture
def unseen(described, monkeypatch):
    """A candidate without pictures, which is quicker, in the hand of someone who does not wait long."""
    monkeypatch.setattr(wandb_hook, "INIT_SECONDS", 1.0)
    monkeypatch.setattr(wandb_hook, "FINISH_SECONDS", 1.0)
    return {**described, "pictures": []}


def test_a_server_that_never_answers_costs_seconds_and_a_warning(unseen, tmp_path, monkeypatch):
    with WandbServer(silent_from="ServerFeaturesQuery") as server, capture_logs() as told:
        assert connect(monkeypatch, server.url)().write_run(unseen, tmp_path) is None
    assert [said["log_level"] for said in told] == ["warning", "warning"]
    failed, how_to_send = [said["event"] % said.get("positional_args", ()) for said in told]
    assert f"The candidate is in MLflow, but not in W&B at {server.url}: CommError" in failed
    (run,) = (tmp_path / "wandb").glob("offline-run-*")
    assert how_to_send.endswith(f"WANDB_BASE_URL={server.url} wandb sync {run}")
    assert KEY not in str(told)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert not services_below(tmp_path)


def test_a_key_that_is_refused_costs_seconds_and_a_warning(unseen, tmp_path, monkeypatch):
    with WandbServer(status=401) as server, capture_logs() as told:
        assert connect(monkeypatch, server.url)().write_run(unseen, tmp_path) is None
        assert server.received
    assert [said["log_level"] for said in told] == ["warning", "warning"]
    assert "returned error 401" in told[0]["event"]
    assert list((tmp_path / "wandb").glob("offline-run-*"))
    assert KEY not in str(told)
    assert not services_below(tmp_path)


def test_a_server_that_stops_answering_is_given_up(unseen, tmp_path, monkeypatch):
    with WandbServer(silent_from="CreateArtifact") as server:
        _, failure = connect(monkeypatch, server.url)().attempt("online", unseen, tmp_path)
    assert failure.startswith("TimeoutError")
    assert not services_below(tmp_path)


def test_a_process_that_does_not_end_is_ended(described, tmp_path, monkeypatch):
    monkeypatch.setattr(wandb_hook, "LONGEST_SECONDS", 0.1)
    with capture_logs() as told:
        assert connect(monkeypatch, "http://127.0.0.1:1")().write_run(described, tmp_path) is None
    assert "The W&B run is not on disk either: no end after" in str(told)


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"extra": {"mode": "shared"}}, "'shared'.*online, offline"),
        ({"host": "wandb.shop.example"}, "base URL"),
        ({"password": None}, "API key there, or the mode offline"),
        ({"extra": {"api_key": KEY}}, "not allowed: api_key"),
    ],
)
def test_a_wrong_connection_is_refused_before_any_work(changes, advice, monkeypatch, context):
    connect(monkeypatch, "https://wandb.shop.example", **changes)
    with pytest.raises(AirflowFailException, match=advice) as refused:
        RegisterCandidateOperator(task_id="register", model="demand", folder="/nowhere").execute(context)
    assert KEY not in str(refused.value)


def test_the_package_is_asked_for_only_if_there_is_a_connection(monkeypatch):
    installed = sysconfig.get_path("purelib")
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != installed])
    assert WandbHook.if_connected() is None
    with pytest.raises(ConfigurationError, match=r"pip install -e '\.\[wandb\]'"):
        connect(monkeypatch, "https://wandb.shop.example")()
