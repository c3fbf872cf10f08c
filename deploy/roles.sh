#!/usr/bin/env bash
# Run by the postgres image when it makes its database cluster: passwords from the environment into roles.sql.
set -euo pipefail
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
  -v owner_password="$PASSGATE_OWNER_PASSWORD" -v app_password="$PASSGATE_APP_PASSWORD" -f /roles.sql
