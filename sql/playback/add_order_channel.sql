-- A shop's own change of its schema, made on request to see that the capture survives it.
ALTER TABLE sales.orders ADD COLUMN IF NOT EXISTS channel VARCHAR DEFAULT 'till'
