"""`passgate up`, `down` and `status`."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click

from stack import ALL, record
from stack.account import remove_private_folder
from stack.place import PROJECT, data_folder
from stack.supervise import supervise

NOT_RUNNING = 3
DATA = click.option("--data", type=click.Path(path_type=Path), help="The data folder. [default: the state root's]")


@click.command()
@DATA
@click.option("--port", type=click.IntRange(1, 65535), help="The console's port. [default: 8000, or a free one]")
@click.option("--detach", is_flag=True, help="Return once it is up; `passgate down` stops it.")
@click.option(
    "--without", multiple=True, type=click.Choice(ALL), metavar="PART", help=f"Leave a part out: {', '.join(ALL)}."
)
def up(data: Path | None, port: int | None, detach: bool, without: tuple[str, ...]) -> None:
    """Start the embedded stack on this machine, all on loopback, and stay until Ctrl-C.

    DATABASE_URL, KAFKA_BOOTSTRAP_SERVERS and CELERY_BROKER_URL name existing services; each replaces a part.
    """
    folder = (data or data_folder()).expanduser().resolve()
    there = record.live(folder)
    if there:
        verb = "already runs" if there["state"] == "running" else "is starting"
        click.echo(f"Passgate {verb}: {there['url'] or 'without a web server'} (pid {there['pid']}, data in {folder})")
        return
    if detach:
        _detach(folder, port, without)
    else:
        parts = [name for name in ALL if name not in without]
        sys.exit(supervise(folder, parts, {"web": port} if port else {}, _say))


@click.command()
@DATA
@click.option("--remove-data", is_flag=True, help="Remove the data folder too.")
def down(data: Path | None, remove_data: bool) -> None:
    """Stop the embedded stack."""
    there = record.live(data)
    if there:
        _stop(there)
        click.echo(f"Stopped (data in {there['data']})")
    else:
        click.echo("Passgate does not run here.")
    if remove_data:
        _remove(Path(there["data"]) if there else data or data_folder())


@click.command()
@DATA
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(data: Path | None, as_json: bool) -> None:
    """Show the parts of the running stack; exit code 3 when none runs."""
    there = record.live(data)
    parts = describe(there, time.time())
    parts["failure"] = None if there else record.last_failure(data or data_folder())
    if as_json:
        click.echo(json.dumps(parts, indent=1))
    elif parts["running"]:
        _show(parts)
    else:
        click.echo("Passgate does not run here.")
        if parts["failure"]:
            click.echo(f"It stopped by itself: {parts['failure']}")
    sys.exit(0 if parts["running"] else NOT_RUNNING)


def describe(there: record.Record | None, now: float) -> dict[str, Any]:
    """The status of a stack, without its secrets. `uptime` is in seconds, None for what does not run here."""
    if not there:
        return {"running": False, "url": None, "pid": None, "data": None, "parts": []}
    parts = [
        {key: row.get(key) for key in ("part", "state", "pid", "port", "restarts", "why")}
        | {"uptime": round(now - row["since"], 1) if row["since"] else None}
        for row in there["parts"]
    ]
    return {
        "running": there["state"] == "running",
        "url": there["url"],
        "pid": there["pid"],
        "data": there["data"],
        "parts": parts,
    }


def _show(found: dict[str, Any]) -> None:
    click.echo(f"Passgate runs: {found['url'] or 'without a web server'} (pid {found['pid']}, data in {found['data']})")
    click.echo(f"{'part':<10}{'state':<12}{'pid':>8}{'port':>7}{'restarts':>10}{'uptime':>10}")
    for row in found["parts"]:
        pid, port = row["pid"] or "-", row["port"] or "-"
        uptime = f"{row['uptime']:.0f} s" if row["uptime"] is not None else "-"
        click.echo(f"{row['part']:<10}{row['state']:<12}{pid:>8}{port:>7}{row['restarts']:>10}{uptime:>10}")
        if row["why"]:
            click.echo(f"{'':<10}ended before: {row['why'][:200]}")


def _say(text: str) -> None:
    click.echo(f"[{time.strftime('%H:%M:%S')}] {text}")


def _stop(there: record.Record) -> None:
    os.kill(there["pid"], signal.SIGTERM)
    until = time.monotonic() + 60
    while record.has_process(there):
        if time.monotonic() > until:
            raise click.ClickException(f"pid {there['pid']} does not stop; look at {there['data']}/log")
        time.sleep(0.1)


def _remove(data: Path) -> None:
    import shutil

    if (data / "stack.json").exists():
        remove_private_folder(data)
        shutil.rmtree(data)
        click.echo(f"Removed {data}")


def _detach(data: Path, port: int | None, without: tuple[str, ...]) -> None:
    """Start ourselves in a session of our own, show what it says until it is up, and leave it."""
    data.mkdir(parents=True, exist_ok=True)
    log = data / "supervisor.log"
    words = [
        "up",
        "--data",
        str(data),
        *(["--port", str(port)] if port else []),
        *(w for part in without for w in ("--without", part)),
    ]
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1"}
    with log.open("w") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "console.cli.main", *words],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=PROJECT, env=environment,
            start_new_session=True,
        )  # fmt: skip
    with log.open() as said:
        while child.poll() is None and not record.running(data):
            click.echo(said.read(), nl=False)
            time.sleep(0.1)
        time.sleep(0.1)
        click.echo(said.read(), nl=False)
    if child.poll() is not None:
        sys.exit(child.returncode or 1)
