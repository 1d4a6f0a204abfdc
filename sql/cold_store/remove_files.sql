-- Removes the files of one place.
REMOVE @RAW.LANDING/{{ place }}/
