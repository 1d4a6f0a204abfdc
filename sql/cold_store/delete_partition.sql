-- Empties the partitions of a range of business dates.
DELETE FROM {{ table }} WHERE business_date BETWEEN :from_date AND :until_date
