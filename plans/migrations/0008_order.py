"""Consents to events that come out of a key's order: see sql/order.sql."""

from django.db import migrations

from plans.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("plans", "0007_free_records"), ("audit", "0017_order")]

    operations = [migrations.RunSQL(sql_text("order"), migrations.RunSQL.noop)]
