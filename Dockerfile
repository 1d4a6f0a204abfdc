# The image that runs this repository: locked requirements, no root, nothing downloaded when it starts.
FROM python:3.11-slim-bookworm AS base

# Debian's Java wants the folder of manual pages, which slim images leave out
RUN mkdir -p /usr/share/man/man1 \
 && apt-get update \
 && apt-get install -y --no-install-recommends openjdk-17-jre-headless libgomp1 tini \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 50000 shelfcast \
 && install -d -o shelfcast -g shelfcast /var/lib/shelfcast

ENV JAVA_HOME=/usr/lib/jvm/default-java \
    AIRFLOW_HOME=/home/shelfcast/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/shelfcast/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/shelfcast/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    DO_NOT_TRACK=true \
    GX_ANALYTICS_ENABLED=false \
    MLFLOW_DISABLE_TELEMETRY=true \
    OMP_WAIT_POLICY=PASSIVE \
    PYTHONUNBUFFERED=1
RUN ln -s /usr/lib/jvm/java-17-openjdk-* /usr/lib/jvm/default-java

# behind a proxy that looks into TLS: put its certificate into certificates/ as a .crt file before the build
COPY LICENSE certificate[s]/*.crt /usr/local/share/ca-certificates/
RUN update-ca-certificates

WORKDIR /opt/shelfcast
COPY requirements.txt .
# the lock is complete: there is nothing to resolve
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements.txt

# Spark's packages are resolved by what stands in for the platform on a laptop, which stays behind in this stage
FROM base AS jars
COPY include include
RUN PYTHONPATH=include python -c "from pathlib import Path; from shelfcast_local.services.jars import resolve; resolve(Path('/tmp/spark'))"

FROM base AS airflow
COPY pyproject.toml README.md LICENSE ./
COPY include/shelfcast include/shelfcast
COPY include/shelfcast_cli include/shelfcast_cli
COPY include/forecaster include/forecaster
COPY include/models include/models
COPY include/datasets include/datasets
COPY plugins plugins
COPY dags dags
COPY sql sql
COPY --from=jars /tmp/spark/jars/jars/*.jar /usr/local/lib/python3.11/site-packages/pyspark/jars/
RUN pip install --no-cache-dir --no-deps -e .

USER shelfcast
ENTRYPOINT ["tini", "--"]
CMD ["airflow", "version"]
