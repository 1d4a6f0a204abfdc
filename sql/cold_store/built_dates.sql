-- Business dates that a feature table holds.
SELECT DISTINCT business_date FROM {{ table }}
