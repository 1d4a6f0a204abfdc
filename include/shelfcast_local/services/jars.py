"""Spark's packages from Maven Central, resolved once into the state folder."""

import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from shelfcast.errors import ConfigurationError
from shelfcast_local.configuration import HOST, private_folder
from shelfcast_local.services.java import java_home

DELTA = ("io.delta:delta-spark_4.2_2.13:4.4.0",)
AWS_SDK = "2.57.8"
S3 = (
    "org.apache.hadoop:hadoop-aws:3.5.0",
    *(
        f"software.amazon.awssdk:{name}:{AWS_SDK}"
        for name in ("s3", "s3-transfer-manager", "sts", "kms", "apache-client")
    ),
)
"""For a landing area in a bucket."""
EXCLUDED = (
    "software.amazon.awssdk:bundle",
    "org.apache.hadoop:hadoop-client-api",
    "org.apache.hadoop:hadoop-client-runtime",
)
"""All of AWS in one file of hundreds of megabytes, and what PySpark brings itself."""
TIMEOUT_SECONDS = 900.0
_RESOLVE = "from pyspark.sql import SparkSession; SparkSession.builder.master('local[1]').getOrCreate().stop()"


def resolve(home: Path, packages: Sequence[str] = DELTA) -> list[Path]:
    """The jars of some packages and of what they need; downloaded the first time, by Spark's own resolution."""
    folder = home / "jars"
    marker = folder / "RESOLVED"
    if not marker.exists() or marker.read_text() != "\n".join(packages):
        _download(folder, packages)
        marker.write_text("\n".join(packages))
    return sorted((folder / "jars").glob("*.jar"))


def _download(folder: Path, packages: Sequence[str] = DELTA, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
    private_folder(folder)
    settings = {
        "spark.jars.packages": ",".join(packages),
        "spark.jars.excludes": ",".join(EXCLUDED),
        "spark.jars.ivy": str(folder),
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
    }
    script = folder / "resolve.py"
    script.write_text(_RESOLVE)
    options = [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
    submit = Path(sys.executable).parent / "spark-submit"
    environment = {
        "JAVA_HOME": str(java_home()),
        "PATH": f"{submit.parent}:/usr/bin:/bin",
        "HOME": str(Path.home()),
        "SPARK_LOCAL_IP": HOST,  # a machine's own name need not resolve
    }
    command = [str(submit), *options, str(script)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            _, said = process.communicate(timeout=timeout_seconds)
        except subprocess.TimeoutExpired:
            started = psutil.Process(process.pid)
            for each in [*started.children(recursive=True), started]:  # the launcher and the Java that it started
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            raise _failed(packages, f"were not there after {timeout_seconds:.0f} s") from None
    if process.returncode:
        raise _failed(packages, "could not be downloaded", said)


def _failed(packages: Sequence[str], what: str, said: str = "") -> ConfigurationError:
    return ConfigurationError(
        f"Spark's packages {', '.join(packages)} {what}; they come from Maven Central. "
        f"See that this machine reaches it, then run the command again.\n{said[-1500:]}".rstrip()
    )
