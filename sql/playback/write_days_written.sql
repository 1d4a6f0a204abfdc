INSERT INTO sales_simulation.days_written (business_date, transactions_written, is_complete)
VALUES (%(business_date)s, %(transactions_written)s, %(is_complete)s)
ON CONFLICT (business_date) DO UPDATE SET
    transactions_written = excluded.transactions_written,
    is_complete = excluded.is_complete
