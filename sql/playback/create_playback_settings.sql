CREATE TABLE IF NOT EXISTS sales_simulation.settings (
    is_only_row BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (is_only_row),
    history_name VARCHAR NOT NULL,
    last_history_date DATE NOT NULL,
    settings JSONB NOT NULL
)
