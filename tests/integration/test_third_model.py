"""A third model is one YAML file and its SQL: frozen, trained, judged, released and asked without a line of Python."""

import shutil
from datetime import date

import numpy as np
import pandas as pd
import pytest
from small_world import FitsHere
from starlette.testclient import TestClient

from shelfcast.cold_store import feature_views, load_batch, statements
from shelfcast.deployment import pointer
from shelfcast.deployment.build_bundle import build
from shelfcast.hot_store.partition import read_pieces
from shelfcast.hot_store.vector import Vector
from shelfcast.model import declaration as declarations
from shelfcast.model.candidate import FOLDER, Candidate
from shelfcast.serving.app import create_app
from shelfcast.serving.releases import Releases
from shelfcast.training import training_job
from shelfcast.training.frame import FrozenFrame, verify
from shelfcast_local.year.stand_ins import Registry, Store, TaskInstance
from shelfcast_provider.registry.gate_operator import GateOperator
from shelfcast_provider.training.freeze_frame_operator import FreezeFrameOperator

pytestmark = pytest.mark.integration
TODAY = date(2025, 6, 30)
DECLARATION = """
# Units of a customer's next visit.
name: visit_units
kind: regression
entity: customer_id
target: units
level: visit
features_table: FEATURES.VISITS
frame_statement: training/visit_units_frame
as_of_features: [units_before, visits_before, days_since_visit]
features:
  - visits_before
  - units_a_visit: {ratio: [units_before, visits_before]}
  - days_since_visit: {at_most: 60}
usual: [units_before, visits_before]
folds: 3
fit: {objective: regression, learning_rate: 0.1, num_leaves: 15, min_data_in_leaf: 50, num_boost_round: 60}
quantiles: [0.05, 0.25, 0.5, 0.75, 0.95]
gate: {loss: squared, minimum_effect: 0.005, segment_margin: 0.05, bias_limit: 0.05, coverage_range: [0.85, 0.95], alpha: 0.05}
"""
FRAME = """
-- One row a visit that is known at the cutoff.
SELECT customer_id, visited_at AS ordered_at, units, units_before, visits_before, days_since_visit
FROM FEATURES.VISITS
WHERE visited_at <= :known_until AND visited_at::DATE <= :cutoff
ORDER BY visited_at, customer_id
"""
VECTORS = """
-- What was known of each customer.
SELECT customer_id::VARCHAR AS customer_id, units_before, visits_before, days_since_visit
FROM FEATURES.VISITS
WHERE visited_at::DATE <= :business_date
QUALIFY ROW_NUMBER() OVER (PARTITION BY customer_id ORDER BY visited_at DESC) = 1
ORDER BY customer_id
"""


@pytest.fixture
def declared(tmp_path, monkeypatch):
    """The YAML file and the SQL, beside what is shipped."""
    models, sql = tmp_path / "models", tmp_path / "sql"
    shutil.copytree(declarations.MODELS_FOLDER, models)
    shutil.copytree(statements.SQL_FOLDER, sql)
    (models / "visit_units.yaml").write_text(DECLARATION)
    (sql / "training" / "visit_units_frame.sql").write_text(FRAME)
    (sql / "hot_store" / "visit_units_vectors.sql").write_text(VECTORS)
    monkeypatch.setattr(declarations, "MODELS_FOLDER", models)
    monkeypatch.setattr(statements, "SQL_FOLDER", sql)
    statements._templates.cache_clear()
    yield declarations.load("visit_units")
    statements._templates.cache_clear()
    declarations.load.cache_clear()


def visits(count=4000):
    """Whoever comes back after long buys more, which no mean of the customer knows."""
    rng = np.random.default_rng(3)
    before, usual = rng.integers(1, 30, count), rng.uniform(3, 12, count)
    away = rng.exponential(20, count)
    return pd.DataFrame(
        {
            "customer_id": rng.integers(0, 300, count),
            "visited_at": pd.Timestamp("2024-07-01")
            + pd.to_timedelta(np.sort(rng.integers(0, 360 * 86400, count)), "s"),
            "units_before": (before * usual).round(),
            "visits_before": before,
            "days_since_visit": away,
            "units": rng.poisson(usual * (1 + np.minimum(away, 60) / 30)),
        }
    )


