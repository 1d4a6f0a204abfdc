"""Spark's packages from Maven Central, resolved once into the state folder."""

import subprocess
import sys
from pathlib import Path

from shelfcast.errors import ConfigurationError
from shelfcast_local.java import java_home

PACKAGES = ("io.delta:delta-spark_4.2_2.13:4.4.0",)
_RESOLVE = "from pyspark.sql import SparkSession; SparkSession.builder.master('local[1]').getOrCreate().stop()"


def resolve(home: Path) -> list[Path]:
    """The jars of `PACKAGES` and of what they need; downloaded the first time, by Spark's own resolution."""
    folder = home / "jars"
    marker = folder / "RESOLVED"
    if not marker.exists() or marker.read_text() != "\n".join(PACKAGES):
        _download(folder)
        marker.write_text("\n".join(PACKAGES))
    return sorted((folder / "jars").glob("*.jar"))


def _download(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
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
    done = subprocess.run(
        [str(submit), *options, str(script)],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        env={"JAVA_HOME": str(java_home()), "PATH": f"{submit.parent}:/usr/bin:/bin", "HOME": str(Path.home())},
    )
    if done.returncode:
        raise ConfigurationError(
            f"Spark's packages {', '.join(PACKAGES)} could not be downloaded from Maven Central. "
            f"See that this machine reaches it, then run the command again.\n{done.stderr[-1500:]}"
        )
