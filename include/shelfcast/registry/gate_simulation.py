"""How often the gate errs: simulated panels of two forecasts whose merits are known.

    python -m shelfcast.registry.gate_simulation --decisions 500 --of-rossmann 200 --out docs/images

Two forecasts are equal in expectation and differ all the same: each errs more in some stores than in others and more on
some days than on others, in all stores at once and for some days in a row. Rossmann's sales gave the sizes. In ten
comparisons of two LightGBM models over 42 days, the logarithm of the ratio of their daily losses had a standard deviation of
0.04 to 0.18 (median 0.08) and a correlation from one day to the next of 0.03 to 0.64 (median 0.2); 0.07 and 0.3, taken
here, leave a mean just as uncertain as the medians do. Around Christmas and Easter the shocks were the larger ones.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from shelfcast.model.candidate import Question
from shelfcast.model.declaration import GateRules
from shelfcast.model.metrics import Floats
from shelfcast.registry.candidate_cost import CandidateCost
from shelfcast.registry.gate import Decision, Evidence, Outcome, decide

RULES = GateRules(
    minimum_effect=0.005,
    segment_margin=0.05,
    bias_limit=0.05,
    coverage_range=(0.88, 0.92),
    alpha=0.05,
    segment_alpha=0.2,
)
COST = CandidateCost(model_bytes=1_000_000, microseconds_per_row=20.0)
RELATIVE_ERROR = 0.1
NORMAL_95 = 1.645
LAST_DAY = np.datetime64("2025-06-29")


@dataclass(frozen=True, kw_only=True)
class SimulatedPanel:
    """What is simulated.

    Attributes:
        stores: How many.
        items: Items a store.
        origins: Rolling origins, each followed by `horizon_days` days.
        horizon_days: Days ahead.
        store_spread: Standard deviation of the logarithm of a forecast's error by store.
        day_spread: The same by day, in all stores alike.
        day_memory: Correlation of the latter from one day to the next.
        error_memory: Correlation of a series' errors from one day to the next.
        shared: Share of the errors' variance that both forecasts have in common.
    """

    stores: int
    items: int = 1
    origins: int = 6
    horizon_days: int = 28
    store_spread: float = 0.05
    day_spread: float = 0.05
    day_memory: float = 0.3
    error_memory: float = 0.3
    shared: float = 0.9

    @property
    def days(self) -> int:
        """Days that are forecast."""
        return self.origins * self.horizon_days


DEMO = SimulatedPanel(stores=8, items=20)
MIDDLE = SimulatedPanel(stores=60, items=5)
ROSSMANN = SimulatedPanel(stores=1115, horizon_days=42)
SHAKEN = SimulatedPanel(stores=12, items=10, store_spread=0.15, day_spread=0.15, day_memory=0.8)
"""Stores and days both shake the comparison, and days for long: what one way of drawing alone does not see."""

ONE_RECIPE = SimulatedPanel(stores=12, items=8, shared=0.98, store_spread=0.01, day_spread=0.01)
"""Two fits of one recipe, some days apart: they err alike."""

PANELS = {"8 stores": DEMO, "12 shaken stores": SHAKEN, "60 stores": MIDDLE, "Rossmann's 1,115": ROSSMANN}
GAINS = (0.01, 0.02, 0.03, 0.05)
LOSSES = (0.0, 0.02, 0.05, 0.1)

Where = Callable[[pd.DataFrame], "pd.Series[bool]"]


def simulate(
    panel: SimulatedPanel, *, seed: int, gain: float = 0.0, worse_by: float = 0.0, where: Where | None = None
) -> pd.DataFrame:
    """Fold forecasts of a candidate and its champion, as the training job leaves them.

    Args:
        panel: The panel.
        seed: Of the draws.
        gain: Share by which the candidate's errors are smaller than the champion's in expectation.
        worse_by: Share by which they are larger where `where` says so.
        where: Answers the rows to spoil; none if `None`.
    """
    rng = np.random.default_rng(seed)
    rows = _calendar(panel)
    level = np.repeat(rng.lognormal(3, 0.5, panel.stores * panel.items), panel.days)
    common = _errors(panel, rng)
    candidate, champion = (_of_one(panel, common, rng) for _ in range(2))
    factor = np.full(len(rows), 1 - gain)
    if where is not None:
        factor[where(rows).to_numpy()] *= 1 + worse_by
    mean = level * (1 + RELATIVE_ERROR * factor * candidate)
    width = NORMAL_95 * RELATIVE_ERROR * (1 - gain) * level
    return rows.assign(
        actual=level,
        mean=mean,
        champion=level * (1 + RELATIVE_ERROR * champion),
        strongest_simple=level * (1 + 2 * RELATIVE_ERROR * champion),
        q05=mean - width,
        q95=mean + width,
    )


def _calendar(panel: SimulatedPanel) -> pd.DataFrame:
    """Keys and segments of every row, series by series and day after day."""
    series, day = (part.ravel() for part in np.indices((panel.stores * panel.items, panel.days)))
    origin = LAST_DAY - np.timedelta64(panel.days, "D") + (day // panel.horizon_days) * panel.horizon_days
    kind = series % 2
    return pd.DataFrame(
        {
            "series_id": series,
            "store_id": series // panel.items,
            "business_date": origin,
            "horizon_days": day % panel.horizon_days + 1,
            "sales_date": origin + day % panel.horizon_days + 1,
            "on_promotion": (day // 7 % 2).astype(float),
            "zero_share_28": np.where(kind, 0.4, 0.0),
            "units_mean_28": 10.0,
            "units_std_28": np.where(kind, 9.0, 3.0),
            "fold": panel.origins - 1 - day // panel.horizon_days,
        }
    )


def _of_one(panel: SimulatedPanel, common: Floats, rng: np.random.Generator) -> Floats:
    """One forecast's relative errors over its usual size, row by row."""
    store = np.repeat(rng.normal(0, panel.store_spread, panel.stores), panel.items)
    day = panel.day_spread * _in_a_row(rng.normal(size=(1, panel.days)), panel.day_memory)
    own = np.sqrt(panel.shared) * common + np.sqrt(1 - panel.shared) * _errors(panel, rng)
    return np.asarray((np.exp(store[:, None] + day) * own).ravel())


