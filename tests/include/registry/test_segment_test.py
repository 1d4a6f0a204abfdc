"""Segments of the gate: which there are, and when a candidate counts as no worse in one."""

import numpy as np
import pandas as pd
import pytest

from shelfcast.model.segments import segments_of
from shelfcast.registry.gate_simulation import RULES, SimulatedPanel, simulate
from shelfcast.registry.panel_test import Panel
from shelfcast.registry.segment_test import judge

PANEL = SimulatedPanel(stores=9, items=4, origins=5, horizon_days=14)


def judged(rows, rules=RULES):
    own, other = ((rows["actual"] - rows[name]).abs().to_numpy() for name in ("mean", "champion"))
    return {segment.name: segment for segment in judge(rows, Panel.of(rows, own=own, other=other), rules)}


def test_the_segments_are_those_of_promotion_week_store_and_demand():
    assert list(judged(simulate(PANEL, seed=1))) == [
        "on promotion", "without promotion", "week 1 ahead", "week 2 ahead", "small stores", "medium stores",
        "large stores", "intermittent demand", "smooth demand",
    ]  # fmt: skip


def test_an_order_has_no_segments():
    assert segments_of(pd.DataFrame({"customer_id": [1, 2], "actual": [3.0, 4.0]})) == {}


def test_a_segment_of_few_rows_or_of_a_reference_without_errors_is_left_out():
    rows = simulate(PANEL, seed=1)
    assert "week 2 ahead" not in judged(rows[rows["horizon_days"] <= 7].head(3000))
    few = rows[(rows["on_promotion"] == 0) | (rows.index % 10 == 0)]
    assert "on promotion" not in judged(few.drop(few[few["on_promotion"] > 0].index[150:]))
    exact = rows.assign(champion=np.where(rows["on_promotion"] > 0, rows["actual"], rows["champion"]))
    assert "on promotion" not in judged(exact)


def test_each_segment_tells_the_rise_of_its_own_rows():
    rows = simulate(PANEL, seed=2)
    chosen = rows[rows["on_promotion"] > 0]
    error = {name: (chosen["actual"] - chosen[name]).abs().sum() for name in ("mean", "champion")}
    inside = chosen["actual"].between(chosen["q05"], chosen["q95"])
    found = judged(rows)["on promotion"]
    assert found.rows == len(chosen)
    assert found.rise == pytest.approx(error["mean"] / error["champion"] - 1)
    assert found.coverage_90 == pytest.approx(inside.mean())
    assert found.rise_high > found.rise


def test_a_rise_within_the_margin_that_might_be_above_it_is_not_enough():
    rows = simulate(PANEL, seed=2, gain=-0.03)
    found = judged(rows)["small stores"]
    assert found.rise < RULES.segment_margin < found.rise_high
    assert not found.is_no_worse
    lenient = judged(rows, RULES.model_copy(update={"segment_alpha": 0.25}))["small stores"]
    assert found.rise < lenient.rise_high < found.rise_high
    assert judged(rows, RULES.model_copy(update={"segment_margin": 0.5}))["small stores"].is_no_worse


def of_few_that_differ(*, rise, origins=6, seed=1):
    """A segment of eight series whose errors are multiplied by chance, each at each origin, and by what they rise."""
    rows = simulate(SimulatedPanel(stores=8, items=1, origins=origins, horizon_days=14), seed=seed, gain=0.0)
    cell = rows.groupby(["series_id", "business_date"]).ngroup().to_numpy()
    factor = (1 + rise) * np.random.default_rng(seed).lognormal(-0.08, 0.4, cell.max() + 1)[cell]
    return rows.assign(on_promotion=0, mean=rows["actual"] + factor * (rows["champion"] - rows["actual"]))


def held(rise):
    found = [judged(of_few_that_differ(rise=rise, seed=seed))["without promotion"] for seed in range(1, 41)]
    unsure = [segment for segment in found if segment.rise_high - segment.rise > RULES.segment_margin]
    assert len(unsure) > 35
    return sum(not segment.is_no_worse for segment in unsure) / len(unsure)


