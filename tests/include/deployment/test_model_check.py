"""Whether a model's text is sound, before it is released."""

import re

import pytest

from shelfcast.deployment.model_check import check
from shelfcast.errors import BundleError
from shelfcast.model.booster import feature_names


def with_leaf(text, number):
    """The text with another value of the last leaf of its first tree, whose size the header tells."""
    found = re.search(r"^leaf_value=.*?(\S+)$", text, flags=re.MULTILINE)
    changed = text[: found.start(1)] + number + text[found.end(1) :]
    more = len(number) - len(found[1])
    return re.sub(r"(?<=^tree_sizes=)\d+", lambda size: str(int(size[0]) + more), changed, flags=re.MULTILINE)


@pytest.mark.parametrize("number", ["inf", "-inf", "nan", "1e999"])
def test_a_model_with_a_leaf_that_is_not_finite_is_not_sound(candidate, number):
    """It would be predicted for rows that nobody has tried."""
    text = candidate.model.mean_text
    check("model.txt", with_leaf(text, "0.125").encode(), features=len(feature_names(text)))
    with pytest.raises(BundleError, match=f"model.txt is no sound model: a leaf of it is {number}"):
        check("model.txt", with_leaf(text, number).encode(), features=len(feature_names(text)))
