"""As many workers as Spark has room for at once, counted in real Spark."""

import sys

import pytest
from pyspark import SparkConf, SparkContext

from shelfcast.errors import TrainingError
from shelfcast.training import worker_layout
from shelfcast.training.worker_layout import WorkerLayout, layout_of
from shelfcast_local.services.java import java_home

pytestmark = pytest.mark.integration
LOOPBACK = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.ui.enabled": "false"}


def application(monkeypatch, master, **settings):
    for name, value in {
        "JAVA_HOME": str(java_home()),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    # a process has one JVM, which holds the settings that it was started with for defaults of all applications after
    # it, those of other tests too: it is started with none
    SparkContext._ensure_initialized()
    conf = (
        SparkConf(loadDefaults=False)
        .setMaster(master)
        .setAppName("layout")
        .setAll([*LOOPBACK.items(), *settings.items()])
    )
    return SparkContext(conf=conf)


def test_one_machine_has_one_worker_with_all_threads_unless_told(monkeypatch):
    with application(monkeypatch, "local[2]") as context:
        assert layout_of(context, None) == WorkerLayout(workers=1, num_threads=2)
        assert layout_of(context, 2) == WorkerLayout(workers=2, num_threads=1)
        with pytest.raises(TrainingError, match="needs 3 slots at once, the cluster has 2"):
            layout_of(context, 3)


def test_a_cluster_has_a_worker_a_slot_that_was_asked_for_once_its_executors_have_come(monkeypatch):
    monkeypatch.setattr(worker_layout, "EXECUTORS_SECONDS", 200)
    asked = {"spark.executor.instances": "2", "spark.executor.cores": "2", "spark.task.cpus": "2"}
    with application(monkeypatch, "local-cluster[2,2,1024]", **asked) as context:
        assert layout_of(context, None) == WorkerLayout(workers=2, num_threads=2)
        monkeypatch.setattr(worker_layout, "EXECUTORS_SECONDS", 1)
        with pytest.raises(TrainingError, match="needs 3 slots at once, the cluster has 2"):
            layout_of(context, 3)


@pytest.mark.parametrize(
    ("asked", "slots"),
    [
        ({"spark.executor.instances": "3", "spark.executor.cores": "4"}, 12),
        ({"spark.executor.instances": "3", "spark.executor.cores": "4", "spark.task.cpus": "4"}, 3),
        ({"spark.cores.max": "6", "spark.task.cpus": "2"}, 3),
    ],
)
def test_the_settings_say_how_many_slots_are_asked_for(asked, slots):
    class Context:
        """What is asked of an application: its settings."""

        def getConf(self):  # noqa: N802
            return dict(asked)

    assert worker_layout._slots_asked_for(Context()) == slots