def _errors(panel: SimulatedPanel, rng: np.random.Generator) -> Floats:
    """Errors of each series on each day, with mean 0 and variance 1."""
    return _in_a_row(rng.normal(size=(panel.stores * panel.items, panel.days)), panel.error_memory)


def _in_a_row(shocks: Floats, memory: float) -> Floats:
    """AR(1) along the last axis with the shocks' own variance."""
    scaled = np.concatenate([shocks[:, :1], np.sqrt(1 - memory**2) * shocks[:, 1:]], axis=1)
    found: Floats = lfilter([1.0], [1.0, -memory], scaled, axis=1)
    return found


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Shares of simulated decisions.

    Attributes:
        released: By the gate, with all its rules.
        bootstrap: In which the cluster bootstrap shows a gain above the minimum effect.
        diebold_mariano: In which the test of the days' totals does.
        both: In which both do.
        textbook: In which the paired t over rows finds a gain above 0.
    """

    released: float
    bootstrap: float
    diebold_mariano: float
    both: float
    textbook: float


def decided(rows: pd.DataFrame, rules: GateRules = RULES) -> Decision:
    """The gate's decision about simulated rows."""
    return decide(rows, rules, strongest_simple="simulated", cost=COST, evidence=Evidence(question=Question.RECIPE))


def shares(
    panel: SimulatedPanel, *, decisions: int, gain: float = 0.0, rules: GateRules = RULES, first_seed: int = 0
) -> Shares:
    """How often the gate and each of its tests find for a candidate whose true gain is known."""
    found = [
        _verdicts(decided(simulate(panel, seed=first_seed + number, gain=gain), rules)) for number in range(decisions)
    ]
    released, bootstrap, daily, textbook = np.asarray(found, dtype=float).T
    return Shares(
        released=float(released.mean()),
        bootstrap=float(bootstrap.mean()),
        diebold_mariano=float(daily.mean()),
        both=float((bootstrap * daily).mean()),
        textbook=float(textbook.mean()),
    )


def _verdicts(decision: Decision) -> tuple[bool, bool, bool, bool]:
    alpha, effect = decision.rules["alpha"], decision.rules["minimum_effect"]
    daily, textbook = decision.diebold_mariano.p_value, decision.textbook_t.p_value
    return (
        decision.outcome is Outcome.RELEASE,
        decision.gain_low is not None and decision.gain_low > effect,
        daily is not None and daily <= alpha,
        textbook is not None and textbook <= alpha,
    )


