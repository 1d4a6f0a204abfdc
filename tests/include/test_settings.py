"""Settings from the environment."""

import pytest

from shelfcast.errors import ConfigurationError, first_offenders
from shelfcast.settings import Settings


def test_defaults_are_those_of_a_laptop(tmp_path):
    settings = Settings.from_environment({"SHELFCAST_HOME": str(tmp_path)})
    assert settings.profile == "laptop"
    assert settings.landing == str(tmp_path / "landing")
    assert settings.num_threads == 2
    assert settings.query_memory_gib == 4


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SHELFCAST_PROFILE", "cloud"),
        ("SHELFCAST_NUM_THREADS", "many"),
        ("SHELFCAST_NUM_THREADS", "0"),
        ("SHELFCAST_QUERY_MEMORY_GIB", "4GB"),
        ("SHELFCAST_QUERY_MEMORY_GIB", "0.1"),
    ],
)
def test_a_wrong_value_is_refused_with_the_variable_named(name, value):
    with pytest.raises(ConfigurationError, match=name):
        Settings.from_environment({name: value})


def test_a_message_names_ten_and_counts_the_rest():
    assert first_offenders(range(3)) == "0, 1, 2"
    assert first_offenders(range(12)).endswith("9 and 2 more")
