-- Empties one business date, for the check that replaces it.
DELETE FROM OPERATIONS.DRIFT_CHECKS WHERE business_date = :business_date
