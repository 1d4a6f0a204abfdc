"""Tries a release in the forecaster."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

if TYPE_CHECKING:
    from airflow.sdk import Context


class SmokeTestOperator(BaseOperator):
    """Lets the forecaster load a release and predict with it, before anything points at it.

    Args:
        model: Name of the model.
        release_id: The release (templated).

    Returns:
        `release_id`, `is_sound`, and the number of predicted `rows`.
    """

    template_fields: Sequence[str] = ("release_id",)

    def __init__(self, *, model: str, release_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.release_id = release_id

    def execute(self, context: "Context") -> dict[str, Any]:
        """Fails when the predictions are not finite, negative or crossed."""
        from shelfcast_provider.serving.forecaster_hook import ForecasterHook

        found = ForecasterHook().smoke(self.model, self.release_id)
        if not found["is_sound"] or found["release_id"] != self.release_id:
            raise AirflowFailException(
                f"{self.release_id} predicts values that cannot be; it was not released: {found}. Train it again."
            )
        self.log.info(
            "Predicted %s rows with %s in the forecaster's process: all are sound.", found["rows"], self.release_id
        )
        return found
