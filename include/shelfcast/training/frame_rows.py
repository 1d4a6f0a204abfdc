"""Unloads the training frame of a cutoff from the cold store: everything known at it, or what a model is to learn from."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from shelfcast.cold_store.cold_store import ColdStore
from shelfcast.cold_store.feature_views import built_dates, closed_at, ensure_ahead
from shelfcast.model import declaration as declarations
from shelfcast.model.declaration import ModelDeclaration
from shelfcast.training.sample_of_series import sample_of


@dataclass(frozen=True, kw_only=True)
class Unloaded:
    """What was unloaded.

    Attributes:
        rows: Number of rows.
        of_rows: That there would be without a ceiling, roughly; `rows` if nothing was left out.
    """

    rows: int
    of_rows: int


def unload_frame(
    store: ColdStore, declaration: ModelDeclaration, cutoff: date, folder: Path, *, horizon_days: int
) -> Unloaded:
    """Writes the training frame of a cutoff to an empty folder, at most `most_rows` of a forecast, roughly.

    Args:
        store: The cold store.
        declaration: The model.
        cutoff: A complete business date.
        folder: To write to.
        horizon_days: Days ahead; 0 for a regression, whose rows are all unloaded.

    Raises:
        NothingToDo: The cutoff is not a complete business date.
    """
    parameters = frame_parameters(store, declaration, cutoff, horizon_days=horizon_days)
    if declaration.kind == "forecast":
        sample = sample_of(store, declaration, parameters, horizon_days=horizon_days, most_rows=declaration.most_rows)
        if sample.is_part:
            kept = {**parameters, "kept_thousandths": sample.thousandths}
            rows = store.unload(declaration.frame_statement, kept, folder, is_sampled="TRUE")
            return Unloaded(rows=rows, of_rows=sample.rows)
    rows = store.unload(declaration.frame_statement, parameters, folder)
    return Unloaded(rows=rows, of_rows=rows)


def frame_parameters(
    store: ColdStore, declaration: ModelDeclaration, cutoff: date, *, horizon_days: int
) -> dict[str, object]:
    """What the frame's statement binds; covariates ahead are built where they are missing."""
    parameters: dict[str, object] = {"cutoff": cutoff, "known_until": closed_at(store, cutoff)}
    if declaration.kind == "forecast":
        step, built = declaration.origin_step_days, built_dates(store)
        origins = [cutoff - timedelta(days=step * number) for number in range(declaration.origins)]
        # a partition belongs to every run after this one: it is built whole, and the frame takes the days it needs
        whole = declarations.longest_horizon()
        ensure_ahead(store, [origin for origin in origins if origin in built], horizon_days=whole)
        parameters |= {"first_origin": origins[-1], "origin_step_days": step, "horizon_days": horizon_days}
    return parameters
