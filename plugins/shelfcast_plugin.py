"""The only module that Airflow scans under plugins/; everything it registers is loaded when asked for."""

from airflow.plugins_manager import AirflowPlugin

from shelfcast_provider import active_runs


class ShelfcastPlugin(AirflowPlugin):
    """Shelfcast in the web UI: links from Airflow to the pages of the loop."""

    name = "shelfcast"
    listeners = [active_runs]  # noqa: RUF012 - as Airflow declares it
