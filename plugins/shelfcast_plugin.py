"""The only module that Airflow scans under plugins/; everything it registers is loaded when asked for."""

from airflow.plugins_manager import AirflowPlugin


class ShelfcastPlugin(AirflowPlugin):
    """Shelfcast in the web UI: links from Airflow to the pages of the loop."""

    name = "shelfcast"
