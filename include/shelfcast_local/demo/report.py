"""What the demo shows at its end, and writes for programs."""

import json
import logging
import os
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

import httpx
from rich.console import Console
from rich.table import Table

from shelfcast.model.candidate import FOLDER, METRICS, WRITTEN_LAST
from shelfcast.storage import Location
from shelfcast_local.configuration import HOST
from shelfcast_local.demo.stages import measure
from shelfcast_local.services import airflow, cold_store, mlflow_server
from shelfcast_local.services.mail import USER as MAIL_USER
from shelfcast_local.stack import Stack

if TYPE_CHECKING:
    from shelfcast_provider.cold_store.cold_store_hook import ColdStoreHook

MODEL = "demand"
NO_RELEASE = 503


@dataclass(kw_only=True)
class Report:
    """The demo's results; the field names are those of `demo.json`.

    Attributes:
        stages: Rows in and rows out by stage.
        forecast_request: A request to the forecaster.
        forecast_answer: What it answered, planned as it is and with a promotion on the first day.
        decisions: The gate's newest decision about each model: model, outcome, reason.
        wape: Of the release that serves, or of the candidate while none does, over its held-out folds.
        strongest_simple_wape: Of the strongest simple method on the same rows.
        level: What one row of both is.
        wall_seconds: Of the whole demo.
        peak_memory_bytes: Largest proportional memory of all processes together.
        airflow, mlflow, forecaster, mail, shop, snowflake, redis: Address and credentials.
    """

    stages: dict[str, dict[str, int]]
    forecast_request: dict[str, Any]
    forecast_answer: dict[str, Any]
    decisions: list[dict[str, str]]
    wape: float
    strongest_simple_wape: float
    level: str
    airflow: dict[str, Any]
    mlflow: dict[str, Any]
    forecaster: dict[str, Any]
    mail: dict[str, Any]
    shop: dict[str, Any]
    snowflake: dict[str, Any]
    redis: dict[str, Any]
    wall_seconds: float = 0.0
    peak_memory_bytes: int = 0
    days_played: list[date] = field(default_factory=list)


def collect(stack: Stack, days_played: list[date]) -> Report:
    """Reads the results out of the running stores."""
    os.environ.update(stack.environment())
    logging.getLogger("snowflake").setLevel(logging.WARNING)
    from shelfcast.cold_store.feature_views import latest_business_date
    from shelfcast_provider.cold_store.cold_store_hook import ColdStoreHook

    with ColdStoreHook() as store:
        latest = latest_business_date(store)
        stages = measure(stack, store, latest)
        series_id = _best_seller(store, latest)
        decisions = store.fetch("registry/newest_gate_decisions").to_dict("records")
    request, answer = _ask(stack, series_id)
    measured = _measured(stack)
    return Report(
        stages=stages,
        forecast_request=request,
        forecast_answer=answer,
        decisions=[{str(name): str(value) for name, value in decision.items()} for decision in decisions],
        wape=measured["wape"],
        strongest_simple_wape=measured["strongest_simple_wape"],
        level=measured["level"],
        days_played=days_played,
        **_addresses(stack),
    )


def release_pointer(artifacts: Location) -> Location:
    """The file that names the release of `demand` which serves; not there before the first."""
    return artifacts / "releases" / MODEL / "current.json"


def show(console: Console, report: Report) -> None:
    """Prints the tables that end the demo."""
    table = Table("stage", "rows in", "rows out", title="What went through the loop", title_justify="left")
    for stage, rows in report.stages.items():
        table.add_row(stage, f"{rows['rows_in']:,}", f"{rows['rows_out']:,}")
    console.print(table)
    for decision in report.decisions:
        console.print(
            f"Gate, {decision['model']}: {decision['outcome']}, because {decision['reason']}.", highlight=False
        )
    _show_forecast(console, report)
    ratio = report.wape / report.strongest_simple_wape
    console.print(
        f"WAPE {report.wape:.1%} against {report.strongest_simple_wape:.1%} of the strongest simple method "
        f"({ratio:.2f}×), level {report.level}, held-out folds."
    )
    console.print(f"{report.wall_seconds / 60:.1f} minutes, {report.peak_memory_bytes / 2**30:.2f} GiB at the peak.")
    title = "Left running; shelfcast simulate writes the next day, make stop ends it"
    table = Table("what", "address", "user", "password", title=title, title_justify="left")
    for name in ("airflow", "mlflow", "forecaster", "mail"):
        service = getattr(report, name)
        secret = service.get("password") or service.get("token", "")
        table.add_row(name, service.get("page") or service["url"], service.get("user", ""), secret)
    console.print(table)


