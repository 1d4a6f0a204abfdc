-- Where the simulator and the datasets keep what they have written; outside the captured schema on purpose.
CREATE SCHEMA IF NOT EXISTS sales_simulation
