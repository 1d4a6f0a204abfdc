"""What a model is: one YAML file each in `include/models/`. Cheap to import, for DAG files read it while parsed."""

from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shelfcast.errors import ConfigurationError

LONGEST_HORIZON = 366
"""Most days ahead that a forecast may look; how many a history allows, it says itself."""

REGRESSION_PARTS = 10
"""Parts of equal size that a regression's history is cut into, where that of a forecast is cut by its horizon."""

QUANTILE_NAMES = {0.05: "q05", 0.25: "q25", 0.5: "q50", 0.75: "q75", 0.95: "q95"}
"""Levels that a quantile may have, and the columns that it is kept in."""

LOG_BASELINE = "log_baseline"
CALENDAR = ("weekday", "day_of_month", "workdays_left_in_month", "day_of_year", "days_from_easter")
"""Features of the day ahead that a forecast may have."""

MODELS_FOLDER = Path(__file__).resolve().parents[2] / "models"

Share = Annotated[float, Field(gt=0, lt=1)]
Searched = Literal[
    "learning_rate", "num_leaves", "min_data_in_leaf", "feature_fraction", "lambda_l2", "num_boost_round"
]


class Fit(BaseModel):
    """How LightGBM is fitted; the names are LightGBM's own but for `dispersion`.

    Attributes:
        tweedie_variance_power: Of `tweedie`, whose forecasts of rare items do not add up (ADR 13): 1 is Poisson's variance, 2
            that of errors which are the same share of small and large series.
        dispersion: What the variance of a day's units has beyond Poisson's: their mean plus so much of its square, as of the
            negative binomial distribution (Cameron and Trivedi, 2013, section 3.3). 0 is Poisson's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    objective: Literal["poisson", "tweedie", "regression"]
    tweedie_variance_power: Annotated[float, Field(ge=1, lt=2)] | None = None
    dispersion: Annotated[float, Field(ge=0)] = 0.0
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    num_leaves: Annotated[int, Field(ge=2, le=4096)]
    min_data_in_leaf: Annotated[int, Field(ge=1)]
    feature_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    lambda_l2: Annotated[float, Field(ge=0)] = 0.0
    max_bin: Annotated[int, Field(ge=15, le=255)] = 255
    num_boost_round: Annotated[int, Field(ge=1, le=10_000)]

    @model_validator(mode="after")
    def _only_tweedie_has_a_variance_power(self) -> Self:
        if (self.objective == "tweedie") != (self.tweedie_variance_power is not None):
            raise ValueError("tweedie_variance_power belongs to the objective tweedie, which needs it: 1 to below 2")
        return self


class Feature(BaseModel):
    """A number that the fitted model is given of a row; what is divided by nothing, or not finite, is not known.

    In a declaration a name alone is a column as it is, `log_baseline`, or a name of the `CALENDAR`. Otherwise one line says
    what it is made of, such as `price_ratio: {ratio: [price, price_mean_56]}`.

    Attributes:
        name: As the model's text has it.
        ratio: Two columns, the first over the second.
        at_most: The column of that name, up to this number, above which more of it says nothing.
        to_baseline: A column in the units of the target, told as the logarithm of its ratio to the baseline.
        of_weekday: Seven columns, `<this>_1` for Monday to `<this>_7`: that of the day ahead, told like `to_baseline`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    ratio: tuple[str, str] | None = None
    at_most: Annotated[float, Field(gt=0)] | None = None
    to_baseline: str | None = None
    of_weekday: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_line(cls, value: Any) -> Any:
        """`name`, or `{name: {...}}`, as a declaration has it."""
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, dict) and len(value) == 1 and "name" not in value:
            [(name, made_of)] = value.items()
            return {"name": name, **made_of} if isinstance(made_of, dict) else value
        return value

    @model_validator(mode="after")
    def _made_in_one_way(self) -> Self:
        ways = [self.ratio, self.at_most, self.to_baseline, self.of_weekday]
        if sum(way is not None for way in ways) > 1:
            raise ValueError(f"{self.name} is made in one way: of ratio, at_most, to_baseline or of_weekday")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of a row that it is made of, besides those of the baseline."""
        if self.ratio:
            return self.ratio
        if self.of_weekday:
            return (*seven(self.of_weekday), "sales_date")
        if self.name in CALENDAR:
            return ("sales_date",)
        return () if self.name == LOG_BASELINE else (self.to_baseline or self.name,)

    @property
    def is_against_baseline(self) -> bool:
        """Whether the baseline has a part in it."""
        return bool(self.to_baseline or self.of_weekday or self.name == LOG_BASELINE)

    @property
    def is_always_known(self) -> bool:
        """Whether no row lacks it: it comes from the day that is asked for, or from the baseline, which falls back."""
        return self.name in (LOG_BASELINE, "horizon_days", *CALENDAR)


def seven(name: str) -> tuple[str, ...]:
    """Names of the columns of the weekdays, Monday first."""
    return tuple(f"{name}_{day}" for day in range(1, 8))


class GateRules(BaseModel):
    """When a candidate may become the champion.

    Attributes:
        loss: What is compared, `absolute` or `squared` errors; see `evaluation.telling`.
        minimum_effect: Smallest relative gain in loss that counts, such as 0.005 for half a percent.
        segment_margin: Relative rise of the loss by which a segment must be shown not to suffer.
        bias_limit: Largest absolute bias that may be shown, as a share of the actual total.
        coverage_range: Share of actuals within the 5 % and 95 % quantiles that is accepted.
        segment_coverage_margin: How far from 90 % that share may lie in a segment.
        size_limit_bytes: Largest model text.
        prediction_limit_microseconds: Most processor time for the prediction of one row.
        alpha: Error rate of each test of the gain.
        segment_alpha: Error rate of each segment's test. All of them must be passed, so it may be the larger one.
        refresh_margin: Relative rise of the loss by which a refresh must be shown not to be worse than what served.
        refresh_total_limit: How far the total that a refresh forecasts may lie from the champion's, as a share of it.
        refresh_store_limit: The same of any one store.
        break_limit: Share by which a store alone may leave its forecast before its newest days are asked about.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    loss: Literal["absolute", "squared"] = "absolute"
    minimum_effect: Annotated[float, Field(ge=0, lt=1)]
    segment_margin: Annotated[float, Field(ge=0, lt=1)]
    bias_limit: Annotated[float, Field(gt=0, lt=1)]
    coverage_range: tuple[Share, Share]
    segment_coverage_margin: Share = 0.05
    size_limit_bytes: Annotated[int, Field(gt=0)] = 64 * 2**20
    prediction_limit_microseconds: Annotated[float, Field(gt=0)] = 150.0
    alpha: Annotated[float, Field(gt=0, le=0.25)]
    segment_alpha: Annotated[float, Field(gt=0, le=0.25)] = 0.2
    refresh_margin: Annotated[float, Field(gt=0, lt=1)] = 0.02
    refresh_total_limit: Annotated[float, Field(gt=0, lt=1)] = 0.15
    refresh_store_limit: Annotated[float, Field(gt=0, lt=1)] = 0.3
    break_limit: Annotated[float, Field(gt=0, lt=1)] = 0.25