def _show_forecast(console: Console, report: Report) -> None:
    request = report.forecast_request
    console.print(
        f"curl -X POST {report.forecaster['url']}{request['path']} "
        f"-H 'Authorization: Bearer {report.forecaster['token']}' "
        f"-H 'Content-Type: application/json' -d '{json.dumps(request['json'])}'",
        soft_wrap=True,
        highlight=False,
    )
    table = Table("first day ahead", "mean", "5 %", "50 %", "95 %", title=report.forecast_answer["series_id"])
    for name in ("without_promotion", "with_promotion"):
        answer = report.forecast_answer[name]
        if "forecasts" not in answer:
            console.print(f"No forecast ({answer['reason_code']}): {answer['message']}", highlight=False)
            return
        day = answer["forecasts"][0]
        values = (day[column] for column in ("mean", "q05", "q50", "q95"))
        table.add_row(name.replace("_", " "), *(f"{value:.1f}" for value in values))
    console.print(table)


def _best_seller(store: "ColdStoreHook", latest: date | None) -> str:
    rows = store.fetch("hot_store/demand_vectors", {"business_date": latest})
    return str(rows.sort_values("units_mean_28", ascending=False)["series_id"].iloc[0])


def _ask(stack: Stack, series_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same question twice: the first day without a promotion and with one."""
    configuration = stack.configuration
    url, path = f"http://{HOST}:{configuration.ports['forecaster']}", "/v1/demand/forecast"
    headers = {"Authorization": f"Bearer {configuration.passwords['forecaster']}"}

    def ask(on_promotion: bool) -> tuple[dict[str, Any], dict[str, Any]]:
        day = {
            "horizon_day": 1,
            "on_promotion": on_promotion,
            "discount": 0.2 if on_promotion else 0.0,
            "is_open": True,
        }
        body = {"series_id": series_id, "horizon_days": 7, "overrides": [day]}
        answer = httpx.post(f"{url}{path}", json=body, headers=headers, timeout=30, trust_env=False)
        if answer.status_code != NO_RELEASE:  # while the gate holds, the refusal is the answer
            answer.raise_for_status()
        return body, answer.json()

    _, without = ask(on_promotion=False)
    body, promoted = ask(on_promotion=True)
    request = {"method": "POST", "path": path, "json": body}
    return request, {"series_id": series_id, "without_promotion": without, "with_promotion": promoted}


def _measured(stack: Stack) -> dict[str, Any]:
    """Fold metrics of the release that serves, or of the newest candidate while the gate holds."""
    artifacts = stack.artifacts
    pointer = release_pointer(artifacts)
    if pointer.exists():
        folder = artifacts / "releases" / MODEL / str(json.loads(pointer.read_text())["current"])
    else:
        made: list[Location] = list((artifacts / "training" / MODEL).glob(f"*/{FOLDER}/{WRITTEN_LAST}"))
        folder = max(made, key=lambda path: path.stat().st_mtime).parent
    return dict(json.loads((folder / METRICS).read_text()))


def _addresses(stack: Stack) -> dict[str, Any]:
    ports, passwords = stack.configuration.ports, stack.configuration.passwords
    stores = {
        "host": HOST,
        "database": "shop",
        "user": "shop",
        "port": ports["postgres"],
        "password": passwords["postgres"],
    }
    return {
        "airflow": {"url": airflow.url(stack.configuration), "user": airflow.USER, "password": passwords["airflow"]},
        "mlflow": {
            "url": mlflow_server.url(stack.configuration),
            "page": mlflow_server.page(stack.configuration),
            "user": mlflow_server.USER,
            "password": passwords["mlflow"],
        },
        "forecaster": {"url": f"http://{HOST}:{ports['forecaster']}", "token": passwords["forecaster"]},
        "mail": {"url": f"http://{HOST}:{ports['mail']}", "user": MAIL_USER, "password": passwords["mail"]},
        "shop": stores,
        "snowflake": cold_store.connection(stack.configuration)
        | {"ca_bundle": stack.environment()["REQUESTS_CA_BUNDLE"]},
        "redis": {"host": HOST, "port": ports["hot_store"], "password": passwords["hot_store"]},
    }
