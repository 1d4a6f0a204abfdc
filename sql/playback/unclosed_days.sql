-- Days that were written but not closed: the next day's writer closes them first.
SELECT days.business_date
FROM sales_simulation.days_written AS days
LEFT JOIN sales.business_days AS closed ON days.business_date = closed.business_date
WHERE days.is_complete AND closed.business_date IS NULL
ORDER BY days.business_date
