"""Airflow's home is set before anything imports airflow, so no test touches a user's own."""

import os
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]

_home = tempfile.mkdtemp(prefix="shelfcast-test-")
os.environ["AIRFLOW_HOME"] = _home
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(REPOSITORY / "dags")
os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(REPOSITORY / "plugins")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "True"
os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"sqlite:///{_home}/airflow.db"
os.environ["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] = "False"
os.environ["SHELFCAST_HOME"] = str(Path(_home) / "state")
# two tests run at a time on two cores: threads of a fit that wait for one another there cost five times its work
os.environ["OMP_NUM_THREADS"] = os.environ["SHELFCAST_NUM_THREADS"] = "1"
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

pytest_plugins = ["small_world", "s3_world"]
