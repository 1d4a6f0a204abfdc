-- A table that is not there.
SELECT * FROM RAW.NOT_THERE
