"""Shelfcast's Airflow provider: hooks, operators and triggers, one folder a stage."""
