"""What a contract lets one person have read again alone: the database counts it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ingest", "0018_adopt")]

    operations = [migrations.AddField("contract", "free_records", models.IntegerField(db_default=0))]
