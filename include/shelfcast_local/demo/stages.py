"""What each stage took in and gave out, measured where the stage leaves it."""

import gzip
import json
from datetime import date
from typing import TYPE_CHECKING

from shelfcast.ingestion.change_files import ChangeFolder
from shelfcast.model import declaration
from shelfcast.model.candidate import FOLDER, WRITTEN_LAST
from shelfcast.storage import Location
from shelfcast_local.services import postgres
from shelfcast_local.stack import Stack

if TYPE_CHECKING:
    from shelfcast.cold_store.cold_store import ColdStore
    from shelfcast_provider.hot_store.hot_store_hook import HotStoreHook
    from shelfcast_provider.registry.mlflow_hook import MLflowHook

Counts = dict[str, int]
MADE_BY_LATER_STAGES = ("serving/create_ledger", "monitoring/create_scores", "registry/create_decisions")
"""Tables that are not there while their stage has not run."""


def measure(stack: Stack, store: "ColdStore", latest: date | None) -> dict[str, Counts]:
    """`rows_in` and `rows_out` by stage, in flow order.

    Args:
        stack: The running stand-ins; their connections are in this process' environment.
        store: The cold store.
        latest: The newest business date; `None` before the first.
    """
    from shelfcast_provider.hot_store.hot_store_hook import HotStoreHook
    from shelfcast_provider.registry.mlflow_hook import MLflowHook

    kept = cold_store_stages(store)
    made = file_stages(stack.artifacts)
    return {
        "sources": counts(rows_in_shop(stack), captured_changes(stack.landing)),
        "ingestion": kept["ingestion"],
        "cold_store": kept["cold_store"],
        "hot_store": hot_store_stage(store, HotStoreHook(), latest),
        "training": made["training"],
        "registry": registry_stage(MLflowHook()),
        "deployment": made["deployment"],
        "serving": kept["serving"],
        "monitoring": kept["monitoring"],
        "retraining": kept["retraining"],
    }


def counts(rows_in: int, rows_out: int) -> Counts:
    """The two numbers of a stage by name."""
    return {"rows_in": rows_in, "rows_out": rows_out}


def rows_in_shop(stack: Stack) -> int:
    """Rows of all tables in the shop's own database."""
    from shelfcast_local.playback.ddl import playback_statement

    with postgres.connect(stack.configuration, "shop") as connection:
        return sum(int(row[1]) for row in connection.execute(playback_statement("count_rows")))


def captured_changes(landing: Location) -> int:
    """Changes that were read from the change log into files, one a line; those of a cut-off snapshot do not count."""
    folder = ChangeFolder(landing)
    complete = [folder.generation_folder(number) for number in folder.generations() if folder.is_complete(number)]
    return sum(_lines(path) for generation in complete for path in generation.glob("*.jsonl.gz"))


def cold_store_stages(store: "ColdStore") -> dict[str, Counts]:
    """The stages that leave rows in the cold store."""
    for name in MADE_BY_LATER_STAGES:
        store.run(name)
    found = store.fetch("cold_store/stage_counts").set_index("stage").fillna(0).astype(int)
    return {str(stage): counts(int(row["rows_in"]), int(row["rows_out"])) for stage, row in found.iterrows()}


def hot_store_stage(store: "ColdStore", hot_store: "HotStoreHook", latest: date | None) -> Counts:
    """Vectors that are owed for the newest date, and those that the generations which are read have."""
    owed = store.fetch("hot_store/count_owed", {"business_date": latest})
    return counts(int(owed["vectors"].iloc[0]), sum(hot_store.current(model).count for model in declaration.names()))


def registry_stage(registry: "MLflowHook") -> Counts:
    """Versions that were registered as candidates, and champions."""
    from shelfcast_provider.registry.mlflow_hook import CHAMPION

    models, client = declaration.names(), registry.get_conn()
    candidates = [len(client.search_model_versions(f"name = '{model}'")) for model in models]
    return counts(sum(candidates), sum(registry.version(model, CHAMPION) is not None for model in models))


def file_stages(artifacts: Location) -> dict[str, Counts]:
    """The stages that leave files: frames become candidates, candidates become bundles."""
    frames = [json.loads(path.read_text())["rows"] for path in (artifacts / "training").glob("*/*/frame.json")]
    candidates = len(list((artifacts / "training").glob(f"*/*/{FOLDER}/{WRITTEN_LAST}")))
    bundles = len(list((artifacts / "releases").glob("*/*/manifest.json")))
    return {"training": counts(sum(frames), candidates), "deployment": counts(candidates, bundles)}


def _lines(path: Location) -> int:
    with path.open("rb") as file, gzip.open(file) as lines:
        return sum(1 for _ in lines)
