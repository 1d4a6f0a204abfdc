{#- Downloads the files of one place to a folder. The connector sees a GET only in a statement that begins with it. -#}
GET @RAW.LANDING/{{ place }}/ 'file://<folder>/'
