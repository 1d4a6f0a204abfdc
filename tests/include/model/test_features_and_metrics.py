"""Model rows, simple methods, metrics, quantiles and declarations, each against a slow and obvious loop."""

import json
import math
from calendar import monthrange
from datetime import date

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_pinball_loss, root_mean_squared_error

from shelfcast.errors import BundleError, ConfigurationError
from shelfcast.model import declaration as declarations
from shelfcast.model import metrics
from shelfcast.model.baselines import learned_forecasts, simple_forecasts, strongest
from shelfcast.model.calibration import Calibration, calibrate
from shelfcast.model.features import SMALLEST_BASELINE, assemble, baseline
from shelfcast.model.matrix import Sample
from shelfcast.training.evaluation import evaluate, fold_rows
from shelfcast.training.frame import columns_of

VALUES = st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4)), min_size=1, max_size=30)


@pytest.fixture(scope="module")
def some(frame):
    """A few hundred rows in no order."""
    return frame.sample(300, random_state=1)


def rows_by_name(frame, declaration):
    return dict(zip(declaration.feature_names, assemble(columns_of(frame), declaration).T, strict=True))


def test_the_baseline_is_the_mean_of_the_weekday_with_or_without_promotion(some, demand):
    found = baseline(columns_of(some), demand)
    for value, row in zip(found, some.to_dict("records"), strict=True):
        kind = "promotion" if row["on_promotion"] else "regular"
        assert value == pytest.approx(row[f"weekday_{kind}_mean_{row['sales_date'].isoweekday()}"])


def test_a_series_without_history_has_a_baseline_above_zero(some, demand):
    unknown = some.assign(**dict.fromkeys((name for name in demand.as_of_features), np.nan))
    assert baseline(columns_of(unknown), demand).tolist() == [SMALLEST_BASELINE] * len(some)
    assert np.isfinite(rows_by_name(unknown, demand)["log_baseline"]).all()


def test_where_a_weekday_was_never_promoted_the_uplift_of_the_series_counts(some, demand):
    never = some.assign(**{f"weekday_promotion_mean_{day}": np.nan for day in range(1, 8)}, on_promotion=1.0)
    found = baseline(columns_of(never), demand)
    for value, row in zip(found, never.to_dict("records"), strict=True):
        usual = row[f"weekday_regular_mean_{row['sales_date'].isoweekday()}"]
        assert value == pytest.approx(max(usual * row["promotion_uplift_364"], SMALLEST_BASELINE))


def test_the_calendar_and_the_ratios_are_those_of_the_row(some, demand):
    found, expected = rows_by_name(some, demand), baseline(columns_of(some), demand)
    for number, row in enumerate(some.to_dict("records")):
        assert found["weekday"][number] == row["sales_date"].isoweekday()
        assert found["day_of_month"][number] == row["sales_date"].day
        assert found["day_of_year"][number] == row["sales_date"].timetuple().tm_yday
        rest = list(range(row["sales_date"].day, monthrange(row["sales_date"].year, row["sales_date"].month)[1] + 1))
        weekdays = [row["sales_date"].replace(day=day).isoweekday() for day in rest]
        assert found["workdays_left_in_month"][number] == sum(weekday <= 5 for weekday in weekdays)
        ratio = (row["units_mean_28"] + SMALLEST_BASELINE) / (expected[number] + SMALLEST_BASELINE)
        assert found["units_mean_28_ratio"][number] == pytest.approx(math.log(ratio))
        assert found["days_since_first_sale"][number] == 182, "older series are all as old"
        assert found["price_ratio"][number] == 1.0


@pytest.mark.parametrize(
    ("day", "days"),
    [
        ("2015-02-16", -48),  # Rose Monday
        ("2015-04-05", 0),
        ("2015-05-14", 39),  # Ascension
        ("2014-06-19", 60),  # Corpus Christi
        ("2024-12-31", 61),
        ("2025-01-01", -61),
        ("2025-04-18", -2),  # Good Friday
    ],
)
def test_moving_feasts_lie_where_the_church_has_them(some, demand, day, days):
    one = some.head(1).assign(sales_date=date.fromisoformat(day))
    assert rows_by_name(one, demand)["days_from_easter"].tolist() == [days]


def test_rows_do_not_depend_on_their_neighbours(some, demand):
    whole = assemble(columns_of(some), demand)
    shuffled = some.sample(frac=1, random_state=2)
    order = [some.index.get_loc(index) for index in shuffled.index]
    np.testing.assert_array_equal(assemble(columns_of(shuffled), demand), whole[order])
    np.testing.assert_array_equal(assemble(columns_of(some.head(1)), demand), whole[:1])


