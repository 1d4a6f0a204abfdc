"""Changes land in a bucket by the same job, files and batch as on a disk (see `test_change_capture`)."""

import base64
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from s3_world import BUCKET

import shelfcast
from shelfcast import storage
from shelfcast.ingestion.batch import Batch
from shelfcast.ingestion.change_file_writer import ChangeFileWriter
from shelfcast.ingestion.change_files import ChangeFolder
from shelfcast.ingestion.spark_job import landing_job
from shelfcast_local.services import jars
from shelfcast_local.services.java import java_home
from shelfcast_provider.spark.spark_submit import settings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
REPOSITORY = Path(__file__).resolve().parents[2]
MARK = "end"


@pytest.fixture(scope="module")
def spark_jars():
    """Delta's and S3's jars, downloaded once for all runs of the tests."""
    return jars.resolve(REPOSITORY / ".shelfcast" / "s3", (*jars.DELTA, *jars.S3))


def event(operation, number, region, *, position):
    row = {
        "store_id": f"s{number}",
        "region": region,
        "store_group": "city",
        "opened_on": "2019-04-14",
        "closed_on": None,
    }
    source = {"table": "stores", "lsn": position, "sequence": json.dumps([None, str(position)]), "ts_ms": position}
    return json.dumps({"op": operation, "before": None, "after": row, "source": source}).encode() + b"\n"


def mark():
    content = base64.b64encode(MARK.encode()).decode()
    return f'{{"op":"m","message":{{"content":"{content}"}}}}\n'.encode()


def drain(folder, lines):
    writer = ChangeFileWriter(folder, 1, from_position=7)
    writer.expect(MARK)
    confirmed = []
    writer.take(b"".join(lines) + mark(), len(lines) + 1, lambda: confirmed.append(len(folder.files(1))))
    assert confirmed == [writer.drain]


def land(root, spark_jars, *, after_drain):
    export = root / "exports" / f"b{after_drain}"
    job = landing_job(
        landing=str(root / "landing"),
        generation="1",
        after_drain=str(after_drain),
        batch_id=export.name,
        export=str(export),
    )
    conf = {**settings(), "spark.driver.memory": "1g", "spark.jars": ",".join(map(str, spark_jars))}
    options = [part for name, value in conf.items() for part in ("--conf", f"{name}={value}")]
    scripts = Path(sys.executable).parent
    entry_point = Path(shelfcast.__file__).parent / job.entry_point
    command = [scripts / "spark-submit", "--master", "local[2]", *options, entry_point, *job.arguments]
    environment = {**os.environ, "JAVA_HOME": str(java_home()), "PATH": f"{scripts}:{os.environ['PATH']}"}
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert storage.location(job.written_last).exists()
    with storage.local_copy(export) as copy:
        return replace(Batch.read(copy), checksum=0)  # Spark writes rows in any order


def test_two_drains_land_once_each_and_a_job_that_is_run_again_brings_the_same(bucket, spark_jars):
    root = storage.location(f"s3://{BUCKET}/shop")
    folder = ChangeFolder(root / "landing")
    folder.begin_generation()
    drain(folder, [event("r", number, "north", position=100) for number in range(5)])
    folder.mark_complete(1)
    first = land(root, spark_jars, after_drain=0)
    assert (first.first_drain, first.last_drain, first.rows, first.quarantined) == (1, 1, {"stores": 5}, {})
    drain(folder, [event("u", 3, "south", position=200), event("u", 4, None, position=210)])
    second = land(root, spark_jars, after_drain=1)
    assert (second.rows, second.quarantined, second.bad_keys) == ({"stores": 1}, {"stores": 1}, {"stores": 1})
    assert land(root, spark_jars, after_drain=1) == second
    assert not [item.key for item in bucket.objects.all() if item.key.endswith("landing.lock")], (
        "the lease was given up"
    )
