SELECT
    history_name,
    last_history_date,
    settings
FROM sales_simulation.settings
