{#- Downloads the files of one path to a folder. The connector sees a GET only in a statement that begins with it. -#}
GET @RAW.LANDING/{{ path }}/ 'file://<folder>/'
