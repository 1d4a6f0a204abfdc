"""How many workers fit a model: as many as have to run at the same time, which Spark has room for or has not.

A `context` is the SparkContext of the application.
"""

import time
from dataclasses import dataclass
from typing import Any

from shelfcast.errors import TrainingError

EXECUTORS_SECONDS = 45
"""How long the executors may take to come."""


@dataclass(frozen=True, kw_only=True)
class WorkerLayout:
    """How a model is fitted.

    Attributes:
        workers: Barrier tasks that run at the same time and exchange histograms, 1 or more.
        num_threads: Threads of each.
    """

    workers: int
    num_threads: int


def layout_of(context: Any, workers: int | None) -> WorkerLayout:
    """One worker with all threads where all slots are of one machine, otherwise one for each slot, with its task's cores.

    LightGBM's workers listen on every address of their machine, for whoever calls first. One machine needs no network.

    Raises:
        TrainingError: There are fewer slots than are wanted, also after a while.
    """
    is_one_machine = str(context.master).startswith("local[")
    wanted = workers or (1 if is_one_machine else _slots_asked_for(context))
    slots = slots_of(context)
    deadline = time.monotonic() + (0 if is_one_machine else EXECUTORS_SECONDS)
    while slots < wanted and time.monotonic() < deadline:
        time.sleep(1)
        slots = slots_of(context)
    if slots < wanted:
        raise TrainingError(
            f"Training needs {wanted} slots at once, the cluster has {slots}. Give the application more cores, or ask for "
            "fewer --workers."
        )
    return WorkerLayout(
        workers=wanted, num_threads=max(1, slots // wanted) if is_one_machine else _cores_of_task(context)
    )


def slots_of(context: Any) -> int:
    """Tasks that can run at once on the executors that are there now.

    By the count that Spark's own check of barrier stages uses; `defaultParallelism` says 2 where no executor is there yet.
    """
    spark = context._jsc.sc()
    return int(spark.maxNumConcurrentTasks(spark.resourceProfileManager().defaultResourceProfile()))


def _slots_asked_for(context: Any) -> int:
    """Slots that the application's settings ask for; those of the executors that are there if they do not say."""
    conf = context.getConf()
    executors, cores = conf.get("spark.executor.instances"), conf.get("spark.cores.max")
    if executors:
        return int(executors) * (int(conf.get("spark.executor.cores") or 1) // _cores_of_task(context))
    return int(cores) // _cores_of_task(context) if cores else max(1, slots_of(context))


def _cores_of_task(context: Any) -> int:
    return int(context.getConf().get("spark.task.cpus") or 1)