RECIPE = (
    "kind",
    "entity",
    "target",
    "features_table",
    "ahead_table",
    "frame_statement",
    "as_of_features",
    "ahead_covariates",
    "features",
    "horizon_days",
    "origin_step_days",
    "origins",
    "fit",
    "quantiles",
)
"""Fields of a declaration that decide what is fitted; the others say how it is judged, searched and watched."""


class ModelDeclaration(BaseModel):
    """A model that Shelfcast trains, releases and watches.

    Attributes:
        name: Also the file's stem and part of DAG ids, assets and keys.
        kind: `forecast` (one value a series and day ahead) or `regression` (one value a request).
        entity: Column that names what a feature vector belongs to.
        target: Column that is predicted.
        level: What one prediction is about, as answers and reports say it.
        features_table: Table of as-of features.
        ahead_table: Table of covariates of the days to come; forecasts only.
        frame_statement: Statement of the training frame, below `sql/`.
        as_of_features: Columns of `features_table`, in the order of the packed vector.
        ahead_covariates: Columns of `ahead_table`, in the order of the packed vector.
        features: What the fitted model is given of a row, in this order.
        usual: Two columns whose ratio is what is usual for the entity, a simple method; regressions only.
        horizon_days: Days ahead, 1 to `LONGEST_HORIZON`; forecasts only.
        origin_step_days: Days between two training origins.
        origins: Most training origins.
        most_rows: Rows that a forecast learns from, roughly; of more, each origin keeps a random part of its series.
        folds: Rolling origins to measure on.
        fit: LightGBM's parameters.
        search: Ranges, both ends included, in which a search may look for better ones.
        quantiles: Levels of the predicted quantiles, ascending, between 0 and 1.
        gate: Rules of the gate.
        stale_after_days: Oldest age of a feature vector that is served, in days from its business date to today.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    kind: Literal["forecast", "regression"]
    entity: Literal["series_id", "customer_id"]
    target: str
    level: str
    features_table: str
    ahead_table: str | None = None
    frame_statement: str
    as_of_features: tuple[str, ...]
    ahead_covariates: tuple[str, ...] = ()
    features: Annotated[tuple[Feature, ...], Field(min_length=1)]
    usual: tuple[str, str] | None = None
    horizon_days: Annotated[int, Field(ge=1, le=LONGEST_HORIZON)] | None = None
    origin_step_days: Annotated[int, Field(ge=1, le=28)] = 7
    origins: Annotated[int, Field(ge=4)] = 60
    most_rows: Annotated[int, Field(ge=10_000)] = 3_000_000
    folds: Annotated[int, Field(ge=1, le=12)]
    fit: Fit
    search: dict[Searched, tuple[float, float]] = {}
    quantiles: tuple[Share, ...]
    gate: GateRules
    stale_after_days: Annotated[int, Field(ge=1)] = 7

    @model_validator(mode="after")
    def _a_forecast_looks_ahead(self) -> Self:
        if self.kind == "forecast" and not (self.ahead_table and self.horizon_days and self.ahead_covariates):
            raise ValueError("a forecast needs ahead_table, ahead_covariates and horizon_days")
        if list(self.quantiles) != sorted(set(self.quantiles)):
            raise ValueError("quantiles must ascend")
        return self

    @model_validator(mode="after")
    def _a_regression_says_what_is_usual(self) -> Self:
        if self.kind == "regression" and not self.usual:
            raise ValueError("a regression needs usual, two of its columns: their ratio is what a model has to beat")
        return self

    @model_validator(mode="after")
    def _features_are_made_of_its_columns(self) -> Self:
        known = {*self.as_of_features, *self.ahead_covariates}
        known |= {"horizon_days", "sales_date"} if self.kind == "forecast" else set()
        unknown = {column for feature in self.features for column in feature.columns if column not in known}
        unknown |= {column for column in self.usual or () if column not in known}
        if unknown:
            raise ValueError(f"features are made of as_of_features and ahead_covariates, {sorted(unknown)} are neither")
        if self.kind == "regression" and any(feature.is_against_baseline for feature in self.features):
            raise ValueError("a regression has no baseline that a feature could be told by")
        if len(set(self.feature_names)) != len(self.features):
            raise ValueError("two features have one name")
        return self

    @model_validator(mode="after")
    def _the_quantiles_have_columns(self) -> Self:
        if set(self.quantiles) != set(QUANTILE_NAMES):
            raise ValueError(f"quantiles are {list(QUANTILE_NAMES)}: those that ledger, gate and card have columns for")
        return self

    @model_validator(mode="after")
    def _a_search_stays_within_what_a_fit_may_be(self) -> Self:
        for name, (low, high) in self.search.items():
            if low >= high:
                raise ValueError(f"search.{name} needs a lower and a higher end")
            for end in (low, high):
                Fit.model_validate({**self.fit.model_dump(), name: end})
        return self

    def fitted_by(self, **parameters: float) -> Self:
        """The same model with other parameters of LightGBM's."""
        return self.model_copy(update={"fit": Fit.model_validate({**self.fit.model_dump(), **parameters})})

    def changes_since(self, earlier: Self) -> list[str]:
        """What differs from an earlier recipe, `field` or `fit.parameter 0.1 → 0.2`; nothing of the same recipe."""
        found = [name for name in RECIPE if name != "fit" and getattr(self, name) != getattr(earlier, name)]
        now, then = self.fit.model_dump(), earlier.fit.model_dump()
        return [*found, *(f"fit.{name} {then[name]} → {now[name]}" for name in now if now[name] != then[name])]

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the fitted model's columns, in order."""
        return tuple(feature.name for feature in self.features)

    @property
    def horizon(self) -> int:
        """Days ahead of a forecast; 0 for a regression."""
        return self.horizon_days or 0

    @property
    def vector_fields(self) -> tuple[str, ...]:
        """Names of the packed vector's numbers: the as-of features, then each covariate for each day ahead."""
        ahead = (f"{name}_{day}" for name in self.ahead_covariates for day in range(1, self.horizon + 1))
        return (*self.as_of_features, *ahead)


