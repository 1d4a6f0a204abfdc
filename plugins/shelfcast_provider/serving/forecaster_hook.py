"""The forecaster's HTTP interface."""

from typing import Any

from airflow.sdk import BaseHook

from shelfcast.errors import ReleaseError
from shelfcast.model.declaration import ModelDeclaration
from shelfcast_provider.connections import FORECASTER, check_extras

TIMEOUT_SECONDS = 60.0


class ForecasterHook(BaseHook):
    """Asks one forecaster.

    Args:
        connection_id: Connection with `schema` (http or https), `host`, `port` and the token as `password`.
    """

    conn_name_attr = "connection_id"
    default_conn_name = FORECASTER
    conn_type = "shelfcast_forecaster"
    hook_name = "Shelfcast forecaster"

    def __init__(self, connection_id: str = FORECASTER) -> None:
        super().__init__()
        found = self.get_connection(connection_id)
        check_extras(FORECASTER, found.extra_dejson)
        self.url = f"{found.schema or 'http'}://{found.host}:{found.port or 8090}"
        self._headers = {"Authorization": f"Bearer {found.password}"}

    def ready(self) -> dict[str, Any]:
        """Releases that serve, by model, and what is wrong if one cannot be loaded."""
        return self._call("GET", "/readyz", accepted=(200, 503))

    def smoke(self, model: str, release_id: str) -> dict[str, Any]:
        """Loads a release in the forecaster's process and predicts with it, without serving it."""
        return self._call("POST", f"/v1/releases/{model}/{release_id}/smoke", json={})

    def ask(self, declaration: ModelDeclaration, entity: str) -> dict[str, Any]:
        """The forecasts of a series, or the value of a customer's next order, as a client gets them."""
        from shelfcast.serving.probe import question
        from shelfcast.serving.requests import path_of

        return self._call("POST", path_of(declaration), json=question(declaration, entity))

    def _call(self, method: str, path: str, *, accepted: tuple[int, ...] = (200,), **arguments: Any) -> dict[str, Any]:
        """Calls; raises `ReleaseError` when nothing, a refusal or no JSON comes back."""
        import httpx

        try:
            address = f"{self.url}{path}"
            response = httpx.request(
                method, address, headers=self._headers, timeout=TIMEOUT_SECONDS, trust_env=False, **arguments
            )
        except httpx.HTTPError as error:
            raise ReleaseError(
                f"The forecaster at {self.url} does not answer {path}: {error}. See that it runs."
            ) from error
        if response.status_code not in accepted:
            raise ReleaseError(f"The forecaster refused {path} ({response.status_code}): {response.text[:400]}")
        try:
            return dict(response.json())
        except (TypeError, ValueError) as error:
            raise ReleaseError(
                f"What answers at {self.url} is no forecaster: {path} gave {response.text[:80]!r}. See the connection."
            ) from error
