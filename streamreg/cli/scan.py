"""Commands about moments: scan a file, merge scans."""

from pathlib import Path
from typing import Annotated, Any

import typer

from streamreg.cli.base import (
    Checkpoint,
    File,
    Force,
    Json,
    MissingChunks,
    OnDevice,
    OnEngine,
    OnFault,
    Output,
    Scheduler,
    Threads,
    Weights,
    X,
    app,
    as_chunks,
    as_engine,
    as_fault,
    as_json,
    as_list,
    as_missing,
    as_pairs,
)
from streamreg.cli.sources import DataCommand, opened
from streamreg.errors import UsageError

Out = Annotated[Path, typer.Option("--out", "-o", help="File for the moments: OUT.moments.", show_default=False)]


@app.command(cls=DataCommand)
def scan(
    file: File,
    out: Out,
    x: X = None,
    target: Annotated[str | None, typer.Option(help="Column that fits explain unless told otherwise.")] = None,
    weights: Weights = None,
    features: Annotated[
        str | None, typer.Option(help="Columns to keep: x1,x7, or 'x1,\"a, b\"'. Default: all.")
    ] = None,
    power: Annotated[list[str] | None, typer.Option(help="NAME=DEGREE: also powers of a column; repeatable.")] = None,
    folds: Annotated[str | None, typer.Option(help="How many folds to keep apart, or a column of folds.")] = None,
    by: Annotated[str | None, typer.Option(help="Column of whole numbers whose rows are kept apart.")] = None,
    blocks: Annotated[int | None, typer.Option(help="How many runs of consecutive rows to keep apart.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed makes other folds.")] = 0,
    precision: Annotated[str, typer.Option(help="float64 or exact.")] = "float64",
    missing: Annotated[
        str, typer.Option(help="Missing values: error, drop, mean, indicator; or age=mean,*=drop.")
    ] = "error",
    missing_chunks: MissingChunks = "error",
    memory: Annotated[int, typer.Option(min=1, help="MiB that the moments of all groups may take up.")] = 1024,
    append: Annotated[bool, typer.Option("--append", help="Read only the rows that OUT does not hold yet.")] = False,
    threads: Threads = None,
    engine: OnEngine = None,
    scheduler: Scheduler = None,
    device: OnDevice = None,
    checkpoint: Checkpoint = None,
    on_fault: OnFault = None,
    seal: Annotated[
        bool, typer.Option("--seal", help="Also write checksums of what is read to FILE.seal, for later scans.")
    ] = False,
    force: Force = False,
    json: Json = False,
) -> Output:
    """Read all rows once and keep their moments. From these any linear fit is answered later.

    Moments are the count of rows, the means of the columns, and the sums of their products about the means.

    For example:

    \b
      streamreg scan million.h5 -o million.moments --target y --folds 10
      streamreg scan million.h5 -o million.moments --append
      streamreg fit million.moments --target y --features x1,x7
    """
    from streamreg.persist.table_writer import require_replaceable
    from streamreg.scans import merge, scan
    from streamreg.scans.moments_file import load
    from streamreg.stats.base import require_suffix

    if precision not in ("float64", "exact"):
        raise UsageError(f"--precision is {precision!r}; it can be 'float64' or 'exact'")
    if folds is not None and folds.removeprefix("-").isdecimal() and int(folds) < 2:
        raise UsageError(f"--folds is {folds}; it takes two or more, or a column")
    require_suffix(out)
    require_replaceable(out, force or append)
    held: Any = load(out) if append else None
    if held is not None and held.record is not None:
        target, weights = held.record.target, held.record.weights
    chunks = as_chunks(missing_chunks, on_fault)
    source = opened(file, x=x, target=target, weights=weights, missing_chunks=chunks)
    if append:
        if checkpoint is not None or on_fault is not None or seal:
            raise UsageError("--append reads new rows in one go; leave out --checkpoint, --on-fault and --seal")
        state = merge.append(held, source, threads=threads, engine=as_engine(engine, scheduler))
    else:
        options: dict[str, Any] = {"missing": as_missing(missing), "precision": precision, "memory": memory * 2**20}
        options["device"] = device
        options |= {"folds": int(folds) if folds is not None and folds.isdecimal() else folds, "by": by}
        options |= {"powers": {name: _degree(name, degree) for name, degree in as_pairs(power).items()}}
        state = scan.scan(
            source,
            as_list(features),
            threads=threads,
            engine=as_engine(engine, scheduler),
            blocks=blocks,
            seed=seed,
            checkpoint=checkpoint,
            on_fault=as_fault(on_fault),
            seal=seal,
            **options,
        )
    state.save(out)
    return _told(out, state, json)


@app.command()
def merge(
    files: Annotated[list[Path], typer.Argument(help="Files of moments.", show_default=False)],
    out: Out,
    force: Force = False,
    json: Json = False,
) -> Output:
    """Merge the moments of several scans. They may be of other machines, days or files; no rows are read.

    For example:

    \b
      streamreg merge monday.moments tuesday.moments -o week.moments
    """
    from streamreg.persist.table_writer import require_replaceable
    from streamreg.scans import merge
    from streamreg.stats.base import require_suffix

    require_suffix(out)
    require_replaceable(out, force)
    state = merge.merge(*files)
    state.save(out)
    return _told(out, state, json)


def _degree(name: str, text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--power {name}={text}: the degree is a whole number from 1 on")
    return int(text)


def _told(out: Path, state: Any, json: bool) -> Output:
    groups = len(getattr(state, "groups", ()))
    if json:
        record = {} if state.record is None else state.record.to_dict()
        return Output(as_json({"out": str(out), "columns": state.names, "groups": groups, **state.counts(), **record}))
    rows = f"{state.n:,} rows" + (f" of {state.n_read:,}" if state.n != state.n_read else "")
    kept = f", {groups:,} groups ({state.by})" if groups else ""
    return Output(f"{out}: {rows}, {len(state.names):,} columns{kept}, target {state.target or '-'}")
