"""The training job in real Spark: the same on one worker and on two, and nothing half done."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from datetime import date
from pathlib import Path

import numpy as np
import psutil
import pytest
from small_world import freeze, predict

import shelfcast
from shelfcast.model import declaration as declarations
from shelfcast.model.candidate import FOLD_FORECASTS, FOLDS, RELEASED, REPORT, TRIALS, Candidate
from shelfcast.model.declaration import read
from shelfcast.model.matrix import Sample
from shelfcast.training.backtest.rows import collect, fit
from shelfcast.training.fit_cache import FOLDER
from shelfcast.training.folds import SEARCH_FOLDS
from shelfcast.training.frame import columns_of, countable
from shelfcast.training.progress import silent
from shelfcast_local.services.java import java_home
from shelfcast_provider.spark.spark_submit import LAPTOP

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
JOB = Path(shelfcast.__file__).parent / "training" / "training_job.py"
LIMIT_SECONDS = 240
CODE = "abc123+"
PARTS = {*RELEASED, FOLD_FORECASTS, FOLDS}
PICTURES = ("calibration", "error_by_horizon", "forecast_against_actual", "importance", "shap_summary")
READ_BY_PEOPLE = {"model_card.md", "model_card.html", "shap_summary.csv", *(f"plots/{name}.png" for name in PICTURES)}
ALL = PARTS | {f"{REPORT}/{name}" for name in READ_BY_PEOPLE}


@pytest.fixture(scope="module")
def frozen(frame, tmp_path_factory):
    folder = tmp_path_factory.mktemp("frame")
    freeze(
        frame, folder, model="demand", cutoff=date(2024, 6, 30), folds=1, horizon_days=28, reason="x", is_forced=False
    )
    return folder


def submitted(frozen, out, *options, workers=1, master=None):
    """The job as the Spark operator runs it on a laptop, with a slot of one thread for each worker unless told."""
    conf = [part for name, value in LAPTOP.items() for part in ("--conf", f"{name}={value}")]
    scripts = Path(sys.executable).parent
    job = [JOB, "--frame", frozen, "--out", out, "--code-version", CODE, "--workers", str(workers), *options]
    command = [scripts / "spark-submit", "--master", master or f"local[{workers}]", *conf, *job]
    environment = {
        **os.environ,
        "JAVA_HOME": str(java_home()),
        "PATH": f"{scripts}:{os.environ['PATH']}",
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def learned(out, frame):
    """What the model of all rows makes of the rows that it was fitted to."""
    declared = declarations.load("demand")
    seen = Sample.of(columns_of(frame[countable(frame)]), declared)
    return predict((out / "model.txt").read_text(), seen.rows, seen.expected, declared)


def fitted_by_a_backtest(frame):
    """The same frame by the other user of the recipe."""
    declared = declarations.load("demand").model_copy(update={"folds": 1})
    return fit(collect([frame], declared), declared, seed=7, num_threads=2, progress=silent)


def texts_of(model):
    return model.mean_text, model.difficulty_text, model.calibration.to_json()


@pytest.fixture(scope="module")
def alone(frozen, tmp_path_factory):
    """The candidate of one worker, the addresses that the job listened on, and what it said."""
    out = tmp_path_factory.mktemp("alone") / "candidate"
    job = submitted(frozen, out)
    return out, watched(job), job.stdout.read()


@pytest.fixture(scope="module")
def pair(frozen, tmp_path_factory):
    """The candidate of two workers on one machine, and the addresses that the job listened on."""
    out = tmp_path_factory.mktemp("pair") / "candidate"
    return out, watched(submitted(frozen, out, workers=2))


def test_one_machine_trains_without_listening(alone, pair):
    assert alone[1] <= {"127.0.0.1", "::ffff:127.0.0.1"}
    assert "0.0.0.0" in pair[1], "the watch would not see it"


def test_one_worker_finds_the_model_of_a_backtest_and_two_find_the_same(alone, pair, frame):
    (one, *_), (two, _) = alone, pair
    assert files(one) == ALL
    assert f"code {CODE}" in (one / REPORT / "model_card.md").read_text()
    assert texts_of(Candidate.read(one).model) == texts_of(fitted_by_a_backtest(frame))
    # where two splits part the rows alike either may be taken, which only rows that were not seen can tell apart
    np.testing.assert_allclose(learned(two, frame), learned(one, frame), rtol=1e-6)


@pytest.mark.parametrize("victim", ["executor", "Python worker"])
def test_a_lost_worker_is_made_good_by_spark(frozen, pair, tmp_path, victim):
    job = submitted(frozen, tmp_path / "mended", workers=2, master="local-cluster[2,1,1024]")
    worker = wait_for_a_worker_at_work(job)
    killed = worker if victim == "Python worker" else next(p for p in worker.parents() if p.name() == "java")
    killed.kill()
    said, _ = job.communicate(timeout=LIMIT_SECONDS)
    assert job.returncode == 0, said[-3000:]
    assert files(tmp_path / "mended") == ALL
    assert (tmp_path / "mended" / "model.txt").read_bytes() == (pair[0] / "model.txt").read_bytes()


def test_a_killed_driver_leaves_no_candidate_and_nobody_at_work(frozen, tmp_path):
    job = submitted(frozen, tmp_path / "none", workers=2, master="local-cluster[2,1,1024]")
    wait_for_a_worker_at_work(job)
    _, *family = family_of(job)
    job.kill()
    _, alive = psutil.wait_procs(family, timeout=LIMIT_SECONDS)
    assert alive == []
    assert not (tmp_path / "none" / "training.json").exists()


def test_a_job_that_is_run_again_goes_on_behind_its_finished_fits(frozen, alone, tmp_path):
    folder, (undisturbed, _, said_then) = tmp_path / "frame", alone
    shutil.copytree(frozen, folder)
    job = submitted(folder, tmp_path / "none")
    assert any(line == "model\n" for line in job.stdout), "it did not come to the end of its fold"
    job.kill()
    job.wait()
    assert [path.suffix for path in (folder / FOLDER).iterdir()] == [".txt"]
    again = submitted(folder, tmp_path / "again")
    said, _ = again.communicate(timeout=LIMIT_SECONDS)
    assert again.returncode == 0, said[-3000:]
    assert said.count("found, fitted by an earlier try") == 1
    assert "fitted by an earlier try" not in said_then
    assert not (folder / FOLDER).exists()
    for name in ALL:
        assert (tmp_path / "again" / name).read_bytes() == (undisturbed / name).read_bytes(), name


def test_a_search_that_is_run_again_takes_up_its_finished_trials(frame, tmp_path):
    about = {"model": "demand", "cutoff": date(2024, 6, 30), "folds": 1, "horizon_days": 28, "reason": "x"}
    freeze(frame, tmp_path / "frame", **about, is_forced=False, trials=2)
    job = submitted(tmp_path / "frame", tmp_path / "none")
    assert any("trial 0: loss" in line for line in job.stdout), "it did not come to the end of its first trial"
    job.kill()
    job.wait()
    again = submitted(tmp_path / "frame", tmp_path / "again")
    said, _ = again.communicate(timeout=LIMIT_SECONDS)
    assert again.returncode == 0, said[-3000:]
    assert said.count("found, fitted by an earlier try") >= SEARCH_FOLDS
    trials = json.loads((tmp_path / "again" / TRIALS).read_text())
    best = min((trial for trial in trials if not trial["is_pruned"]), key=lambda trial: trial["losses"][-1])
    found = read(tmp_path / "again" / "declaration.yaml", name="demand").fit.model_dump()
    assert {name: found[name] for name in best["parameters"]} == best["parameters"]
    assert f"[num_leaves: {found['num_leaves']}]" in (tmp_path / "again" / "model.txt").read_text()


def test_a_frame_and_a_candidate_on_s3_are_the_same_as_on_a_disk(frozen, bucket, alone):
    for name in ("frame.parquet", "frame.json"):
        bucket.upload_file(str(frozen / name), f"run/{name}")
    place = f"s3://{bucket.name}/run"
    job = submitted(place, f"{place}/candidate", "--releases", f"s3://{bucket.name}/none")
    said, _ = job.communicate(timeout=LIMIT_SECONDS)
    assert job.returncode == 0, said[-3000:]
    kept = {item.key for item in bucket.objects.all() if not item.key.endswith("/")}
    assert kept == {"run/frame.parquet", "run/frame.json", *(f"run/candidate/{name}" for name in ALL)}
    on_s3 = bucket.Object("run/candidate/model.txt").get()["Body"].read()
    assert on_s3 == (alone[0] / "model.txt").read_bytes()


def wait_for_a_worker_at_work(job):
    """A Python worker, which the daemon of an executor forks for a task, that has computed for a moment."""
    while job.poll() is None:
        for process in family_of(job):
            with suppress(psutil.NoSuchProcess):  # or a zombie
                if is_of_daemon(process) and is_of_daemon(process.parent()) and process.cpu_times().user > 0.5:
                    return process
        time.sleep(0.02)
    raise AssertionError(f"no worker came to work: {job.stdout.read()[-3000:]}")


def is_of_daemon(process):
    return "pyspark.daemon" in " ".join(process.cmdline())


def watched(job):
    """Waits for a job and returns the addresses that it and its children have listened on."""
    found = set()
    while job.poll() is None:
        for process in family_of(job):
            with suppress(psutil.NoSuchProcess):  # or a zombie
                found |= {at.laddr.ip for at in process.net_connections("tcp") if at.status == psutil.CONN_LISTEN}
        time.sleep(0.05)
    assert job.returncode == 0, job.stdout.read()[-3000:]
    return found


def test_a_job_waits_for_one_that_a_killed_task_left_in_the_folder(frozen, tmp_path):
    out, path = tmp_path / "second", frozen / "training.lock"
    with path.open("w") as left_behind:
        fcntl.flock(left_behind, fcntl.LOCK_EX)
        job = submitted(frozen, out)
        while job.poll() is None and not has_open(job, path):
            time.sleep(0.05)
        assert job.poll() is None, "it trained beside the other one"
        assert not out.exists()
    said, _ = job.communicate(timeout=LIMIT_SECONDS)
    assert job.returncode == 0, said[-3000:]
    assert files(out) == ALL


def has_open(job, path):
    """Whether a job or one of its children holds a file open."""
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        return any(str(path) == file.path for process in family_of(job) for file in process.open_files())
    return False


def family_of(job):
    """A job's process and its children."""
    with suppress(psutil.NoSuchProcess):
        return [psutil.Process(job.pid), *psutil.Process(job.pid).children(recursive=True)]
    return []


def test_too_few_slots_end_it_with_advice(frozen, tmp_path):
    """Those of a cluster are counted in `test_worker_layout`."""
    job = submitted(frozen, tmp_path / "none", workers=3, master="local[2]")
    said, _ = job.communicate(timeout=LIMIT_SECONDS)
    assert job.returncode != 0
    assert "Training needs 3 slots at once, the cluster has 2" in said
    assert not (tmp_path / "none").exists()


def test_an_edited_frame_is_not_trained_on(frozen, tmp_path):
    edited = tmp_path / "edited"
    edited.mkdir()
    for path in frozen.iterdir():
        (edited / path.name).write_bytes(path.read_bytes() + b" " * (path.suffix == ".parquet"))
    job = submitted(edited, tmp_path / "none")
    said, _ = job.communicate(timeout=LIMIT_SECONDS)
    assert job.returncode != 0
    assert "digest" in said
    assert not (tmp_path / "none").exists()
