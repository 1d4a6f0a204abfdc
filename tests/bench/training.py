"""What the training job's fit costs beside LightGBM alone, in CPU seconds of all processes that take part.

CPU seconds, because the machine of a bench is rarely idle and wall time then measures its other work. The workers of a
fit wait for each other inside system calls, which cost no CPU: on a network that is slow, wall time says more.
"""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import psutil

from shelfcast.model import declaration as declarations
from shelfcast.model.declaration import ModelDeclaration
from shelfcast.model.lightgbm_fit import parameters, smallest_leaf, weight
from shelfcast.model.matrix import Sample
from shelfcast.training.frame import FRAME, columns_of, freeze
from shelfcast_local.services.java import java_home
from shelfcast_local.services.loopback import SPARK

ROWS = 1_000_000
"""A third of what a backtest learns from at most; of fewer rows what a fit costs once is a larger part."""
REPEATS = 3
WARM_UP = 1
THREADS = 2
SEED = 7
FIRST_DAY = np.datetime64("2024-01-01")


@dataclass(frozen=True, kw_only=True)
class Turns:
    """CPU seconds of fits that took turns.

    Attributes:
        ours: The training job's.
        native: LightGBM's alone.
    """

    ours: list[float]
    native: list[float]


def cpu_seconds() -> dict[str, Turns]:
    """CPU seconds of fits on `one node` and on `two executors`, all with two threads in total."""
    declaration = declarations.load("demand")
    os.environ |= {"JAVA_HOME": str(java_home()), "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    with TemporaryDirectory() as home:
        folder, unloaded = Path(home), Path(home) / "unloaded"
        unloaded.mkdir()
        synthetic_frame(declaration).to_parquet(unloaded / "rows.parquet", index=False)
        freeze(
            unloaded,
            folder,
            model=declaration.name,
            cutoff=date(2026, 1, 1),
            folds=1,
            horizon_days=declaration.horizon,
            reason="bench",
            is_forced=False,
        )
        return {
            "one node": _beside_native(folder, declaration, "local[2]", workers=1),
            "two executors": _beside_native(folder, declaration, "local-cluster[2,1,1024]", workers=2),
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


def _beside_native(folder: Path, declaration: ModelDeclaration, master: str, *, workers: int) -> Turns:
    """Fits of the job in a running application, and of LightGBM alone between them: a machine's mood passes over both.

    Native is LightGBM with the same parameters on rows that are ready in memory, bins included. The job reads and checks
    the frame, assembles its rows, makes gaps in them, cuts bins and grows the trees. The first fit, in which workers
    start, libraries are loaded and the JVM compiles, is left out.
    """
    from pyspark import SparkConf, SparkContext

    from shelfcast.training.cluster_fits import train_on_cluster
    from shelfcast.training.worker_layout import WorkerLayout

    sample = Sample.of(columns_of(pd.read_parquet(folder / FRAME)), declaration)
    settings = {**parameters(declaration, seed=SEED, num_threads=THREADS), **smallest_leaf(sample, declaration)}
    layout = WorkerLayout(workers=workers, num_threads=THREADS // workers)
    conf = SparkConf().setMaster(master).setAppName("bench").setAll(list(SPARK.items()))
    turns = Turns(ours=[], native=[])
    with SparkContext(conf=conf) as context:
        for _ in range(WARM_UP + REPEATS):
            turns.native.append(_cpu_of(lambda: _native(sample, settings, declaration)))
            turns.ours.append(
                _cpu_of(lambda: train_on_cluster(context, folder, declaration, None, layout=layout, seed=SEED))
            )
    return Turns(ours=turns.ours[WARM_UP:], native=turns.native[WARM_UP:])


def _native(sample: Sample, settings: dict[str, Any], declaration: ModelDeclaration) -> None:
    import lightgbm

    weights, offset = weight(sample, declaration), np.log(sample.expected)
    data = lightgbm.Dataset(sample.rows, sample.target, weight=weights, init_score=offset)
    lightgbm.train(settings, data, num_boost_round=declaration.fit.num_boost_round)


def _cpu_of(fit: Callable[[], object]) -> float:
    before = _cpu_of_family()
    fit()
    return _cpu_of_family() - before


def _cpu_of_family() -> float:
    """CPU seconds of this process and all below it: Spark's driver, its executors and their Python workers."""
    used, own = 0.0, psutil.Process()
    for process in [own, *own.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            used += times.user + times.system
    return used
