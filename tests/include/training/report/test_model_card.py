"""The model card of a candidate: what it says, and that it says what the run's files hold."""

import json
import operator
import re
from datetime import date

import numpy as np
import pandas as pd
import pytest
from small_world import freeze

from shelfcast.model import declaration as declarations
from shelfcast.model.features import assemble
from shelfcast.model.metrics import bias, rmse, wape
from shelfcast.model.segments import store_groups_of
from shelfcast.training.frame import FrozenFrame, columns_of, digest, verify
from shelfcast.training.report import card_scores, model_card
from shelfcast.training.report.card_scores import scores, shown_segments_of
from shelfcast.training.report.card_text import interval, percent, purpose
from shelfcast.training.report.explanation import explain, summary
from shelfcast.training.report.lineage import BASELINE, lineage
from shelfcast.training.report.plots import draw


@pytest.fixture
def run_folder(tmp_path, candidate, frame):
    """A training run's folder: the frozen frame, the candidate and its pictures."""
    about = {"folds": 2, "horizon_days": 28, "reason": "sales | doubled", "is_forced": False}
    freeze(frame, tmp_path, model="demand", cutoff=date(2024, 6, 30), **about)
    candidate.candidate.write(tmp_path / "candidate", fold_forecasts=candidate.rows)
    draw(candidate.rows, tmp_path / "candidate" / "report" / "plots")
    return tmp_path


@pytest.fixture(scope="module")
def weights(candidate, frame, demand):
    return summary(explain(candidate.model.mean_text, assemble(columns_of(frame.head(900)), demand)))


def card(folder, weights):
    frame = FrozenFrame(folder, verify(folder), declarations.load("demand"))
    model_card.write(frame, folder / "candidate", code_version="abc123", weights=weights)
    return [(folder / "candidate" / "report" / name).read_text() for name in ("model_card.md", "model_card.html")]


def test_a_card_says_of_how_many_rows_a_part_was_learned_from(run_folder, weights):
    path = run_folder / "frame.json"
    told = json.loads(path.read_text())
    assert not [text for text in card(run_folder, weights) if "out of about" in text]
    path.write_text(json.dumps(told | {"of_rows": 123_456}))
    said = f"{told['rows']:,} rows, of each origin a random part of its series out of about 123,456 rows, of "
    assert all(said in text for text in card(run_folder, weights))


def table(markdown, title):
    """Rows of the table below a heading, by their first cell."""
    part = markdown.split(f"## {title}\n")[1].split("\n## ")[0]
    rows = [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in part.splitlines() if line.startswith("|")]
    return {row[0]: row[1:] for row in rows[2:]}


def test_a_card_has_each_part_that_a_reader_looks_for(run_folder, weights):
    markdown, page = card(run_folder, weights)
    titles = [line.removeprefix("## ") for line in markdown.splitlines() if line.startswith("## ")]
    assert titles == [
        "Purpose", "How it was made", "Data", "Error, overall and by segment", "Calibration",
        "Fairness across groups of stores", "What moves its forecasts", "Features and their lineage", "Limits",
    ]  # fmt: skip
    assert "Units sold of an item at a store on a day, up to four weeks ahead." in markdown
    assert all(f"<h2>{title}</h2>" in page for title in titles)


def test_a_card_names_the_data_by_window_and_digest(run_folder, weights):
    markdown, _ = card(run_folder, weights)
    found = table(markdown, "Data")
    assert found["frame.parquet"] == [digest(run_folder / "frame.parquet")]
    for name in model_card.DIGESTED:
        assert found[name] == [digest(run_folder / "candidate" / name)]
    assert "6,720 rows of 2024-01-02 to 2024-06-10, as known at the close of 2024-06-30" in markdown
    assert table(markdown, "How it was made")["Code"] == ["abc123"]


