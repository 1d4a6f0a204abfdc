"""Random numbers by purpose: each purpose, day and store has its own stream, so nothing drawn before ever changes."""

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a stream of random numbers is for; the numbers are part of the simulator's format."""

    STORES = 1
    ITEMS = 2
    AFFINITY = 3
    STORE_ITEM_LEVEL = 4
    ITEM_LEVEL = 5
    STORE_LEVEL = 6
    STORE_SHOCK = 7
    ITEM_SHOCK = 8
    DEMAND = 9
    SUPPLY = 10
    PRICES = 11
    PROMOTIONS = 12
    CLOSURES = 13
    WEATHER = 14
    WEATHER_FORECAST = 15
    ORDERS = 16
    FAULTS = 17


def stream(seed: int, purpose: Purpose, *keys: int) -> np.random.Generator:
    """The stream of one purpose; `keys` are the day, week, store … that it belongs to, each 0 or more."""
    return np.random.default_rng([seed, int(purpose), *keys])
