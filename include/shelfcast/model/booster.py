"""LightGBM's trees, ready to predict: by its C interface, which is all that a forecast takes.

LightGBM's Python package loads SciPy, and pandas, scikit-learn and Arrow where there are any: seconds and hundreds of
megabytes, none of which a prediction needs. It is used where models are fitted (`lightgbm_fit`); both call the same library.
"""

import ctypes
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from shelfcast.model.features import Floats, ModelRows

LIBRARIES = ("lib/lib_lightgbm.so", "lib/lib_lightgbm.dylib")
"""Below LightGBM's package."""

DATA_TYPES = {np.dtype(np.float32): 0, np.dtype(np.float64): 1}
VALUE, RAW_SCORE = 0, 1
"""Of the C interface: `C_API_DTYPE_*` and `C_API_PREDICT_NORMAL`, `C_API_PREDICT_RAW_SCORE`."""


class Booster:
    """A model's trees.

    Args:
        text: LightGBM's native text. One that is damaged may end the process: see `shelfcast.deployment.model_check`.

    Attributes:
        features: Names of the columns that it was fitted on, in order, as its text says.
        columns: How many columns its trees read.
        trees: How many trees there are.

    Raises:
        ValueError: LightGBM does not take it.
    """

    def __init__(self, text: str) -> None:
        self.features = feature_names(text)
        self._handle = ctypes.c_void_p()
        trees, columns = ctypes.c_int(), ctypes.c_int()
        _call("BoosterLoadModelFromString", text.encode(), ctypes.byref(trees), ctypes.byref(self._handle))
        _call("BoosterGetNumFeature", self._handle, ctypes.byref(columns))
        self.trees, self.columns = trees.value, columns.value

    def __del__(self) -> None:
        if self._handle:
            _library().LGBM_BoosterFree(self._handle)

    def predict(self, rows: ModelRows, *, num_threads: int = 1) -> Floats:
        """Values, length n, for rows of shape (n, features): scores behind the inverse of the objective's link."""
        return self._predicted(rows, VALUE, num_threads)

    def raw_scores(self, rows: ModelRows, *, num_threads: int = 1) -> Floats:
        """Scores before the link, length n, for rows of shape (n, features)."""
        return self._predicted(rows, RAW_SCORE, num_threads)

    def _predicted(self, rows: ModelRows, kind: int, num_threads: int) -> Floats:
        count, features = rows.shape
        if features != self.columns:
            raise ValueError(f"Rows of {features} numbers for a model of {self.columns} features.")
        is_by_column = rows.flags.f_contiguous and not rows.flags.c_contiguous
        numbers = rows if is_by_column else np.ascontiguousarray(rows)
        found, length = np.empty(count), ctypes.c_int64()
        _call(
            "BoosterPredictForMat",
            self._handle,
            numbers.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_int(DATA_TYPES[numbers.dtype]),
            ctypes.c_int32(count),
            ctypes.c_int32(features),
            ctypes.c_int(not is_by_column),
            ctypes.c_int(kind),
            ctypes.c_int(0),
            ctypes.c_int(-1),
            f"num_threads={num_threads}".encode(),
            ctypes.byref(length),
            found.ctypes.data_as(ctypes.POINTER(ctypes.c_double)),
        )
        return found


def feature_names(text: str) -> tuple[str, ...]:
    """Names of the columns that a model was fitted on, in order; none if its text does not say."""
    named = re.search(r"^feature_names=(.*)$", text, flags=re.MULTILINE)
    return tuple(named[1].split()) if named else ()


@cache
def _library() -> ctypes.CDLL:
    package = find_spec("lightgbm")
    folders = list(package.submodule_search_locations or []) if package else []
    found = [path for folder in folders for name in LIBRARIES if (path := Path(folder) / name).exists()]
    if not found:
        raise ImportError("LightGBM's library is not there: install the package lightgbm, as requirements.txt has it.")
    library = ctypes.CDLL(str(found[0]))
    library.LGBM_GetLastError.restype = ctypes.c_char_p
    return library


def _call(name: str, *arguments: object) -> None:
    if getattr(_library(), f"LGBM_{name}")(*arguments):
        said = _library().LGBM_GetLastError().decode(errors="replace")
        raise ValueError(f"LightGBM does not take it: {said}")