def test_a_card_says_the_errors_of_the_fold_forecasts(run_folder, weights, candidate):
    markdown, _ = card(run_folder, weights)
    rows, found = candidate.rows, table(markdown, "Error, overall and by segment")
    promoted = rows[rows["on_promotion"] > 0]
    for name, part in (("all", rows), ("on promotion", promoted), ("week 4 ahead", rows[rows["horizon_days"] > 21])):
        assert found[name][0] == f"{len(part):,}"
        assert found[name][1].startswith(f"{wape(part['actual'].to_numpy(), part['mean'].to_numpy()):.1%} [")
    assert "large stores" in found
    assert table(markdown, "Calibration")["share within the 90% interval"][0] == "90%"
    measured = json.loads((run_folder / "candidate" / "metrics.json").read_text())["coverage_90"]
    assert table(markdown, "Calibration")["share within the 90% interval"][1] == f"{measured:.1%}"
    below, or_at = (np.mean(compare(rows["actual"], rows["q25"])) for compare in (operator.lt, operator.le))
    told = table(markdown, "Calibration")["share below the 25% quantile, and at or below it"]
    assert told == ["25%", f"{below:.1%} to {or_at:.1%}"]


def test_a_card_compares_groups_of_stores_with_real_numbers(run_folder, weights, candidate):
    markdown, _ = card(run_folder, weights)
    found = table(markdown, "Fairness across groups of stores")
    assert list(found) == ["store group corner", "store group market"]
    own = candidate.rows[candidate.rows["store_group"] == "market"]
    assert found["store group market"][1].startswith(f"{wape(own['actual'].to_numpy(), own['mean'].to_numpy()):.1%} [")
    assert found["store group market"][2].startswith(f"{bias(own['actual'].to_numpy(), own['mean'].to_numpy()):+.1%} [")
    assert "[" not in found["store group corner"][1]  # one store: nothing to draw from


def test_a_card_without_groups_of_stores_says_so(run_folder, weights, candidate):
    path = run_folder / "candidate" / "fold_forecasts.parquet"
    candidate.rows.drop(columns="store_group").to_parquet(path, index=False)
    assert "The rows of this run do not say a store's group." in card(run_folder, weights)[0]


def test_a_page_needs_no_other_file_and_believes_no_text(run_folder, weights):
    path = run_folder / "candidate" / "fold_forecasts.parquet"
    rows = pd.read_parquet(path)
    rows.assign(store_group="<script>alert(1)</script>").to_parquet(path, index=False)
    _, page = card(run_folder, weights)
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert page.count("data:image/png;base64,") == 3
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_a_cell_cannot_break_a_table(run_folder, weights):
    assert table(card(run_folder, weights)[0], "How it was made")["Reason"] == ["sales \\| doubled"]


def test_the_same_run_gives_the_same_card(run_folder, weights):
    assert card(run_folder, weights) == card(run_folder, weights)


def test_limits_are_told_from_the_numbers(run_folder, weights, candidate):
    path = run_folder / "candidate" / "fold_forecasts.parquet"
    far = candidate.rows["horizon_days"] > 21
    rows = candidate.rows.assign(mean=np.where(far, candidate.rows["mean"] * 2, candidate.rows["mean"]))
    rows.to_parquet(path, index=False)
    limits = card(run_folder, weights)[0].split("## Limits")[1]
    assert "largest error is that of week 4 ahead" in limits
    assert "simple method has a smaller WAPE in: " in limits
    assert re.search(r"leaves out zero in: .*week 4 ahead \(\+(9|10)\d\.\d%\)", limits)
    assert "4 stores are few" in limits
    assert "Measured on 2 origins" in limits


def orders(count=600):
    """Fold forecasts of a regression."""
    rng = np.random.default_rng(3)
    actual = rng.gamma(4, 10, count)
    rows = pd.DataFrame(
        {"customer_id": rng.integers(0, 60, count), "actual": actual, "mean": actual + rng.normal(0, 5, count)}
    )
    return rows.assign(strongest_simple=40.0, q05=rows["mean"] - 9, q95=rows["mean"] + 9, fold=0)


