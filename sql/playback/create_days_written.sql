-- How far each business day got: a killed writer goes on behind the last transaction that was committed.
CREATE TABLE IF NOT EXISTS sales_simulation.days_written (
    business_date DATE PRIMARY KEY,
    transactions_written INTEGER NOT NULL,
    is_complete BOOLEAN NOT NULL
)