@cache
def load(name: str) -> ModelDeclaration:
    """The declaration `include/models/<name>.yaml`; raises `ConfigurationError` that names file and field."""
    return read(MODELS_FOLDER / f"{name}.yaml")


def read(path: Path, *, name: str | None = None) -> ModelDeclaration:
    """Reads a declaration of the model `name` (the file's stem if `None`).

    Raises:
        ConfigurationError: Names file, field, what was found and what is wrong.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        raise ConfigurationError(f"There is no model {path.stem}: {path.name} is not in include/models.") from None
    return parse(text, path.name, name=name or path.stem)


def parse(text: str, file_name: str, *, name: str, older: bool = False) -> ModelDeclaration:
    """The declaration in a text, of the model `name`; raises as `read` does.

    One that is `older` may lack what declarations did not say once, and has it from the model as it is declared by now.
    """
    try:
        content = yaml.safe_load(text)
        if older and isinstance(content, dict) and "features" not in content and name in names():
            now = load(name).model_dump(mode="json", include={"features", "level", "usual"})
            content = {**now, **content}
        declared = ModelDeclaration.model_validate(content)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{file_name} is no YAML: {error}. Mend the file.") from error
    except ValidationError as error:
        faults = [
            f"{'.'.join(str(part) for part in fault['loc']) or 'the file'}: {fault['msg']}, found {fault['input']!r:.80}"
            for fault in error.errors()[:10]
        ]
        raise ConfigurationError(f"{file_name} does not declare a model: {'; '.join(faults)}.") from error
    if declared.name != name:
        raise ConfigurationError(f"{file_name} declares the model {declared.name}; expected {name}.")
    return declared


def text_of(declaration: ModelDeclaration) -> str:
    """The declaration as a file: the one in `include/models/` unless its parameters were searched."""
    text = (MODELS_FOLDER / f"{declaration.name}.yaml").read_text()
    if declaration == load(declaration.name):
        return text
    purpose = "".join(takewhile(lambda line: line.startswith("#"), text.splitlines(keepends=True)))
    return purpose + yaml.safe_dump(declaration.model_dump(mode="json", exclude_none=True), sort_keys=False)


def names() -> list[str]:
    """Names of all declared models."""
    return sorted(path.stem for path in MODELS_FOLDER.glob("*.yaml"))


def longest_horizon() -> int:
    """The most days ahead that any declared model forecasts."""
    return max(load(name).horizon for name in names())