def test_where_an_equal_candidate_could_not_be_shown_to_be_one_it_is_held_for_harm_that_is_shown():
    """To be shown to be no worse is asked for only where that can be shown: by chance half of the equal ones would be held."""
    assert held(0.0) < 0.2
    assert held(0.4) > 0.9


def test_of_three_origins_the_rise_is_judged_as_it_is():
    rows = simulate(SimulatedPanel(stores=9, items=4, origins=3, horizon_days=14), seed=3)
    for segment in judged(rows).values():
        assert segment.rise_high is None
        assert segment.is_no_worse == (segment.rise <= RULES.segment_margin)


@pytest.mark.parametrize(("width", "is_covered"), [(0.02, False), (1.0, True), (3.0, False)])
def test_intervals_too_narrow_or_too_wide_are_found_in_their_segment(width, is_covered):
    rows = simulate(PANEL, seed=1)
    half = (rows["q95"] - rows["mean"]) * np.where(rows["on_promotion"] > 0, width, 1.0)
    found = judged(rows.assign(q05=rows["mean"] - half, q95=rows["mean"] + half))
    assert found["without promotion"].is_covered
    assert found["on promotion"].is_covered == is_covered


def test_an_interval_that_begins_at_zero_is_not_too_wide_for_days_without_a_sale():
    rows = simulate(PANEL, seed=1)
    half_of_them = np.arange(len(rows)) % 2 == 0
    rows = rows.assign(q05=0.0, actual=rows["actual"].where(~half_of_them, 0.0))
    covered = (rows["actual"] >= rows["q05"]) & (rows["actual"] <= rows["q95"])
    assert covered[rows["on_promotion"] > 0].mean() > 0.95
    found = judged(rows)["on promotion"]
    assert found.is_covered
    too_low = judged(rows.assign(q95=rows["mean"]))["on promotion"]
    assert not too_low.is_covered, "half of the days that sold lie above its upper end"


def test_the_class_of_demand_is_that_of_the_days_behind_the_features():
    """A loop over four weeks of units, by the definitions of Syntetos and Boylan."""
    rng = np.random.default_rng(5)
    days = [rng.poisson(mean, 28) * rng.integers(1, spread, 28) for mean in (0.3, 0.8, 3) for spread in (2, 3, 20)]
    known = [loop_class(units) for units in days]
    rows = pd.DataFrame(
        {
            "zero_share_28": [np.mean(units == 0) for units in days],
            "units_mean_28": [np.mean(units) for units in days],
            "units_std_28": [np.std(units) for units in days],
        }
    )
    found = segments_of(rows)
    assert len(set(known)) == 4
    assert [next(name for name, chosen in found.items() if chosen[number]) for number in range(len(days))] == known


def loop_class(units):
    sizes = [unit for unit in units if unit > 0]
    is_rare = len(units) / len(sizes) >= 1.32
    is_varied = (np.std(sizes) / np.mean(sizes)) ** 2 >= 0.49
    names = {(True, True): "lumpy", (True, False): "intermittent", (False, True): "erratic", (False, False): "smooth"}
    return f"{names[is_rare, is_varied]} demand"


def test_a_series_that_has_not_sold_for_four_weeks_is_of_no_known_class():
    rows = pd.DataFrame({"zero_share_28": [1.0, np.nan], "units_mean_28": [0.0, np.nan], "units_std_28": [0.0, np.nan]})
    assert list(segments_of(rows)) == ["unknown demand"]


def test_stores_are_parted_in_thirds_by_what_they_sold():
    rows = pd.DataFrame({"store_id": list("abcdef") * 2, "actual": [5, 1, 9, 2, 7, 3] * 2})
    found = {name: set(rows["store_id"][chosen]) for name, chosen in segments_of(rows).items()}
    assert found == {"small stores": {"b", "d"}, "medium stores": {"f", "a"}, "large stores": {"e", "c"}}
