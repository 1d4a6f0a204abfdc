"""The forecaster's HTTP interface."""

import json
import shutil
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from served_world import released
from starlette.testclient import TestClient

from shelfcast.deployment import pointer
from shelfcast.errors import HotStoreError
from shelfcast.hot_store.vector import Vector
from shelfcast.model import declaration as declarations
from shelfcast.serving.app import LARGEST_BODY_BYTES, create_app
from shelfcast.serving.freshness import Freshness
from shelfcast.serving.releases import Releases
from shelfcast.serving.requests import path_of

DAY = date(2025, 6, 30)
TOKEN = {"Authorization": "Bearer secret"}
ASKED = {"series_id": "milk@S1", "horizon_days": 7}
MODELS = ("demand", "order_value")


class Reader:
    """A hot store that holds what it is given."""

    def __init__(self, known, error=None):
        self.known = known
        self.error = error

    async def read(self, declaration, entity):
        if self.error:
            raise self.error
        return "20250630-aaaaaaaa", self.known.get(entity)


@pytest.fixture
def known(predictor, vectors):
    nothing = Vector(business_date=DAY, numbers=np.full_like(vectors[0].numbers, np.nan))
    return {"milk@S1": vectors[1], "unseen@S1": nothing}


def app_of(reader, folder, models=MODELS, freshness=None):
    declared = [declarations.load(model) for model in models]
    return create_app(reader, Releases(folder, models), models=declared, token="secret", freshness=freshness)


@pytest.fixture
def client(known, releases_folder):
    with TestClient(app_of(Reader(known), releases_folder), headers=TOKEN) as made:
        yield made


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
        ({"store_id": "S1"}, 422, "invalid_request"),
        ({"series_id": "milk@S1", "item_id": "milk"}, 422, "invalid_request"),
        ({"series_id": "milk@S1", "item_id": "milk", "store_id": "S1"}, 422, "invalid_request"),
        ({"item_id": "milk", "store_id": "S@1"}, 422, "invalid_request"),
        ({"item_id": "milk", "store_id": "S2"}, 404, "unknown_series"),
        ({"series_id": "milk@S1", "overrides": [{"is_open": True}]}, 422, "invalid_request"),
        (
            {"series_id": "milk@S1", "overrides": [{"horizon_day": 1, "sales_date": "2025-07-01"}]},
            422,
            "invalid_request",
        ),
        (
            {"series_id": "milk@S1", "overrides": [{"horizon_day": 1, "on_promotion": False, "discount": 0.2}]},
            422,
            "invalid_request",
        ),
        ({"series_id": "milk@S1", "overrides": [{"sales_date": 20250701}]}, 422, "invalid_request"),
        ({"series_id": "milk@S1", "overrides": [{"sales_date": "20250701"}]}, 422, "invalid_request"),
        ({"series_id": "milk@S1", "overrides": [{"sales_date": "2025-02-30"}]}, 422, "invalid_request"),
        ({"series_id": "milk@S1", "overrides": [{"sales_date": "2025-06-30"}]}, 422, "override_beyond_horizon"),
        ({"series_id": "milk@S1", "overrides": [{"sales_date": "2025-07-29"}]}, 422, "override_beyond_horizon"),
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
    with TestClient(app_of(Reader(known, HotStoreError("it is down")), releases_folder), headers=TOKEN) as client:
        response = client.post("/v1/demand/forecast", json=ASKED)
    assert (response.status_code, response.json()["message"]) == (503, "it is down")


def test_readiness_names_the_releases(client, predictor, tmp_path):
    assert client.get("/readyz").json()["releases"] == {"demand": predictor.bundle.release_id, "order_value": None}
    with TestClient(app_of(Reader({}), tmp_path), headers=TOKEN) as empty:
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
ASKED_FOR = (
    "series_id",
    "store_id",
    "item_id",
    "horizon_days",
    "overrides",
    "customer_id",
    "total_spent",
    "purchase_count",
)
BODIES = ANYTHING | st.fixed_dictionaries({}, optional=dict.fromkeys(ASKED_FOR, ANYTHING))


@hypothesis_settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES, path=st.sampled_from(["/v1/demand/forecast", "/v1/order-value/predict"]))
def test_no_body_brings_the_forecaster_down(client, body, path):
    response = client.post(path, json=body)
    assert response.status_code in (200, 404, 422, 503)
    assert "Traceback" not in response.text


