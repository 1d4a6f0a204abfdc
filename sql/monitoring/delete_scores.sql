-- Empties what was scored on one business date, for the run that replaces it.
DELETE FROM FORECASTS.SCORES WHERE scored_on = :scored_on
