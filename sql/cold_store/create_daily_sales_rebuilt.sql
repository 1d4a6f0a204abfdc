-- Where the versions of a span of time wait until they are known to lose nothing; emptied before each.
CREATE OR REPLACE TABLE FEATURES.DAILY_SALES_REBUILT AS
SELECT * FROM FEATURES.DAILY_SALES WHERE FALSE
