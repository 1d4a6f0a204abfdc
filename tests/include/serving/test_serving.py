"""Predictor, vintage, releases and the HTTP interface."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from shelfcast.deployment import pointer
from shelfcast.deployment.bundle import build, load
from shelfcast.errors import HotStoreError, PostConditionFailed
from shelfcast.hot_store.vector import Vector, pack
from shelfcast.serving.app import LARGEST_BODY_BYTES, create_app, smoke_test
from shelfcast.serving.predictor import Override, Predictor, Reason
from shelfcast.serving.releases import Releases
from shelfcast.serving.vintage import check_contract, forecast_all

DAY = date(2025, 6, 30)
TOKEN = {"Authorization": "Bearer secret"}
ASKED = {"series_id": "milk@S1", "horizon_days": 7}


@pytest.fixture(scope="session")
def releases_folder(parts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("releases")
    (folder / "demand").mkdir()
    pointer.swap(folder / "demand", build(parts, folder / "demand"))
    return folder


@pytest.fixture(scope="session")
def predictor(releases_folder):
    release = pointer.read(releases_folder / "demand").current
    return Predictor(load(releases_folder / "demand" / release))


def numbers_of(predictor, frame, row=0):
    """A vector's numbers out of the synthetic frame: as-of features, then each covariate for 28 days."""
    chosen = frame.iloc[row * 28 : row * 28 + 28]
    as_of = chosen.iloc[0][list(predictor.declaration.as_of_features)].to_numpy(float)
    ahead = [chosen[name].to_numpy(float) for name in predictor.declaration.ahead_covariates]
    return np.concatenate([as_of, *ahead]).astype(np.float32)


@pytest.fixture
def vectors(predictor, frame):
    return [Vector(business_date=DAY, numbers=numbers_of(predictor, frame, row)) for row in (0, 40, 200)]


def test_a_batch_equals_its_series_one_by_one(predictor, vectors):
    together = predictor.forecast(vectors, horizon_days=28)
    for number, vector in enumerate(vectors):
        alone = predictor.forecast([vector], horizon_days=28)
        np.testing.assert_allclose(together.mean[number], alone.mean[0], rtol=1e-12)
        np.testing.assert_allclose(together.quantiles[number], alone.quantiles[0], rtol=1e-12)
    assert together.sales_dates[0] == DAY + timedelta(days=1)


def test_forecasts_are_not_negative_and_quantiles_do_not_cross(predictor, vectors):
    made = predictor.forecast(vectors, horizon_days=28)
    assert (made.mean >= 0).all()
    assert (np.diff(made.quantiles, axis=2) >= 0).all()


def test_an_override_changes_its_day_only(predictor, vectors):
    before = predictor.forecast(vectors[:1], horizon_days=7).mean[0]
    planned = bool(vectors[0].numbers[len(predictor.declaration.as_of_features) + 2])
    override = Override(horizon_day=3, on_promotion=not planned)
    after = predictor.forecast(vectors[:1], horizon_days=7, overrides=[override]).mean[0]
    assert [number for number in range(7) if before[number] != after[number]] == [2]


def test_a_closed_day_has_no_demand(predictor, vectors):
    closed = [Override(horizon_day=2, is_open=False)]
    made = predictor.forecast(vectors[:1], horizon_days=3, overrides=closed)
    assert made.mean[0, 1] == 0
    assert not made.quantiles[0, 1].any()
    assert made.mean[0, 0] > 0


def packed(predictor, vectors, names, day=DAY):
    rows = np.stack([vector.numbers for vector in vectors])
    return dict(zip(names, pack(rows, business_date=day, fields=predictor.declaration.vector_fields), strict=True))


