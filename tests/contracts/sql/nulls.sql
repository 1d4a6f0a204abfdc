-- How many values are NULL, and how many are NaN, which is not NULL.
SELECT COUNT_IF({{ entity }} IS NULL) AS nulls, COUNT_IF({{ entity }} = 'NaN'::DOUBLE) AS nans FROM {{ table }}