@pytest.mark.parametrize(
    ("changed", "unknown"),
    [
        ({"price": 1.0, "price_mean_56": 0.0}, ["price_ratio"]),
        ({"price": 0.0, "price_mean_56": 0.0}, ["price_ratio"]),
        ({"price": math.inf}, ["price_ratio"]),
        ({"units_mean_28": math.inf}, ["units_mean_28_ratio"]),
        ({"discount": 1e300}, ["discount"]),
        ({"temperature_celsius": -math.inf}, ["temperature_celsius"]),
    ],
)
def test_what_is_not_finite_is_not_known(some, demand, changed, unknown):
    found, plain = rows_by_name(some.assign(**changed), demand), rows_by_name(some, demand)
    for name, values in found.items():
        np.testing.assert_array_equal(values, np.full(len(some), np.nan) if name in unknown else plain[name], name)


@pytest.mark.parametrize("number", [math.inf, -math.inf])
def test_a_baseline_is_never_endless(some, demand, number):
    for name in ("weekday_regular_mean", "weekday_promotion_mean", "weekday_mean"):
        endless = {f"{name}_{day}": number for day in range(1, 8)}
        absent = dict.fromkeys(endless, np.nan)
        found = baseline(columns_of(some.assign(**endless)), demand)
        np.testing.assert_array_equal(found, baseline(columns_of(some.assign(**absent)), demand))
    assert np.isfinite(baseline(columns_of(some.assign(promotion_uplift_364=number)), demand)).all()


def test_a_customer_is_told_by_what_was_spent(order_value):
    columns = {"total_spent": np.array([0.0, 30.0]), "purchase_count": np.array([0.0, 3.0])}
    assert assemble(columns, order_value)[1].tolist() == [30, 3, 10]
    assert math.isnan(assemble(columns, order_value)[0, 2])
    assert baseline(columns, order_value).tolist() == [1, 1]


def test_the_last_same_weekday_is_found_for_every_day_ahead(frame, demand):
    one = frame.head(28)
    found = simple_forecasts(columns_of(one), demand)["seasonal_naive_7"]
    for value, row in zip(found, one.to_dict("records"), strict=True):
        back = next(lag for lag in range(1, 8) if (row["horizon_days"] + lag - 1) % 7 == 0)
        assert value == row[f"units_lag_{back}"]


def test_simple_methods_fall_back_to_the_recent_mean(frame, demand):
    one = frame.head(7).assign(**{f"units_lag_{day}": np.nan for day in range(1, 8)})
    found = simple_forecasts(columns_of(one), demand)
    assert found["seasonal_naive_7"].tolist() == one["units_mean_28"].tolist()
    assert found["weekday_mean_56"][0] == one.iloc[0][f"weekday_mean_{one.iloc[0]['sales_date'].isoweekday()}"]


def test_customers_without_an_order_are_told_everybodys_mean(order_value):
    columns = {"total_spent": np.array([0.0, 30.0]), "purchase_count": np.array([0.0, 3.0])}
    assert simple_forecasts(columns, order_value)["customer_mean"].tolist() == [10, 10]
    nobody = {name: np.zeros(2) for name in columns}
    assert simple_forecasts(nobody, order_value)["customer_mean"].tolist() == [0, 0]


def test_the_strongest_simple_method_has_the_smallest_error():
    actual = np.array([1.0, 2.0])
    assert strongest(actual, {"a": actual + 1, "b": actual + 0.1, "c": actual - 3}) == "b"


def test_the_strongest_simple_method_is_judged_as_the_gate_judges():
    actual = np.zeros(10) + 5.0
    forecasts = {"even": actual + 1.0, "wild": np.where(np.arange(10) == 0, actual + 9.0, actual)}
    assert strongest(actual, forecasts) == "wild"
    assert strongest(actual, forecasts, loss="squared") == "even"


@pytest.fixture(scope="module")
def orders():
    """Orders whose value saturates in what was spent before, with noise that no method can know."""
    rng = np.random.default_rng(4)
    count = rng.integers(0, 40, 4000).astype(float)
    spent = count * rng.gamma(9, 3, 4000)
    return {
        "total_spent": spent,
        "purchase_count": count,
        "order_amount": 20 + np.minimum(spent, 300) / 10 + rng.normal(0, 2, 4000),
    }