def test_every_active_series_gets_a_forecast_or_a_reason(predictor, vectors):
    unknown = Vector(business_date=DAY, numbers=np.full_like(vectors[0].numbers, np.nan))
    values = packed(predictor, [*vectors, unknown], ["a@1", "b@1", "c@2", "d@2"])
    active = ["a@1", "b@1", "c@2", "d@2", "e@3"]
    rows = forecast_all(predictor, active, values, business_date=DAY)
    assert len(rows) == 5 * 28
    reasons = rows.groupby("series_id")["reason_code"].first().to_dict()
    assert reasons == {"a@1": None, "b@1": None, "c@2": None, "d@2": Reason.NO_HISTORY, "e@3": Reason.UNKNOWN_SERIES}
    assert rows.loc[rows["series_id"] == "c@2", "store_id"].unique().tolist() == ["2"]
    assert rows.loc[rows["reason_code"].isna(), "mean"].notna().all()


def test_a_vintage_of_reasons_only_is_a_vintage(predictor):
    rows = forecast_all(predictor, ["x@1"], {}, business_date=DAY)
    assert rows["reason_code"].unique().tolist() == [Reason.UNKNOWN_SERIES]


def test_vectors_of_another_date_are_refused(predictor, vectors):
    values = packed(predictor, vectors[:1], ["a@1"], day=DAY - timedelta(days=1))
    with pytest.raises(HotStoreError, match="not of 2025-06-30: a@1"):
        forecast_all(predictor, ["a@1"], values, business_date=DAY)


def test_the_contract_can_be_broken():
    check_contract(["a", "b"], forecasts=1, reasons=1, rows=56, horizon_days=28)
    for counts in ({"forecasts": 1, "reasons": 0, "rows": 56}, {"forecasts": 1, "reasons": 1, "rows": 55}):
        with pytest.raises(PostConditionFailed, match="2 series are active"):
            check_contract(["a", "b"], **counts, horizon_days=28)


def test_a_sound_release_passes_the_smoke_test(predictor):
    assert smoke_test(predictor) == {"release_id": predictor.bundle.release_id, "is_sound": True, "rows": 56}


def test_a_moved_pointer_is_followed_within_a_second_and_an_unsound_release_is_not(releases_folder, tmp_path):
    import shutil

    folder = tmp_path / "releases"
    shutil.copytree(releases_folder, folder)
    now = [0.0]
    releases = Releases(folder, clock=lambda: now[0])
    first = releases.current("demand").bundle.release_id
    pointer.swap(folder / "demand", "demand-20240630-0000000000")
    assert releases.current("demand").bundle.release_id == first
    now[0] = 1.5
    assert releases.current("demand").bundle.release_id == first
    assert "no readable manifest" in releases.problem or "demand-20240630-0000000000" in releases.problem
    (folder / "demand" / pointer.POINTER).unlink()
    now[0] = 3.0
    assert releases.current("demand") is None
    assert releases.current("order_value") is None


class Reader:
    """A hot store that holds what it is given."""

    def __init__(self, known, error=None):
        self.known = known
        self.error = error

    async def read(self, model, entity, fields):
        if self.error:
            raise self.error
        return "20250630-aaaaaaaa", self.known.get(entity)


@pytest.fixture
def known(predictor, vectors):
    nothing = Vector(business_date=DAY, numbers=np.full_like(vectors[0].numbers, np.nan))
    return {"milk@S1": vectors[1], "unseen@S1": nothing}


@pytest.fixture
def client(known, releases_folder):
    return TestClient(create_app(Reader(known), Releases(releases_folder), token="secret"), headers=TOKEN)


def test_a_known_series_is_forecast(client, predictor):
    answer = client.post("/v1/demand/forecast", json=ASKED).json()
    assert answer["release_id"] == predictor.bundle.release_id
    assert answer["generation"] == "20250630-aaaaaaaa"
    assert answer["level"] == "item × store × day"
    assert [day["horizon_day"] for day in answer["forecasts"]] == list(range(1, 8))
    assert all(day["q05"] <= day["q50"] <= day["q95"] for day in answer["forecasts"])