def test_a_series_is_named_by_its_item_and_store_as_well(client):
    by_name = client.post("/v1/demand/forecast", json=ASKED).json()
    by_parts = client.post("/v1/demand/forecast", json={"item_id": "milk", "store_id": "S1", "horizon_days": 7}).json()
    assert by_parts == by_name


def test_a_wrong_pair_is_explained(client):
    message = client.post("/v1/demand/forecast", json={}).json()["message"]
    assert message == "write series_id, or store_id and item_id: one of the two ways"


def test_a_day_is_overridden_by_its_date_as_well(client):
    def means(**day):
        asked = {**ASKED, "overrides": [{**day, "price": 1.0, "on_promotion": True}]}
        return [each["mean"] for each in client.post("/v1/demand/forecast", json=asked).json()["forecasts"]]

    assert means(sales_date="2025-07-03") == means(horizon_day=3)
    assert means(sales_date="2025-07-03") != means(horizon_day=4)


def test_a_closed_day_says_so_and_has_no_demand(client):
    asked = {**ASKED, "overrides": [{"horizon_day": 2, "is_open": False}]}
    days = client.post("/v1/demand/forecast", json=asked).json()["forecasts"]
    assert [day["is_open"] for day in days] == [True, False, True, True, True, True, True]
    assert days[1] | {"sales_date": "", "horizon_day": 0} == {
        "sales_date": "", "horizon_day": 0, "is_open": False, "mean": 0.0,
        "q05": 0.0, "q25": 0.0, "q50": 0.0, "q75": 0.0, "q95": 0.0,
    }  # fmt: skip


@pytest.fixture
def shop(known, releases_folder, order_value_parts, tmp_path):
    """A client of a forecaster with both models."""
    folder = shutil.copytree(releases_folder, tmp_path / "releases")
    released(order_value_parts, folder / "order_value")
    customer = Vector(business_date=DAY, numbers=np.array([120.0, 3.0], dtype=np.float32))
    reader = Reader({**known, "17": customer})
    with TestClient(app_of(reader, folder), headers=TOKEN) as made:
        made.reader = reader
        yield made


def test_the_next_order_is_predicted_for_a_customer_or_for_given_features(shop):
    path = "/v1/order-value/predict"
    customer = shop.post(path, json={"customer_id": 17}).json()
    given = shop.post(path, json={"total_spent": 120.0, "purchase_count": 3}).json()
    assert customer["mean"] > 0
    assert (customer["customer_id"], customer["business_date"]) == (17, "2025-06-30")
    assert customer | {"customer_id": None, "generation": None, "business_date": None} == given
    other = shop.post(path, json={"total_spent": 900.0, "purchase_count": 3}).json()
    assert other["mean"] > given["mean"]
    unknown = shop.post(path, json={"customer_id": 18})
    assert (unknown.status_code, unknown.json()["reason_code"]) == (404, "unknown_series")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"total_spent": 1.0},
        {"customer_id": 17, "total_spent": 1.0, "purchase_count": 1},
        {"customer_id": "17"},
        {"customer_id": True},
        {"total_spent": "1", "purchase_count": 1},
        {"total_spent": -1, "purchase_count": 1},
        {"total_spent": 1e300, "purchase_count": 1},
        {"total_spent": 1, "purchase_count": 1, "order_amount": 3},
    ],
)
def test_an_order_is_asked_for_in_one_of_two_ways(shop, body):
    response = shop.post("/v1/order-value/predict", json=body)
    assert (response.status_code, response.json()["reason_code"]) == (422, "invalid_request")


def test_a_release_of_other_features_does_not_take_given_ones(known, releases_folder, order_value_parts, tmp_path):
    released(order_value_parts, tmp_path / "order_value")
    declared = declarations.load("order_value")
    turned = declared.model_copy(update={"as_of_features": declared.as_of_features[::-1]})
    app = create_app(Reader({}), Releases(tmp_path, ["order_value"]), models=[turned], token="secret", freshness=None)
    with TestClient(app, headers=TOKEN) as client:
        response = client.post("/v1/order-value/predict", json={"total_spent": 1, "purchase_count": 1})
    assert (response.status_code, response.json()["reason_code"]) == (503, "no_release")


