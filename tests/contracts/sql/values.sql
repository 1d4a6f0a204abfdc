-- The values that are bound, as they come back; the colons of casts and of the text are no names.
SELECT
    :text AS text, :whole AS whole, :fraction AS fraction, :is_true AS is_true, :day::DATE AS day,
    :moment::TIMESTAMP AS moment, :nothing AS nothing, 'a:b' AS colon, :text = :text AS is_same
