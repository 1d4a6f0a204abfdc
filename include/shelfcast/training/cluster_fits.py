"""One model fitted by barrier tasks of Spark, and the finished fits of a job.

Spark schedules the workers together (one on one machine, one for each slot of a cluster), tells them each other's
addresses and tries the stage again when one is lost; LightGBM's own collectives reduce the histograms between them, so
that all hold the same trees.
"""

import json
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pyspark import BarrierTaskContext, SparkContext

from shelfcast import storage
from shelfcast.errors import TrainingError
from shelfcast.model.declaration import ModelDeclaration
from shelfcast.model.lightgbm_fit import parameters, train
from shelfcast.model.matrix import Sample, reference_step
from shelfcast.storage import Location
from shelfcast.training.fit_cache import FitCache, what_decides
from shelfcast.training.folds import Fold, fold_at
from shelfcast.training.frame import FRAME_FILES, FrozenFrame, verify
from shelfcast.training.worker_layout import WorkerLayout

COLLECTIVE_MINUTES = 5
"""How long a worker waits for the others before it gives up."""


@dataclass(frozen=True, kw_only=True)
class Fits:
    """The fits of one job, each kept until the candidate is written.

    Attributes:
        context: Of the application.
        frame: Folder of the frozen frame, readable by every worker.
        frame_digest: Of the frame.
        layout: How many tasks, and their threads.
        seed: Of every fit.
    """

    context: SparkContext
    frame: Location
    frame_digest: str
    layout: WorkerLayout
    seed: int

    def text_of(self, declaration: ModelDeclaration, fold: Fold | None) -> str:
        """The text of a fold's model, `None` for that of all rows; fitted unless an earlier try has."""
        decided_by = what_decides(
            declaration,
            frame_digest=self.frame_digest,
            seed=self.seed,
            workers=self.layout.workers,
            num_threads=self.layout.num_threads,
        )
        origin = str(fold.origin) if fold else None

        def fit() -> str:
            return train_on_cluster(self.context, self.frame, declaration, origin, layout=self.layout, seed=self.seed)

        return FitCache(self.frame, decided_by).get_or_fit(origin, fit)

    def clear(self) -> None:
        """Removes what was kept."""
        FitCache(self.frame, {}).clear()


def train_on_cluster(
    context: SparkContext,
    frame: Location,
    declaration: ModelDeclaration,
    origin: str | None,
    *,
    layout: WorkerLayout,
    seed: int,
) -> str:
    """Fits one model on barrier tasks; returns its text.

    Args:
        context: Of the application.
        frame: Folder of the frozen frame, readable by every worker.
        declaration: The model.
        origin: Of the fold; `None` for all rows.
        layout: How many tasks, and their threads.
        seed: Of the fit.
    """
    tasks = (
        context.parallelize(range(layout.workers), layout.workers)
        .barrier()
        .mapPartitions(_worker(str(frame), declaration, origin, layout, seed))
    )
    # the exchange behind the barrier makes its stage one that Spark can run again
    texts = [text for text in tasks.repartition(1).collect() if text]
    if len(texts) != 1:
        raise TrainingError(
            f"{len(texts)} workers answered a model, expected the first one only; nothing was registered."
        )
    return texts[0]


def _worker(
    uri: str, declaration: ModelDeclaration, origin: str | None, layout: WorkerLayout, seed: int
) -> Callable[[Iterable[int]], Iterator[str]]:
    """What each barrier task does; everything it needs travels by value."""

    def task(_: Iterable[int]) -> Iterator[str]:
        context = BarrierTaskContext.get()
        rank = context.partitionId()
        with storage.local_copy(storage.location(uri), FRAME_FILES) as folder:
            sample, reference = _share(folder, declaration, origin, rank=rank, workers=layout.workers)
        with socket.socket() as held:
            held.bind(("", 0))
            own = {"host": _host(context, rank), "port": held.getsockname()[1], "rows": len(sample.target)}
            peers = [own]
            if layout.workers > 1:
                peers = [json.loads(told) for told in context.allGather(json.dumps(own))]
        if min(peer["rows"] for peer in peers) == 0:
            raise TrainingError("A worker has no rows; the frame is too small for that many workers.")
        settings: dict[str, Any] = parameters(declaration, seed=seed, num_threads=layout.num_threads)
        if layout.workers > 1:
            settings |= {
                "tree_learner": "data",
                "pre_partition": True,
                "num_machines": layout.workers,
                "machines": ",".join(f"{peer['host']}:{peer['port']}" for peer in peers),
                "local_listen_port": own["port"],
                "time_out": COLLECTIVE_MINUTES,
            }
        text = train(sample, declaration, settings=settings, reference=reference)
        yield text if rank == 0 else ""

    return task


def _share(
    folder: Path, declaration: ModelDeclaration, origin: str | None, *, rank: int, workers: int
) -> tuple[Sample, Sample | None]:
    """A worker's rows, every `workers`-th one so that all shares look alike, and the rows that all cut their bins by.

    `None` for the latter where the worker has all rows.
    """
    frame = FrozenFrame(folder, verify(folder), declaration)
    chosen = frame.is_countable
    if origin is not None:
        chosen = chosen & fold_at(frame.deciding, declaration, frame.manifest, origin).train
    positions = np.flatnonzero(chosen)
    if workers == 1:
        [own] = frame.parts(positions)
        return own, None
    shared = positions[:: reference_step(len(positions))]
    own, reference = frame.parts(positions[rank::workers], shared)
    return own, reference


def _host(context: BarrierTaskContext, rank: int) -> str:
    name = context.getTaskInfos()[rank].address.split(":")[0]
    return socket.gethostbyname(name)
