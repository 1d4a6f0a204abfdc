INSERT INTO sales_simulation.settings (history_name, last_history_date, settings)
VALUES (%(history_name)s, %(last_history_date)s, %(settings)s)
ON CONFLICT (is_only_row) DO UPDATE SET settings = excluded.settings