def test_only_health_is_open(client):
    for method, path in (("GET", "/readyz"), ("GET", "/metrics"), ("POST", "/v1/demand/forecast"), ("GET", "/nothing")):
        response = client.request(method, path, headers={"Authorization": "Bearer wrong"}, json={})
        assert response.status_code == 401, path
        assert response.json()["reason_code"] == "unauthorised"
    assert client.get("/healthz", headers={"Authorization": ""}).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"series_id": "nobody@S1"}, 404, "unknown_series"),
        ({"series_id": "unseen@S1"}, 404, "no_history"),
        ({"series_id": "milk@S1", "horizon_days": 40}, 422, "horizon_too_long"),
        (
            {"series_id": "milk@S1", "horizon_days": 3, "overrides": [{"horizon_day": 5}]},
            422,
            "override_beyond_horizon",
        ),
        ({"series_id": "milk@S1", "horizon_days": "7"}, 422, "invalid_request"),
        ({"series_id": "milk@S1", "surprise": 1}, 422, "invalid_request"),
        ({}, 422, "invalid_request"),
    ],
)
def test_what_cannot_be_forecast_is_refused_with_a_reason(client, body, status, code):
    response = client.post("/v1/demand/forecast", json=body)
    assert response.status_code == status
    assert response.json()["reason_code"] == code
    assert response.json()["message"]


def test_a_refused_field_is_named(client):
    message = client.post("/v1/demand/forecast", json={"series_id": "milk@S1", "horizon_days": 0}).json()["message"]
    assert message.startswith("horizon_days: ")


def test_big_bodies_unknown_paths_and_missing_releases_are_refused(client):
    big = client.post("/v1/demand/forecast", content=b" " * (LARGEST_BODY_BYTES + 1))
    assert (big.status_code, big.json()["reason_code"]) == (413, "body_too_large")
    assert client.get("/nothing").json()["reason_code"] == "not_found"
    assert client.get("/v1/demand/forecast").status_code == 405
    missing = client.post("/v1/order-value/predict", json={"customer_id": 3})
    assert (missing.status_code, missing.json()["reason_code"]) == (503, "no_release")


def test_a_body_of_unknown_length_is_refused(client):
    response = client.post("/v1/demand/forecast", content=iter([b"{", b"}"]))
    assert (response.status_code, response.json()["reason_code"]) == (411, "length_required")


def test_a_hot_store_that_does_not_answer_is_said(known, releases_folder):
    app = create_app(Reader(known, HotStoreError("it is down")), Releases(releases_folder), token="secret")
    response = TestClient(app, headers=TOKEN).post("/v1/demand/forecast", json=ASKED)
    assert (response.status_code, response.json()["message"]) == (503, "it is down")


def test_readiness_names_the_releases(client, predictor, tmp_path):
    assert client.get("/readyz").json()["releases"] == {"demand": predictor.bundle.release_id, "order_value": None}
    empty = TestClient(create_app(Reader({}), Releases(tmp_path), token="secret"), headers=TOKEN)
    assert empty.get("/readyz").status_code == 503


def test_a_release_can_be_smoke_tested_without_serving_it(client, predictor):
    good = client.post(f"/v1/releases/demand/{predictor.bundle.release_id}/smoke", json={})
    assert good.json()["is_sound"]
    for path, status in (("demand/..%2f..%2fetc", 404), ("demand/demand-x", 409), ("nothing/x", 404)):
        assert client.post(f"/v1/releases/{path}/smoke", json={}).status_code == status


def test_requests_are_counted(client):
    client.post("/v1/demand/forecast", json=ASKED)
    text = client.get("/metrics").text
    assert 'forecaster_requests_total{path="/v1/demand/forecast",status="200"} 1.0' in text


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
BODIES = ANYTHING | st.fixed_dictionaries(
    {}, optional={"series_id": ANYTHING, "horizon_days": ANYTHING, "overrides": ANYTHING, "customer_id": ANYTHING}
)


@hypothesis_settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES, path=st.sampled_from(["/v1/demand/forecast", "/v1/order-value/predict"]))
def test_no_body_brings_the_forecaster_down(client, body, path):
    response = client.post(path, json=body)
    assert response.status_code in (200, 404, 422, 503)
    assert "Traceback" not in response.text
