"""A forecaster starts and answers where nothing is installed that only training needs."""

import subprocess
import sys

import numpy as np
import pytest

ABSENT = ("pandas", "pyarrow", "duckdb", "scipy", "sklearn", "narwhals")
ASKED = """
import sys

sys.modules.update(dict.fromkeys({absent}))  # as if they were not installed: an import of them fails
{first}
from datetime import date
from pathlib import Path

import numpy as np
from starlette.testclient import TestClient

import forecaster.__main__
from shelfcast.hot_store.vector import Vector
from shelfcast.model import declaration
from shelfcast.serving.app import create_app
from shelfcast.serving.releases import Releases

folder, numbers = Path(sys.argv[1]), np.load(sys.argv[2])


class Reader:
    async def read(self, declaration, entity):
        return "20250630-aaaaaaaa", Vector(business_date=date(2025, 6, 30), numbers=numbers)


releases, models = Releases(folder, ["demand"]), [declaration.load("demand")]
app = create_app(Reader(), releases, models=models, token="secret", freshness=None)
with TestClient(app, headers={{"Authorization": "Bearer secret"}}) as client:
    answer = client.post("/v1/demand/forecast", json={{"series_id": "milk@S1"}})
assert answer.status_code == 200, answer.text
assert "lightgbm" not in sys.modules
print(answer.json()["forecasts"][0]["mean"])
"""


def answered(folder, numbers, *, first=""):
    script = ASKED.format(absent=ABSENT, first=first)
    return subprocess.run(
        [sys.executable, "-c", script, folder, numbers], capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture
def numbers(tmp_path, vectors):
    np.save(tmp_path / "numbers.npy", vectors[1].numbers)
    return tmp_path / "numbers.npy"


def test_a_forecaster_answers_without_any_library_of_training(releases_folder, numbers, predictor, vectors):
    done = answered(releases_folder, numbers)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(predictor.forecast(vectors[1:2], horizon_days=1).mean[0, 0], rel=1e-6)


def test_lightgbms_package_would_not_even_load(releases_folder, numbers):
    done = answered(releases_folder, numbers, first="import lightgbm")
    assert done.returncode == 1
    assert "ModuleNotFoundError: import of narwhals" in done.stderr
