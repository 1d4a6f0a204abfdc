"""Demand forecasts from order changes: the decisions and the mathematics, without Airflow."""
