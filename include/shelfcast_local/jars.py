"""Spark's packages from Maven Central, resolved once into the state folder."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from shelfcast.errors import ConfigurationError
from shelfcast_local.configuration import HOST, private_folder
from shelfcast_local.java import java_home

PACKAGES = ("io.delta:delta-spark_4.2_2.13:4.4.0",)
TIMEOUT_SECONDS = 900.0
_RESOLVE = "from pyspark.sql import SparkSession; SparkSession.builder.master('local[1]').getOrCreate().stop()"


def resolve(home: Path) -> list[Path]:
    """The jars of `PACKAGES` and of what they need; downloaded the first time, by Spark's own resolution."""
    folder = home / "jars"
    marker = folder / "RESOLVED"
    if not marker.exists() or marker.read_text() != "\n".join(PACKAGES):
        _download(folder)
        marker.write_text("\n".join(PACKAGES))
    return sorted((folder / "jars").glob("*.jar"))


def _download(folder: Path, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
    private_folder(folder)
    settings = {
        "spark.jars.packages": ",".join(PACKAGES),
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
            raise _failed(f"were not there after {timeout_seconds:.0f} s") from None
    if process.returncode:
        raise _failed("could not be downloaded", said)


def _failed(what: str, said: str = "") -> ConfigurationError:
    return ConfigurationError(
        f"Spark's packages {', '.join(PACKAGES)} {what}; they come from Maven Central. "
        f"See that this machine reaches it, then run the command again.\n{said[-1500:]}".rstrip()
    )
