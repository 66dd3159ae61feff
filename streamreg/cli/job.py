"""The command that carries out a job."""

from pathlib import Path
from typing import Annotated, Any

import typer

from streamreg.cli.base import (
    Json,
    OnEngine,
    OnFault,
    Output,
    RowsCommand,
    Scheduler,
    Shown,
    Threads,
    app,
    as_engine,
    as_fault,
    as_json,
    exit_code,
)


@app.command(cls=RowsCommand)
def run(
    job: Annotated[
        Path, typer.Argument(help="A YAML file; configs/million.yaml explains every key.", show_default=False)
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and read no row.")] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Keep how far the job came, and go on from there if it was broken off."),
    ] = False,
    rows: Shown = 10,
    threads: Threads = None,
    engine: OnEngine = None,
    scheduler: Scheduler = None,
    on_fault: OnFault = None,
    json: Json = False,
) -> Output:
    """Carry out a job file. It generates data, fits, compares, scores and saves, as the YAML says.

    For example:

    \b
      streamreg run configs/million.yaml
      streamreg run configs/million.yaml --dry-run
      streamreg run configs/million.yaml --resume
    """
    from streamreg import jobs

    loaded = jobs.load(job)
    if dry_run:
        plan = jobs.plan(loaded)
        return Output(as_json(plan.to_dict()) if json else str(plan))
    workers: dict[str, Any] = {"threads": threads, "engine": as_engine(engine, scheduler)}
    result = jobs.run(loaded, resume=resume, on_fault=as_fault(on_fault), **workers)
    return Output(
        as_json(result.to_dict()) if json else result.table(rows), result.exit_code or exit_code(*result.statuses)
    )
