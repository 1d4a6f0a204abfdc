"""Whether a release predicts values that can be, before anything points at it."""

from datetime import date
from typing import Any

import numpy as np

from shelfcast.hot_store.vector import Vector
from shelfcast.serving.predictor import Predictor

ANY_DATE = date(2024, 1, 1)


def smoke_test(predictor: Predictor) -> dict[str, Any]:
    """Predicts from vectors without any known number and from plain ones; answers what came out."""
    declaration = predictor.declaration
    fields = np.full((2, len(declaration.vector_fields)), np.nan, dtype=np.float32)
    fields[1] = 1.0
    if declaration.kind == "regression":
        means, bands = predictor.predict(fields.astype(float))
    else:
        vectors = [Vector(business_date=ANY_DATE, numbers=numbers) for numbers in fields]
        made = predictor.forecast(vectors, horizon_days=declaration.horizon)
        means, bands = made.mean, made.quantiles
    is_sound = (
        np.isfinite(means).all() and np.isfinite(bands).all() and (means >= 0).all() and (np.diff(bands) >= 0).all()
    )
    return {"release_id": predictor.bundle.release_id, "is_sound": bool(is_sound), "rows": int(means.size)}
