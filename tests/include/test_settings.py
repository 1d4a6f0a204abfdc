"""Settings from the environment."""

from pathlib import Path

import pytest

from forecaster.settings import ForecasterSettings
from shelfcast.errors import ConfigurationError, first_offenders
from shelfcast.settings import Settings


@pytest.fixture
def tell(monkeypatch):
    """Sets variables, and none but these."""
    for name in (*Settings.model_fields, *ForecasterSettings.model_fields):
        monkeypatch.delenv(f"SHELFCAST_{name.upper()}", raising=False)
    return lambda **said: [monkeypatch.setenv(f"SHELFCAST_{name}", value) for name, value in said.items()]


def test_defaults_are_those_of_a_laptop(tell, tmp_path):
    tell(HOME=str(tmp_path))
    settings = Settings.from_environment()
    assert settings.profile == "laptop"
    assert (settings.landing, settings.artifacts) == (tmp_path / "landing", tmp_path / "artifacts")
    assert settings.num_threads == 2
    assert settings.query_memory_gib == 4


def test_without_a_home_state_lies_where_the_process_runs(tell):
    assert Settings.from_environment().artifacts == Path(".shelfcast/artifacts").absolute()


def test_what_is_told_counts(tell):
    tell(PROFILE="platform", LANDING="s3://shop/landing", NUM_THREADS="8", QUERY_MEMORY_GIB="0.5")
    settings = Settings.from_environment()
    assert (settings.profile, str(settings.landing)) == ("platform", "s3://shop/landing")
    assert (settings.num_threads, settings.query_memory_gib) == (8, 0.5)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("PROFILE", "cloud", "'cloud'; write one of: laptop, platform"),
        ("NUM_THREADS", "many", "'many'; write a whole number of 1 or more"),
        ("NUM_THREADS", "0", "'0'; write a whole number of 1 or more"),
        ("QUERY_MEMORY_GIB", "4GB", "'4GB'; write a number of 0.5 or more"),
        ("QUERY_MEMORY_GIB", "0.1", "'0.1'; write a number of 0.5 or more"),
        ("QUERY_MEMORY_GIB", "inf", "'inf'; write a number of 0.5 or more"),
    ],
)
def test_a_wrong_value_is_refused_with_the_variable_named(tell, name, value, says):
    tell(**{name: value})
    with pytest.raises(ConfigurationError) as refused:
        Settings.from_environment()
    assert str(refused.value) == f"SHELFCAST_{name} is {says}."


SERVING = {
    "HOT_STORE_URL": "redis://127.0.0.1:9/0",
    "RELEASES": "/releases",
    "FORECASTER_TOKEN": "x" * 16,
    "FORECASTER_PORT": "8090",
}


@pytest.mark.parametrize(("said", "days"), [(None, None), ("", None), ("any", "any"), ("3", 3)])
def test_a_forecaster_is_told_how_old_a_vector_may_be(tell, said, days):
    tell(**SERVING, **({} if said is None else {"STALE_AFTER_DAYS": said}))
    settings = ForecasterSettings.from_environment()
    assert (settings.stale_after_days, settings.forecaster_port) == (days, 8090)
    assert "x" * 16 not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("FORECASTER_TOKEN", "", "has 0 characters; give it 16 or more"),
        ("FORECASTER_TOKEN", "short", "has 5 characters; give it 16 or more"),
        ("FORECASTER_PORT", "http", "is 'http'; write the port to listen on"),
        ("HOT_STORE_URL", "", "is not set; write the address of Redis, with its password"),
        ("STALE_AFTER_DAYS", "0", "is '0'; write a whole number of days, 1 or more, any, or nothing"),
        ("STALE_AFTER_DAYS", "soon", "is 'soon'; write a whole number of days, 1 or more, any, or nothing"),
    ],
)
def test_wrong_settings_stop_a_forecaster(tell, name, value, says):
    tell(**{**SERVING, name: value})
    with pytest.raises(ConfigurationError) as refused:
        ForecasterSettings.from_environment()
    assert str(refused.value).startswith(f"SHELFCAST_{name} {says}")


def test_a_message_names_ten_and_counts_the_rest():
    assert first_offenders(range(3)) == "0, 1, 2"
    assert first_offenders(range(12)).endswith("9 and 2 more")


@pytest.mark.parametrize("name", ["LANDING", "ARTIFACTS"])
def test_a_place_that_nobody_would_find_again_is_refused_by_its_variable(tell, name):
    tell(**{name: "s3:/shop/landing"})
    with pytest.raises(ConfigurationError, match=rf"SHELFCAST_{name} is 's3:/shop/landing': neither an absolute path"):
        Settings.from_environment()
