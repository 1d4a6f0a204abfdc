"""What the training job's fit costs beside LightGBM alone, in CPU seconds of all processes that take part.

CPU seconds, because the machine of a bench is rarely idle and wall time then measures its other work. The workers of a
fit wait for each other inside system calls, which cost no CPU: on a network that is slow, wall time says more.
"""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import psutil

from shelfcast.training import declaration as declarations
from shelfcast.training.declaration import ModelDeclaration
from shelfcast.training.fit import Sample, parameters, train
from shelfcast.training.frame import FRAME, columns_of, freeze
from shelfcast_local.java import java_home

ROWS = 300_000
REPEATS = 3
THREADS = 2
SEED = 7
FIRST_DAY = np.datetime64("2024-01-01")
LOOPBACK = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.log.level": "ERROR",
}


def cpu_seconds() -> dict[str, list[float]]:
    """CPU seconds of each fit: `native`, `one node` and `two executors`, all with two threads in total."""
    declaration = declarations.load("demand")
    os.environ |= {"JAVA_HOME": str(java_home()), "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    with TemporaryDirectory() as home:
        folder = Path(home)
        freeze(
            synthetic_frame(declaration),
            folder,
            model=declaration.name,
            cutoff=date(2026, 1, 1),
            folds=1,
            horizon_days=declaration.horizon,
            reason="bench",
            is_forced=False,
        )
        return {
            "native": _native(folder, declaration),
            "one node": _ours(folder, declaration, "local[2]", workers=1),
            "two executors": _ours(folder, declaration, "local-cluster[2,1,1024]", workers=2),
        }


def synthetic_frame(declaration: ModelDeclaration) -> pd.DataFrame:
    """`ROWS` rows with the columns of the demand frame; units that depend on some of them, and noise."""
    rng = np.random.default_rng(SEED)
    names = (*declaration.as_of_features, *declaration.ahead_covariates)
    frame = pd.DataFrame({name: rng.gamma(2.0, 2.0, ROWS).round(2) + 0.5 for name in names})
    days = np.arange(ROWS) % declaration.horizon + 1
    origin = FIRST_DAY + 7 * (np.arange(ROWS) // (ROWS // 100))
    promoted = (rng.random(ROWS) < 0.2).astype(float)
    mean = frame["units_mean_28"] * (1 + promoted) * frame["level_7"] ** 0.3
    return frame.assign(
        business_date=origin,
        sales_date=origin + days,
        horizon_days=days,
        on_promotion=promoted,
        units_sold=rng.poisson(mean).astype(float),
    )


def _native(folder: Path, declaration: ModelDeclaration) -> list[float]:
    """LightGBM alone with the same parameters, on rows that are ready in memory, bins included."""
    sample = Sample.of(columns_of(pd.read_parquet(folder / FRAME)), declaration)
    settings = parameters(declaration, seed=SEED, num_threads=THREADS)
    return _repeated(lambda: train(sample, declaration, settings=settings))


def _ours(folder: Path, declaration: ModelDeclaration, master: str, *, workers: int) -> list[float]:
    """The job's own fit in a running application: frame read and checked, rows assembled, bins cut, trees grown."""
    from pyspark import SparkConf, SparkContext

    from shelfcast.training.cluster_fits import train_on_cluster
    from shelfcast.training.crew import Crew

    crew = Crew(workers=workers, num_threads=THREADS // workers)
    conf = SparkConf().setMaster(master).setAppName("bench").setAll(list(LOOPBACK.items()))
    with SparkContext(conf=conf) as context:
        return _repeated(lambda: train_on_cluster(context, str(folder), declaration, None, crew=crew, seed=SEED))


def _repeated(fit: Callable[[], object]) -> list[float]:
    """CPU seconds of fits after a first one, which starts workers, loads libraries and has the JVM compile."""
    fit()
    times = []
    for _ in range(REPEATS):
        before = _cpu_of_family()
        fit()
        times.append(_cpu_of_family() - before)
    return times


def _cpu_of_family() -> float:
    """CPU seconds of this process and all below it: Spark's driver, its executors and their Python workers."""
    used, own = 0.0, psutil.Process()
    for process in [own, *own.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            used += times.user + times.system
    return used
