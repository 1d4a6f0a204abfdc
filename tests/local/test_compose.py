"""What the compose file owes to the programs that its services run."""

from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((REPOSITORY / "docker-compose.yaml").read_text())["services"]
JOBS = {
    "airflow-scheduler": "SchedulerJob",
    "airflow-dag-processor": "DagProcessorJob",
    "airflow-triggerer": "TriggererJob",
}


def test_every_service_that_stays_says_whether_it_works() -> None:
    assert [
        name for name, service in SERVICES.items() if service.get("restart") != "no" and "healthcheck" not in service
    ] == []


@pytest.mark.parametrize("service", JOBS)
def test_a_component_is_healthy_while_its_own_job_lives(service: str) -> None:
    expected = ["CMD", "airflow", "jobs", "check", "--job-type", JOBS[service], "--local"]
    assert SERVICES[service]["healthcheck"]["test"] == expected


@pytest.mark.parametrize("service", JOBS)
def test_the_jobs_have_the_names_that_airflow_gives_them(service: str) -> None:
    from airflow.jobs.dag_processor_job_runner import DagProcessorJobRunner
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
    from airflow.jobs.triggerer_job_runner import TriggererJobRunner

    runners = (SchedulerJobRunner, DagProcessorJobRunner, TriggererJobRunner)
    assert JOBS[service] in {runner.job_type for runner in runners}


def test_the_api_server_may_append_to_its_passwords_and_nobody_else_has_them() -> None:
    """The login of Airflow opens the file with `a+`, also when it only reads."""
    assert [name for name, service in SERVICES.items() if service.get("secrets")] == ["airflow-api"]
    (secret,) = SERVICES["airflow-api"]["secrets"]
    assert f"--uid {secret['uid']} " in (REPOSITORY / "Dockerfile").read_text()
    assert secret["mode"] == 0o600
    told = SERVICES["airflow-api"]["environment"]["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]
    assert told == f"/run/secrets/{secret['source']}"


def test_logs_of_tasks_lie_where_the_api_server_finds_them() -> None:
    for name in ("airflow-api", *JOBS):
        assert SERVICES[name]["environment"]["AIRFLOW__LOGGING__BASE_LOG_FOLDER"] == "/var/lib/shelfcast/logs"
        assert "state:/var/lib/shelfcast" in SERVICES[name]["volumes"]


def test_the_forecaster_keeps_to_the_declared_age_of_features_unless_its_user_says_otherwise() -> None:
    assert SERVICES["forecaster"]["environment"]["SHELFCAST_STALE_AFTER_DAYS"] == "${SHELFCAST_STALE_AFTER_DAYS:-}"


def test_every_service_with_a_profile_has_the_platforms() -> None:
    """The laptop's keeps Spark small and on loopback, whatever cluster the connection names."""
    profiles = {service["environment"].get("SHELFCAST_PROFILE") for service in SERVICES.values()} - {None}
    assert profiles == {"platform"}
