"""As many workers as Spark has room for at once, counted in real Spark."""

import sys

import pytest
from pyspark import SparkConf, SparkContext

from shelfcast.errors import TrainingError
from shelfcast.training import crew
from shelfcast.training.crew import Crew, crew_of
from shelfcast_local.java import java_home

pytestmark = pytest.mark.integration
LOOPBACK = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.ui.enabled": "false"}


def application(monkeypatch, master, **settings):
    for name, value in {
        "JAVA_HOME": str(java_home()),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    # a process has one JVM, which holds the settings of its first application for defaults
    conf = (
        SparkConf(loadDefaults=False)
        .setMaster(master)
        .setAppName("crew")
        .setAll([*LOOPBACK.items(), *settings.items()])
    )
    return SparkContext(conf=conf)


def test_one_machine_has_one_worker_with_all_threads_unless_told(monkeypatch):
    with application(monkeypatch, "local[2]") as context:
        assert crew_of(context, None) == Crew(workers=1, num_threads=2)
        assert crew_of(context, 2) == Crew(workers=2, num_threads=1)
        with pytest.raises(TrainingError, match="needs 3 slots at once, the cluster has 2"):
            crew_of(context, 3)


def test_a_cluster_has_a_worker_a_slot_that_was_asked_for_once_its_executors_have_come(monkeypatch):
    monkeypatch.setattr(crew, "EXECUTORS_SECONDS", 200)
    asked = {"spark.executor.instances": "2", "spark.executor.cores": "2", "spark.task.cpus": "2"}
    with application(monkeypatch, "local-cluster[2,2,1024]", **asked) as context:
        assert crew_of(context, None) == Crew(workers=2, num_threads=2)
        monkeypatch.setattr(crew, "EXECUTORS_SECONDS", 1)
        with pytest.raises(TrainingError, match="needs 3 slots at once, the cluster has 2"):
            crew_of(context, 3)


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

    assert crew._slots_asked_for(Context()) == slots