@pytest.fixture
def store(monkeypatch):
    from shelfcast_provider.cold_store import cold_store_hook

    made = Store(num_threads=1)
    load_batch.prepare(made)
    feature_views.prepare(made)
    made.connection.register("visits", visits())
    made.connection.execute("CREATE TABLE FEATURES.VISITS AS SELECT * FROM visits")
    made.connection.execute("INSERT INTO FEATURES.DEMAND (business_date) VALUES (?)", [TODAY])
    closed = [TODAY, f"{TODAY} 23:59:59"]
    made.connection.execute("INSERT INTO OPERATIONS.BUSINESS_DATES (business_date, closed_at) VALUES (?, ?)", closed)
    monkeypatch.setattr(cold_store_hook, "ColdStoreHook", lambda *_: made)
    return made


@pytest.fixture
def registry(monkeypatch):
    from shelfcast_provider.registry import mlflow_hook

    made = Registry()
    monkeypatch.setattr(mlflow_hook, "MLflowHook", lambda *_: made)
    return made


def context(declared):
    asked = {"cutoff": None, "horizon_days": None, "folds": declared.folds, "trials": 0, "reason": "", "force": True}
    return {"run_id": "manual", "ti": TaskInstance(), "params": asked}


def test_a_third_model_goes_from_the_cold_store_to_an_answer(declared, store, registry, tmp_path, monkeypatch):
    monkeypatch.setenv("SHELFCAST_ARTIFACTS", str(tmp_path / "artifacts"))
    frozen = FreezeFrameOperator(task_id="freeze", model="visit_units").execute(context(declared))
    folder = tmp_path / "artifacts" / "training" / "visit_units" / "manual"
    frame = FrozenFrame(folder, verify(folder), declared)
    assert frozen["rows"] == len(frame.target) == 4000
    candidate = tmp_path / FOLDER
    training_job.train(frame, None, FitsHere(frame), candidate)
    made = Candidate.read(candidate)
    assert (made.metrics["level"], made.model.declaration.feature_names[1]) == ("visit", "units_a_visit")
    registry.register(candidate)
    decision = GateOperator(task_id="gate", model="visit_units").execute(context(declared))
    # judged like any other, and beside a random forest, which is as good on so few visits
    assert decision["reason"].startswith(("better than random_forest", "released by force; not surely better than "))
    releases = tmp_path / "releases" / "visit_units"
    release_id = build(candidate, releases)
    pointer.swap(releases, release_id)
    (partition,) = read_pieces(store, declared, TODAY)
    numbers = dict(zip(partition.entities, partition.numbers, strict=True))

    class Reader:
        async def read(self, _, entity):
            return "20250630-aaaaaaaa", Vector(business_date=TODAY, numbers=numbers[entity])

    app = create_app(
        Reader(), Releases(releases.parent, ["visit_units"]), models=[declared], token="secret", freshness=None
    )
    with TestClient(app, headers={"Authorization": "Bearer secret"}) as client:
        known = client.post("/v1/visit-units/predict", json={"customer_id": 7}).json()
        given = dict(zip(declared.as_of_features, map(float, numbers["7"]), strict=True))
        asked = client.post("/v1/visit-units/predict", json=given).json()
    assert known["release_id"] == asked["release_id"] == release_id
    assert known["mean"] == pytest.approx(asked["mean"], rel=1e-6)
    assert known["q05"] < known["mean"] < known["q95"]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"usual": None}, "a regression needs usual"),
        ({"features": ["units_ahead"]}, "'units_ahead'"),
        ({"features": ["visits_before", {"log_baseline": {}}]}, "no baseline"),
        ({"features": ["visits_before", "visits_before"]}, "two features have one name"),
        ({"features": [{"x": {"ratio": ["units_before", "visits_before"], "at_most": 3}}]}, "made in one way"),
        ({"features": [{"x": {"root_of": "units_before"}}]}, "root_of"),
        ({"quantiles": [0.1, 0.5, 0.9]}, "those that ledger, gate and card have columns for"),
    ],
)
def test_a_declaration_that_cannot_be_fitted_is_refused_before_any_work(declared, changed, says):
    content = declared.model_dump(exclude_none=True) | changed
    with pytest.raises(ValueError, match=says):
        declarations.ModelDeclaration.model_validate(content)


def test_a_release_from_before_features_were_declared_is_read(declared):
    """What it lacks is as it is declared by now, which its model's own names are checked against."""
    import yaml

    older = declared.model_dump(mode="json", exclude_none=True, exclude={"features", "level", "usual"})
    text = yaml.safe_dump(older)
    assert declarations.parse(text, "declaration.yaml", name="visit_units", older=True) == declared
    with pytest.raises(declarations.ConfigurationError, match="level: Field required"):
        declarations.parse(text, "declaration.yaml", name="visit_units")
