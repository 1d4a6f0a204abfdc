"""The connections Shelfcast uses, by id, and the extras that each one may carry."""

from collections.abc import Mapping

from shelfcast.errors import ConfigurationError, first_offenders

SHOP_DATABASE = "shop_database"
COLD_STORE = "cold_store"
HOT_STORE = "hot_store"
SPARK = "spark_default"
EMR = "emr"
MLFLOW = "mlflow"
WANDB = "wandb"
FORECASTER = "forecaster"
SMTP = "smtp_default"

TLS_EXTRAS = ("sslmode", "sslrootcert", "sslcert", "sslkey")
"""How the shop's database is reached over TLS, as libpq calls and means them."""

ALLOWED_EXTRAS: dict[str, frozenset[str]] = {
    SHOP_DATABASE: frozenset({"slot_name", "publication_name", *TLS_EXTRAS}),
    COLD_STORE: frozenset(
        {
            "account",
            "database",
            "warehouse",
            "role",
            "region",
            "host",
            "port",
            "session_parameters",
            "private_key_file",
            "private_key_content",
            "authenticator",
        }
    ),
    HOT_STORE: frozenset({"db", "ssl", "ssl_ca_certs", "ssl_cert_reqs"}),
    EMR: frozenset(
        {
            "application_id",
            "cluster_id",
            "execution_role_arn",
            "entry_points",
            "spark_submit_parameters",
            # of the AWS connection itself
            "region_name",
            "role_arn",
            "assume_role_method",
            "assume_role_kwargs",
            "endpoint_url",
            "verify",
        }
    ),
    MLFLOW: frozenset(),
    WANDB: frozenset({"entity", "project", "mode"}),
    FORECASTER: frozenset(),
}


def check_extras(connection_id: str, extras: Mapping[str, object]) -> None:
    """Refuses extras that the connection is not allowed to carry.

    Raises:
        ConfigurationError: Names each extra that is not allowed and those that are.
    """
    allowed = ALLOWED_EXTRAS[connection_id]
    unknown = sorted(set(extras) - allowed)
    if unknown:
        known = ", ".join(sorted(allowed)) or "none"
        raise ConfigurationError(
            f"Connection {connection_id} carries extras that are not allowed: {first_offenders(unknown)}. "
            f"Allowed: {known}. Remove them from the connection."
        )
