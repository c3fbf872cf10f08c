# Tables as the models say; what the database refuses follows in 0002.

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('ingest', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Enforcement',
            fields=[
                ('stream', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, serialize=False, to='ingest.stream')),
                ('looked_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('outcome', models.TextField()),
            ],
            options={
                'db_table': 'enforcement',
            },
        ),
        migrations.CreateModel(
            name='GateDecision',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('who', models.TextField()),
                ('stream', models.TextField()),
                ('run_id', models.TextField()),
                ('window_number', models.IntegerField(null=True)),
                ('status', models.SmallIntegerField()),
                ('code', models.TextField()),
                ('verdict', models.TextField(null=True)),
            ],
            options={
                'db_table': 'gate_decision',
                'indexes': [models.Index(fields=['stream', 'run_id', '-at'], name='gate_decision_run')],
            },
        ),
        migrations.CreateModel(
            name='Snapshot',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.TextField(choices=[('ORIGIN', 'window opened'), ('END', 'window cut'), ('CHECK', 're-check')])),
                ('taken_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('facts', models.JSONField()),
                ('win', models.ForeignKey(db_column='win', on_delete=django.db.models.deletion.PROTECT, to='ingest.window')),
            ],
            options={
                'db_table': 'snapshot',
            },
        ),
        migrations.CreateModel(
            name='Basis',
            fields=[
                ('pk', models.CompositePrimaryKey('win', 'generation', blank=True, editable=False, primary_key=True, serialize=False)),
                ('generation', models.IntegerField()),
                ('facts', models.JSONField()),
                ('digest', models.BinaryField()),
                ('why', models.TextField()),
                ('recorded_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('win', models.ForeignKey(db_column='win', on_delete=django.db.models.deletion.PROTECT, to='ingest.window')),
                ('snapshot', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='audit.snapshot')),
            ],
            options={
                'db_table': 'basis',
            },
        ),
        migrations.CreateModel(
            name='Verdict',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.IntegerField()),
                ('revision', models.BigIntegerField()),
                ('state', models.TextField(choices=[('PASS', 'every check holds by a positive measurement'), ('BLOCKED', 'something can still be done'), ('FAIL', 'an invariant is broken')])),
                ('waived', models.BooleanField(db_default=False)),
                ('basis_generation', models.IntegerField()),
                ('contract_digest', models.BinaryField()),
                ('body', models.JSONField()),
                ('digest', models.BinaryField()),
                ('decided_by', models.TextField()),
                ('decided_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='ingest.run')),
                ('win', models.ForeignKey(db_column='win', on_delete=django.db.models.deletion.PROTECT, to='ingest.window')),
            ],
            options={
                'db_table': 'verdict',
            },
        ),
        migrations.CreateModel(
            name='GateOpen',
            fields=[
                ('win', models.OneToOneField(db_column='win', on_delete=django.db.models.deletion.PROTECT, primary_key=True, serialize=False, to='ingest.window')),
                ('open_until', models.DateTimeField()),
                ('checked_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('shut_why', models.TextField(null=True)),
                ('verdict', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='audit.verdict')),
            ],
            options={
                'db_table': 'gate_open',
            },
        ),
        migrations.AddIndex(
            model_name='snapshot',
            index=models.Index(fields=['win', '-taken_at'], name='snapshot_latest'),
        ),
        migrations.AddIndex(
            model_name='verdict',
            index=models.Index(fields=['win', '-number'], name='verdict_latest'),
        ),
        migrations.AddConstraint(
            model_name='verdict',
            constraint=models.UniqueConstraint(fields=('run', 'number'), name='verdict_number_unique'),
        ),
        migrations.AddConstraint(
            model_name='verdict',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['PASS', 'BLOCKED', 'FAIL'])), name='verdict_state_known'),
        ),
    ]
