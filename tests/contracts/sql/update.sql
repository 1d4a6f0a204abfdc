-- Changes some rows.
UPDATE {{ table }} SET text = :text WHERE number >= :number
