"""Only plans decide about attempts, and publish again what a contract holds back: see sql/decide.sql."""

from django.db import migrations

from plans.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("plans", "0003_reruns"), ("ingest", "0017_decide")]

    operations = [migrations.RunSQL(sql_text("decide"), migrations.RunSQL.noop)]
