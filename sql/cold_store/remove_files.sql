-- Removes the files of one path.
REMOVE @RAW.LANDING/{{ path }}/