def refreshes(*, decisions: int, loss: float = 0.0, origins: int = 6, first_seed: int = 0) -> float:
    """How often a refresh is released whose errors are larger than those of what served, by a share.

    Args:
        decisions: How many are simulated.
        loss: The share.
        origins: Of the folds, how many were served at.
        first_seed: Of the draws.
    """
    released = 0
    for seed in range(first_seed, first_seed + decisions):
        rows = simulate(ONE_RECIPE, seed=seed, gain=-loss)
        was_served = rows["fold"] < origins
        served = {"served": "champion", "served_q05": "q05", "served_q95": "q95"}
        rows = rows.assign(**{name: rows[column].where(was_served) for name, column in served.items()}, champion=np.nan)
        evidence = Evidence(question=Question.REFRESH)
        decision = decide(rows, RULES, strongest_simple="simulated", cost=COST, evidence=evidence)
        released += decision.outcome is Outcome.RELEASE
    return released / decisions


def refusals(panel: SimulatedPanel, *, decisions: int, first_seed: int = 0) -> float:
    """How often a candidate is held, with that segment named, that is better but 10 % worse four weeks ahead."""
    held = 0
    for seed in range(first_seed, first_seed + decisions):
        rows = simulate(panel, seed=seed, gain=0.08, worse_by=1.1 / 0.92 - 1, where=_fourth_week)
        decision = decided(rows)
        held += decision.outcome is Outcome.HOLD and "week 4 ahead" in "; ".join(decision.reasons)
    return held / decisions


def _fourth_week(rows: pd.DataFrame) -> "pd.Series[bool]":
    return rows["horizon_days"].between(22, 28)


def draw(equal: Mapping[str, Shares], better: Mapping[float, Shares], path: Path) -> None:
    """Draws how often equal candidates are promoted, by panel and test, and better ones at Rossmann's size."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained", width_ratios=(3, 2))
    bars = {
        "textbook": ("paired t over item-days", "#d9822b"),
        "diebold_mariano": ("Diebold-Mariano alone", "#8a8a8a"),
        "released": ("the gate", "#1f6fb2"),
    }
    for number, (name, (label, colour)) in enumerate(bars.items()):
        heights = [100 * asdict(found)[name] for found in equal.values()]
        drawn = left.bar(np.arange(len(equal)) + 0.27 * (number - 1), heights, 0.25, color=colour, label=label)
        left.bar_label(drawn, fmt="%.0f", fontsize=8)
    left.axhline(100 * RULES.alpha, color="black", linestyle="--", linewidth=1)
    left.set_xticks(range(len(equal)), list(equal))
    left.set(title="Equal forecasts: how often a gain is found", ylabel="share of decisions, %", ylim=(0, 75))
    left.legend(frameon=False, loc="upper center", ncols=3)
    gains = [100 * gain for gain in better]
    right.plot(gains, [100 * found.released for found in better.values()], color="#1f6fb2", marker="o")
    right.axhline(80, color="black", linestyle="--", linewidth=1)
    right.set(
        title="Better ones, Rossmann's size", xlabel="true gain, %", ylabel="promoted by the gate, %", ylim=(0, 103)
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    """Simulates, prints the shares and draws them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", type=int, default=500, help="about equal forecasts, each panel")
    parser.add_argument("--of-rossmann", type=int, default=200, help="the same at Rossmann's size, and each true gain")
    parser.add_argument("--out", type=Path, required=True, help="folder of the picture, made if need be")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    def said(what: str, found: object) -> None:
        print(f"{what}: {found}", flush=True)  # noqa: T201

    equal: dict[str, Shares] = {}
    for name, panel in PANELS.items():
        decisions = options.of_rossmann if panel is ROSSMANN else options.decisions
        equal[name] = shares(panel, decisions=decisions)
        said(f"equal, {name}, {decisions} decisions", equal[name])
    better = {0.0: equal["Rossmann's 1,115"]}
    for gain in GAINS:
        better[gain] = shares(ROSSMANN, decisions=options.of_rossmann, gain=gain)
        said(f"better by {gain:.0%}, Rossmann's size, {options.of_rossmann} decisions", better[gain])
    said(
        "worse by 10 % four weeks ahead, held with that segment named", refusals(MIDDLE, decisions=options.of_rossmann)
    )
    for loss in LOSSES:
        found = refreshes(decisions=options.of_rossmann, loss=loss)
        said(f"refresh worse by {loss:.0%} than what served, released, {options.of_rossmann} decisions", found)
    draw(equal, better, options.out / "gate_errors.png")


if __name__ == "__main__":
    main()
