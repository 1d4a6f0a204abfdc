"""Sixty quiet days and a shift after them, by the product's own statements and models on a small simulated shop.

Each business date goes through what the operators do: load, features, forecast, drift check, realised error, governor.
"""

from datetime import timedelta

import pytest
from exported_shop import ExportedShop
from small_world import fitted, written

from shelfcast.cold_store import feature_views, load_batch
from shelfcast.cold_store.duckdb_store import DuckDBStore
from shelfcast.deployment import bundle
from shelfcast.deployment.build_bundle import build
from shelfcast.hot_store.partition import packed
from shelfcast.monitoring.drift import check_drift
from shelfcast.monitoring.drift_inputs import read_samples, write_report
from shelfcast.monitoring.realised_error import score_vintages
from shelfcast.retraining.decisions import decide_and_keep
from shelfcast.retraining.governor import Outcome
from shelfcast.serving.predictor import Predictor
from shelfcast.serving.vintage import forecast_all
from shelfcast.sources.simulation_settings import Fault, SimulationSettings
from shelfcast.training.frame_rows import frame_parameters

pytestmark = pytest.mark.integration
SHOP = SimulationSettings(stores=4, items=12, history_days=500, units_per_day=8.0)
QUIET_DAYS, SHIFTED_DAYS, DAYS_AFTER = 60, 3, 2
ORIGINS = 20


class Watched:
    """A shop whose business dates are forecast and watched one after another.

    Args:
        folder: Where batches, the candidate and its release go.
        settings: The shop.
        demand: The model's declaration.
    """

    def __init__(self, folder, settings, demand):
        self.shop = ExportedShop(folder / "batches", settings)
        self.demand = demand
        self.store = DuckDBStore(num_threads=1)
        load_batch.prepare(self.store)
        self.releases = folder / "releases"
        self.load(self.shop.snapshot(), settings.last_history_date)

    def load(self, batch, day):
        load_batch.load(self.store, batch)
        feature_views.build_partitions(self.store, day, horizon_days=self.demand.horizon)

    def release(self, folder, cutoff):
        """Trains on what is known at the cutoff, and forecasts with that from then on."""
        declared = self.demand.model_copy(update={"origins": ORIGINS})
        asked = frame_parameters(self.store, declared, cutoff, horizon_days=declared.horizon)
        frame = self.store.fetch(declared.frame_statement, asked)
        made = fitted(frame, declared, cutoff=cutoff)
        release_id = build(written(folder, made, frame), self.releases)
        self.predictor = Predictor(bundle.load(self.releases / release_id))

    def forecast(self, day):
        """The vintage of a day, as the ledger holds it."""
        active = list(self.store.fetch("serving/active_series", {"business_date": day})["series_id"])
        values = packed(self.store, self.demand, day)
        vintage = forecast_all(self.predictor, active, values, business_date=day)
        self.store.run("serving/create_ledger")
        self.store.connection.register("vintage", vintage.assign(release_id=self.predictor.bundle.release_id))
        self.store.connection.execute("INSERT INTO FORECASTS.LEDGER BY NAME SELECT * FROM vintage")

    def live_through(self, day):
        """Writes a day and returns the governor's decision at its close."""
        self.load(self.shop.day(day), day)
        self.forecast(day)
        samples = read_samples(self.store, day)
        write_report(self.store, check_drift(samples.newest, samples.references, business_date=day))
        score_vintages(self.store, day, releases=self.releases)
        return decide_and_keep(self.store, model="demand", business_date=day, is_retraining_in_flight=lambda: False)


@pytest.fixture(scope="module")
def decisions(tmp_path_factory, demand):
    """The governor's decision on each day after the history: quiet ones, then those of a lasting shift."""
    folder, last = tmp_path_factory.mktemp("watched"), SHOP.last_history_date
    days = [last + timedelta(days=number + 1) for number in range(QUIET_DAYS + SHIFTED_DAYS + DAYS_AFTER)]
    shift = Fault(kind="distribution_shift", first_day=days[QUIET_DAYS], amount=1.8)
    watched = Watched(folder, SHOP.model_copy(update={"faults": (shift,)}), demand)
    watched.release(folder / "candidate", last)
    watched.forecast(last)
    return [watched.live_through(day) for day in days]


def test_sixty_days_without_shift_ask_for_nothing(decisions):
    quiet = decisions[:QUIET_DAYS]
    assert [decision.reason for decision in quiet if decision.outcome is Outcome.REQUEST] == []
    states = [decision.details["windows"][-1]["score_state"] for decision in quiet]
    assert set(states) <= {"scored", "nothing_countable"}  # all stores are closed on a public holiday
    assert states.count("scored") > QUIET_DAYS - 5


def test_a_shift_over_three_days_asks_once_on_the_third(decisions):
    asked = [decision for decision in decisions[QUIET_DAYS:] if decision.outcome is Outcome.REQUEST]
    assert asked == [decisions[QUIET_DAYS + SHIFTED_DAYS - 1]]
