"""A frozen frame as an input of an MLflow run: what its manifest and the footer of its file say, and none of its rows."""

import json
from typing import TYPE_CHECKING

from shelfcast.storage import Location

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput
    from mlflow.types import Schema
    from pyarrow.parquet import FileMetaData

    from shelfcast_provider.registry.mlflow_hook import MLflowHook

FOLDER = "frame"
"""Of the run's artifacts: the manifest, and DVC's pointer to the file."""


def log_frame(hook: "MLflowHook", run_id: str, folder: Location) -> None:
    """Writes into the active MLflow run what the frozen frame in a folder is, and what it is found again by."""
    import mlflow

    from shelfcast.training.frame import MANIFEST, POINTER

    hook.get_conn().log_inputs(run_id, [frame_input(folder)])
    for name in (MANIFEST, POINTER):
        mlflow.log_text((folder / name).read_text(), f"{FOLDER}/{name}")


def frame_input(folder: Location) -> "DatasetInput":
    """Name, schema, size and digest of the frozen frame in a folder, and where it lies."""
    import pyarrow.parquet as pq
    from mlflow.data.dataset_source_registry import resolve_dataset_source
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    from shelfcast.training.frame import FRAME, read_manifest

    manifest, path = read_manifest(folder), folder / FRAME
    source = resolve_dataset_source(str(path))
    with path.open("rb") as file:
        schema = _schema(pq.read_metadata(file))
    dataset = Dataset(
        name=f"{manifest.model}_frame",
        digest=manifest.digest[:32],
        source_type=source._get_source_type(),
        source=source.to_json(),
        schema=json.dumps({"mlflow_colspec": schema.to_dict()}),
        profile=json.dumps({"num_rows": manifest.rows, "num_elements": manifest.rows * len(manifest.columns)}),
    )
    return DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, "training")])


def _schema(footer: "FileMetaData") -> "Schema":
    """The columns as MLflow names their types; one without a NULL is required."""
    import pyarrow as pa
    from mlflow.types import ColSpec, DataType, Schema

    types = {  # those that a frame is frozen with
        pa.bool_(): DataType.boolean,
        pa.int64(): DataType.long,
        pa.float64(): DataType.double,
        pa.date32(): DataType.datetime,
        pa.timestamp("us"): DataType.datetime,
    }
    return Schema(
        [
            ColSpec(types.get(field.type, DataType.string), field.name, required=not _nulls(footer, number))
            for number, field in enumerate(footer.schema.to_arrow_schema())
        ]
    )


def _nulls(footer: "FileMetaData", column: int) -> int:
    groups = (footer.row_group(number) for number in range(footer.num_row_groups))
    return sum(group.column(column).statistics.null_count for group in groups)