def test_a_regression_is_divided_by_what_was_forecast():
    rows = orders()
    assert list(shown_segments_of(rows)) == [f"rows by forecast, {third}" for third in card_scores.THIRDS]
    assert [member.sum() for member in shown_segments_of(rows).values()] == [200, 200, 200]
    assert store_groups_of(rows) == {}
    assert shown_segments_of(rows.head(2)) == {}


def test_intervals_are_those_of_stores_drawn_by_a_loop(monkeypatch):
    monkeypatch.setattr(card_scores, "DRAWS", 40)
    rows, member = orders(300), np.arange(300) % 3 > 0
    (found,) = scores(rows, {"some": member, "none": member & False})
    customers = {code: rows[(rows["customer_id"] == code) & member] for code in rows["customer_id"].unique()}
    rng, codes, drawn = np.random.default_rng(card_scores.SEED), list(rows["customer_id"].unique()), []
    for _ in range(40):
        sample = pd.concat([customers[codes[number]] for number in rng.integers(0, len(codes), len(codes))])
        pair = sample["actual"].to_numpy(), sample["mean"].to_numpy()
        drawn.append((wape(*pair), bias(*pair), rmse(*pair)))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    assert found.segment == "some"
    assert [found.wape.low, found.bias.low, found.rmse.low] == pytest.approx(list(low))
    assert [found.wape.high, found.bias.high, found.rmse.high] == pytest.approx(list(high))
    assert found.wape.low < found.wape.value < found.wape.high


def test_rows_without_store_or_customer_are_drawn_one_by_one():
    (found,) = scores(orders().drop(columns="customer_id"), {"all": np.ones(600, bool)})
    assert found.wape.low < found.wape.value < found.wape.high


def test_a_figure_that_cannot_be_told_is_a_dash():
    (found,) = scores(orders().assign(actual=0.0), {"all": np.ones(600, bool)})
    assert interval(found.wape, percent) == "–"
    assert purpose("name: x") == "The declaration does not say."


@pytest.mark.parametrize("model", ["demand", "order_value"])
def test_lineage_names_each_column_that_moves_a_feature(model, frame, request):
    """The oracle: change one column of the frame, see which features move."""
    declaration = request.getfixturevalue(model)
    if model == "order_value":
        frame = pd.DataFrame({"total_spent": [10.0, 30.0, 0.0], "purchase_count": [1.0, 2.0, 0.0]})
    rows = spread(frame.head(300))
    before, told = assemble(columns_of(rows), declaration), lineage(declaration)
    assert tuple(one.feature for one in told) == declaration.feature_names
    named = {*declaration.as_of_features, *declaration.ahead_covariates, "sales_date", "horizon_days"} & set(rows)
    for column in sorted(named):
        after = assemble(columns_of(changed(rows, column)), declaration)
        moved = ~np.isclose(before, after, equal_nan=True).all(axis=0)
        for one in [one for one, has_moved in zip(told, moved, strict=True) if has_moved]:
            behind = {*one.columns, *(BASELINE if one.is_against_baseline else ())}
            assert column in behind, f"{column} moves {one.feature}, which is said to be made of {one.columns}"
    untouched = {column for one in told for column in one.columns} - named
    assert not untouched


def spread(rows):
    """Rows in which every number differs, so that no ratio hides a change."""
    rng = np.random.default_rng(1)
    numbers = [name for name in rows.select_dtypes("number") if name not in ("horizon_days", "on_promotion")]
    return rows.assign(
        **{name: np.nan_to_num(rows[name], nan=3.0) + rng.uniform(0.1, 1, len(rows)) for name in numbers}
    )


def changed(rows, column):
    if column == "sales_date":
        return rows.assign(sales_date=pd.to_datetime(rows["sales_date"]) + pd.Timedelta(days=3))
    value = 1 - rows[column] if column == "on_promotion" else rows[column] * 1.5 + 1
    return rows.assign(**{column: value})