def test_a_random_forest_is_the_regressions_yardstick_and_the_same_for_a_seed(orders, order_value, demand):
    sample = Sample.of(orders, order_value)
    train, test = sample.part(slice(0, 3000)), sample.part(slice(3000, None))
    one, again, other = (learned_forecasts(train, test, order_value, seed=seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(one["random_forest"], again["random_forest"])
    assert not np.array_equal(one["random_forest"], other["random_forest"])
    simple = simple_forecasts({name: values[3000:] for name, values in orders.items()}, order_value)
    assert strongest(test.target, simple | one, loss="squared") == "random_forest"
    assert learned_forecasts(train, test, demand, seed=7) == {}
    assert learned_forecasts(train, test.part(slice(0, 0)), order_value, seed=7) == {}


def test_what_a_learned_method_said_is_measured_with_the_fold(orders, order_value):
    frame = pd.DataFrame(orders).assign(customer_id=1).head(50)
    rows = fold_rows(
        frame,
        np.full(50, 30.0),
        None,
        order_value,
        0,
        difficulty=np.ones(50),
        learned={"random_forest": frame["order_amount"].to_numpy()},
    )
    measured = evaluate(rows, order_value)
    assert (measured.strongest_simple, measured.strongest_simple_rmse) == ("random_forest", 0.0)
    assert (rows["strongest_simple"] == rows["actual"]).all()


def covered_by_a_loop(pairs):
    """Of actuals on an end of [forecast, forecast + 1], as many are left out as its tail of 5 % has room for."""
    outside = 0.0
    for beyond, on_the_end in (
        (sum(a < f for a, f in pairs), sum(a == f for a, f in pairs)),
        (sum(a > f + 1 for a, f in pairs), sum(a == f + 1 for a, f in pairs)),
    ):
        outside += min(max(0.05 * len(pairs), beyond), beyond + on_the_end)
    return 1 - outside / len(pairs)


@given(VALUES)
def test_metrics_equal_their_loops(pairs):
    actual, forecast = (np.array(values) for values in zip(*pairs, strict=True))
    total = sum(actual)
    if total:
        assert metrics.wape(actual, forecast) == pytest.approx(sum(abs(a - f) for a, f in pairs) / total)
        assert metrics.bias(actual, forecast) == pytest.approx(sum(forecast) / total - 1)
    else:
        assert math.isnan(metrics.wape(actual, forecast))
        assert math.isnan(metrics.bias(actual, forecast))
    assert metrics.rmse(actual, forecast) == pytest.approx(root_mean_squared_error(actual, forecast))
    assert metrics.pinball(actual, forecast, 0.9) == pytest.approx(mean_pinball_loss(actual, forecast, alpha=0.9))
    assert metrics.coverage(actual, forecast, forecast + 1) == pytest.approx(covered_by_a_loop(pairs))
    shares = [sum(a < f for a, f in pairs) / len(pairs), sum(a <= f for a, f in pairs) / len(pairs)]
    assert metrics.shares_below(actual, forecast) == pytest.approx(shares)
    sold = [(a, f) for a, f in pairs if a > 0]
    if sold and min(a for a, _ in sold) > 1e-100:  # a square must fit a float
        mean = sum(((a - f) / a) ** 2 for a, f in sold) / len(sold)
        assert metrics.rmspe(actual, forecast) == pytest.approx(math.sqrt(mean))


def test_metrics_of_nothing_are_not_a_number():
    none = np.array([])
    found = [
        metrics.rmse(none, none),
        metrics.rmspe(none, none),
        metrics.coverage(none, none, none),
        metrics.pinball(none, none, 0.5),
        *metrics.shares_below(none, none),
    ]
    assert all(math.isnan(value) for value in found)


def test_a_quantile_of_counts_is_hit_exactly_on_many_days():
    actual, quantile = np.array([0.0, 0, 0, 1, 2, 5]), np.array([0.0, 0, 1, 1, 1, 1])
    assert metrics.shares_below(actual, quantile) == pytest.approx((1 / 6, 4 / 6))


LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def sample(seed, rows=20_000):
    """Counts around a mean, with many zeros where the mean is small, and a spread that they do not have."""
    rng = np.random.default_rng(seed)
    mean = np.exp(rng.uniform(-1, 4, rows))
    return rng.poisson(mean).astype(float), mean, rng.uniform(0.9, 1.1, rows)


def test_ninety_percent_intervals_cover_ninety_percent_of_what_was_not_seen():
    calibration = calibrate(*sample(1), LEVELS)
    actual, mean, spread = sample(2)
    quantiles = calibration.apply(mean, spread)
    assert 0.88 <= metrics.coverage(actual, quantiles[:, 0], quantiles[:, -1]) <= 0.93
    assert (np.diff(quantiles, axis=1) >= 0).all()


def test_a_quantile_is_a_held_out_ratio_raised_to_the_spread():
    actual, mean, spread = sample(1, 500)
    calibration = calibrate(actual, mean, spread, LEVELS)
    edges = [np.quantile(mean, share) for share in (0.2, 0.4, 0.6, 0.8)]
    for forecast, width in ((0.5, 1.0), (3.0, 0.4), (50.0, 2.5)):
        number = sum(forecast > edge for edge in edges)
        own = [sum(value > edge for edge in edges) == number for value in mean]
        ratios = sorted((a / m) ** (1 / s) for a, m, s, is_own in zip(actual, mean, spread, own, strict=True) if is_own)
        wanted = [
            forecast * ratios[math.ceil(level * 101) - 1 if level >= 0.5 else math.floor(level * 101) - 1] ** width
            for level in LEVELS
        ]
        found = calibration.apply(np.array([forecast]), np.array([width]))[0]
        np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_a_day_without_sale_stays_possible_at_any_spread():
    calibration = calibrate(np.array([0.0, 0.0, 5.0] * 50), np.ones(150), np.linspace(0.1, 10, 150), LEVELS)
    assert calibration.apply(np.array([1.0, 1.0]), np.array([0.1, 10.0]))[:, 0].tolist() == [0.0, 0.0]


def test_a_few_held_out_rows_are_enough():
    calibration = calibrate(np.array([3.0]), np.array([2.0]), np.array([1.0]), LEVELS)
    np.testing.assert_allclose(calibration.apply(np.array([4.0]), np.array([1.0])), [[6.0] * 5])


def test_a_calibration_survives_being_written():
    calibration = calibrate(*sample(3, 1000), LEVELS)
    again = Calibration.from_json(calibration.to_json())
    np.testing.assert_array_equal(again.ratios, calibration.ratios)
    assert again.edges == calibration.edges


@pytest.mark.parametrize("damage", ["nothing", "shape", "order", "sign", "text"])
def test_a_damaged_calibration_is_refused(damage):
    content = json.loads(calibrate(*sample(3, 1000), LEVELS).to_json())
    if damage == "nothing":
        del content["edges"]
    elif damage == "shape":
        content["ratios"] = content["ratios"][:-1]
    elif damage == "order":
        content["ratios"][0].reverse()
    elif damage == "sign":
        content["ratios"][0][0] = -0.1
    text = "{" if damage == "text" else json.dumps(content)
    with pytest.raises(BundleError, match="calibration"):
        Calibration.from_json(text)


@pytest.mark.parametrize("days", [90, 120])
def test_a_forecast_may_be_declared_to_look_months_ahead(tmp_path, days):
    text = (declarations.MODELS_FOLDER / "demand.yaml").read_text().replace("horizon_days: 28", f"horizon_days: {days}")
    (tmp_path / "demand.yaml").write_text(text)
    declared = declarations.read(tmp_path / "demand.yaml")
    assert declared.horizon == days
    assert f"price_{days}" in declared.vector_fields


def test_every_shipped_declaration_loads():
    assert declarations.names() == ["demand", "order_value"]
    assert declarations.longest_horizon() == 28
    demand = declarations.load("demand")
    assert len(demand.vector_fields) == len(demand.as_of_features) + 28 * len(demand.ahead_covariates)
    assert demand.vector_fields[len(demand.as_of_features)] == "on_promotion_1"
    assert declarations.load("order_value").horizon == 0


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"kind": "magic"}, "kind"),
        ({"horizon_days": 0}, "horizon_days"),
        ({"quantiles": [0.9, 0.1]}, "ascend"),
        ({"ahead_table": None}, "ahead_table"),
        ({"fit": {"objective": "poisson"}}, r"fit\.learning_rate"),
        ({"surprise": 1}, "surprise"),
        ({"name": "other"}, "expected demand"),
    ],
)
def test_a_wrong_declaration_is_refused_with_file_and_field(tmp_path, changes, named):
    content = yaml.safe_load((declarations.MODELS_FOLDER / "demand.yaml").read_text()) | changes
    path = tmp_path / "demand.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigurationError, match=rf"demand\.yaml.*{named}"):
        declarations.read(path)


def test_a_missing_or_broken_declaration_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="There is no model nothing"):
        declarations.read(tmp_path / "nothing.yaml")
    (tmp_path / "broken.yaml").write_text("name: [")
    with pytest.raises(ConfigurationError, match="is no YAML"):
        declarations.read(tmp_path / "broken.yaml")


def test_dates_of_a_frame_are_days(frame):
    days = columns_of(frame.head(1))["sales_date"]
    assert days.dtype == "datetime64[D]"
    assert days[0] == np.datetime64(date(2024, 1, 2))
