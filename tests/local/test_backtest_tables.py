"""The tables that a backtest prints."""

import io

import numpy as np
import pandas as pd
from rich.console import Console

from shelfcast.training.backtest.scores import scores
from shelfcast_local.backtest_command import NOTHING_SOLD, _table

ROWS = 28


def test_a_segment_without_sales_says_so_in_words(demand):
    promoted = np.arange(ROWS) < 7
    mean = np.full(ROWS, 2.0)
    rows = pd.DataFrame({"series_id": "a@b", "horizon_days": np.arange(ROWS) + 1, "on_promotion": promoted * 1.0})
    rows = rows.assign(store_id="b", zero_share_28=0.0, units_mean_28=2.0, units_std_28=0.1)
    rows = rows.assign(store_group="a", actual=np.where(promoted, 0.0, 3.0), mean=mean, simple_naive=mean)
    rows = rows.assign(**dict.fromkeys(("q05", "q25", "q50", "q75", "q95"), mean))
    scale = pd.DataFrame({"series_id": ["a@b"], "squared_step": [1.0]})
    printed = Console(file=io.StringIO(), width=200)
    printed.print(_table(scores(rows, scale, demand), "segment", "a title"))
    lines = {line.split("  ")[0].strip(): line for line in printed.file.getvalue().splitlines()}
    assert NOTHING_SOLD in lines["on promotion"]
    assert NOTHING_SOLD not in lines["without promotion"]
    assert "nan" not in printed.file.getvalue()