def test_a_third_declaration_gets_a_route_of_its_own(parts, demand, known, tmp_path):
    third = demand.model_copy(update={"name": "night_demand"})
    folder = shutil.copytree(parts, tmp_path / "candidate")
    for name, before, after in (
        ("declaration.yaml", "name: demand", "name: night_demand"),
        ("training.json", '"model": "demand"', '"model": "night_demand"'),
    ):
        (folder / name).write_text((folder / name).read_text().replace(before, after))
    released(folder, tmp_path / "releases" / "night_demand")
    releases = Releases(tmp_path / "releases", ["night_demand"])
    app = create_app(Reader(known), releases, models=[third], token="secret", freshness=None)
    with TestClient(app, headers=TOKEN) as client:
        answer = client.post("/v1/night-demand/forecast", json=ASKED).json()
        assert client.get("/readyz").json()["releases"] == {"night_demand": answer["release_id"]}
        text = client.get("/metrics").text
    assert len(answer["forecasts"]) == 7
    assert 'path="/v1/night-demand/forecast",status="200"' in text


@pytest.mark.parametrize(("age_days", "status"), [(0, 200), (2, 200), (3, 503)])
def test_a_vector_that_is_too_old_is_refused(known, releases_folder, age_days, status):
    freshness = Freshness(limit_days={"demand": 2, "order_value": 9}, today=lambda: DAY + timedelta(days=age_days))
    with TestClient(app_of(Reader(known), releases_folder, freshness=freshness), headers=TOKEN) as client:
        response = client.post("/v1/demand/forecast", json=ASKED)
    assert response.status_code == status
    if status == 503:
        assert response.json()["reason_code"] == "stale_features"
        assert "2025-06-30, 3 days ago; 2 are allowed" in response.json()["message"]


@pytest.mark.parametrize(("days_beyond", "status"), [(0, 200), (1, 503)])
def test_the_limit_that_a_model_declares_is_kept(known, releases_folder, days_beyond, status):
    declared = declarations.load("demand")
    today = DAY + timedelta(days=declared.stale_after_days + days_beyond)
    freshness = Freshness.declared([declared], today=lambda: today)
    with TestClient(app_of(Reader(known), releases_folder, freshness=freshness), headers=TOKEN) as client:
        assert client.post("/v1/demand/forecast", json=ASKED).status_code == status


def test_a_fault_of_the_forecaster_is_logged_and_not_shown(known, releases_folder, caplog):
    app = app_of(Reader(known, ZeroDivisionError("a secret")), releases_folder)
    with TestClient(app, headers=TOKEN) as client:
        response = client.post("/v1/demand/forecast", json=ASKED)
        text = client.get("/metrics").text
    assert (response.status_code, response.json()["reason_code"]) == (500, "internal")
    assert "secret" not in response.text
    assert "ZeroDivisionError: a secret" in caplog.text
    assert 'path="/v1/demand/forecast",status="500"' in text


@pytest.mark.parametrize("number", [np.inf, -np.inf])
@pytest.mark.parametrize(("model", "entity"), [("demand", "milk@S1"), ("order_value", "17")])
def test_a_vector_with_an_endless_number_is_refused_by_name(shop, known, model, entity, number):
    vector = known[entity] if entity in known else Vector(business_date=DAY, numbers=np.array([120, 3], np.float32))
    for position in (0, 1, -1):
        numbers = vector.numbers.copy()
        numbers[position] = number
        shop.reader.known[entity] = Vector(business_date=DAY, numbers=numbers)
        asked = ASKED if model == "demand" else {"customer_id": 17}
        response = shop.post(path_of(declarations.load(model)), json=asked)
        assert (response.status_code, response.json()["reason_code"]) == (503, "not_finite")
        assert entity in response.json()["message"]


@pytest.mark.parametrize("length", ["²", "-1", "1e3", "9" * 5000])
def test_a_length_that_is_no_number_is_refused(client, length):
    response = client.post("/v1/demand/forecast", headers={"Content-Length": length.encode("latin-1")}, content=b"{}")
    assert (response.status_code, response.json()["reason_code"]) == (413, "body_too_large")


def test_a_torn_pointer_leaves_the_forecaster_answering(known, releases_folder, tmp_path):
    folder = shutil.copytree(releases_folder, tmp_path / "releases")
    releases = Releases(folder, MODELS)
    app = create_app(Reader(known), releases, models=[declarations.load("demand")], token="secret", freshness=None)
    with TestClient(app, headers=TOKEN) as client:
        (folder / "demand" / pointer.POINTER).write_text(json.dumps({"current": "demand-2024"})[:-3])
        releases.follow()
        assert client.post("/v1/demand/forecast", json=ASKED).status_code == 200
        state = client.get("/readyz")
    assert state.status_code == 200
    assert "does not say which release" in state.json()["problem"]
