-- Empties the partitions of a range of business dates, but for those that were closed later than what is looked at.
DELETE FROM {{ table }}
WHERE
    business_date BETWEEN :from_date AND :until_date
    AND business_date IN (SELECT business_date FROM OPERATIONS.BUSINESS_DATES WHERE closed_at <= :known_until)
