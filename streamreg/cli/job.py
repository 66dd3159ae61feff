"""Commands about jobs: begin one, carry it out."""

from pathlib import Path
from typing import Annotated, Any

import typer

from streamreg.cli.base import (
    File,
    Force,
    Json,
    OnEngine,
    OnFault,
    Output,
    RowsCommand,
    Scheduler,
    Threads,
    app,
    as_engine,
    as_fault,
    as_json,
    exit_code,
    wanted_target,
)
from streamreg.cli.sources import LookCommand, opened


@app.command(cls=LookCommand)
def init(
    file: File,
    target: Annotated[str | None, typer.Option(help="Column to explain.", show_default=False)] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The job file. Default: FILE's name with .yaml, here.")
    ] = None,
    force: Force = False,
) -> Output:
    """Write a job file to begin with, from the columns of a file. Comments say what else it can hold.

    For example:

    \b
      streamreg init people.csv --target spending
      streamreg run people.yaml
    """
    import os

    from streamreg.jobs.draft import draft
    from streamreg.persist.atomic import whole
    from streamreg.persist.table_writer import require_replaceable

    out = Path(f"{file.stem.partition('.')[0]}.yaml") if out is None else out
    require_replaceable(out, force)
    source = opened(file, target=target)
    if target is None:
        target = wanted_target(source.schema.names, file)
    path = Path(os.path.relpath(file, out.parent))
    text = draft(path, source, target, Path("results") / out.stem)
    with whole(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Output(f"{out}: explains {target} of {file}; streamreg run {out} carries it out")


@app.command()
def schema() -> Output:
    """Print the JSON schema of job files. Editors check and complete them by it.

    For example:

    \b
      streamreg schema > job.schema.json

    The first line of a job file then names it: # yaml-language-server: $schema=job.schema.json
    """
    from streamreg.jobs.schema import schema

    return Output(as_json(schema()))


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
    tables: Annotated[
        bool, typer.Option("--tables", help="Also print coefficients and the distances of fits.")
    ] = False,
    rows: Annotated[
        int | None, typer.Option(min=0, help="Print the tables, with so many coefficients.", show_default=False)
    ] = None,
    threads: Threads = None,
    engine: OnEngine = None,
    scheduler: Scheduler = None,
    on_fault: OnFault = None,
    json: Json = False,
) -> Output:
    """Carry out a job file. It generates data, fits, compares, scores and saves, as the YAML says.

    Verdicts are printed, and one line for each fit; --tables prints all.

    For example:

    \b
      streamreg run configs/million.yaml
      streamreg run configs/million.yaml --tables
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
    shown = tables or rows is not None
    text = result.table(10 if rows is None else rows) if shown else result.brief()
    return Output(as_json(result.to_dict()) if json else text, result.exit_code or exit_code(*result.statuses))
