"""Commands about files of rows: look into them, make them up."""

from pathlib import Path
from typing import Annotated

import typer

from streamreg.cli.base import (
    File,
    Force,
    Json,
    MissingChunks,
    OnEngine,
    Output,
    Scheduler,
    Threads,
    Weights,
    X,
    app,
    as_engine,
    as_json,
    as_list,
)
from streamreg.cli.sources import DataCommand, LookCommand, given, opened
from streamreg.errors import UsageError


@app.command(cls=LookCommand)
def inspect(
    file: Annotated[
        Path | None, typer.Argument(help="A file: .h5, .zarr, .npy, .parquet, .csv, ...", show_default=False)
    ] = None,
    x: X = None,
    target: Annotated[str | None, typer.Option(help="Dataset to explain, if it is not a column.")] = None,
    weights: Weights = None,
    missing_chunks: MissingChunks = "error",
    profile: Annotated[
        bool, typer.Option("--profile", help="Read the rows once: missing values, ranges and levels of each column.")
    ] = False,
    system: Annotated[bool, typer.Option("--system", help="Show this machine instead: kernel, versions.")] = False,
    threads: Threads = None,
    json: Json = False,
) -> Output:
    """Show what is in a file, without reading a row.

    For example:

    \b
      streamreg inspect million.h5
      streamreg inspect trips.parquet --profile
      streamreg inspect flights.zarr --x group/X --json
      streamreg inspect --system
    """
    if system:
        from streamreg.tools.system import system as facts

        found = facts()
        return Output(as_json(found) if json else "\n".join(f"{name:<12}{value}" for name, value in found.items()))
    if file is None:
        raise UsageError("which file? Name one, or say --system to see the machine")
    from streamreg.tools.inspect import inspect

    seen = inspect(file, x, target, weights, missing_chunks, **given())
    if not profile:
        return Output(as_json(seen.to_dict()) if json else str(seen))
    from streamreg.scans.profile import profile as read

    source = opened(file, x=x, target=target, weights=weights, missing_chunks=missing_chunks)
    held = read(source, threads=threads)
    return Output(as_json(seen.to_dict() | {"profile": held.to_dict()}) if json else f"{seen}\n\n{held}")


@app.command()
def generate(
    out: Annotated[Path, typer.Argument(help="The suffix tells the format: .h5, .zarr or .npy.", show_default=False)],
    rows: Annotated[int, typer.Option(help="How many rows.", show_default=False)],
    columns: Annotated[int, typer.Option(help="How many features.", show_default=False)],
    kind: Annotated[str, typer.Option(help="Target: linear or logistic.")] = "linear",
    seed: Annotated[int, typer.Option(help="The same seed gives the same numbers in every format.")] = 0,
    noise: Annotated[
        float | None, typer.Option(help="Standard deviation of a linear target's noise. Default: 1.")
    ] = None,
    correlation: Annotated[float, typer.Option(help="Of each column with the next one.")] = 0.0,
    dtype: Annotated[str, typer.Option(help="float64, float32 or float16.")] = "float64",
    chunk_rows: Annotated[
        int | None, typer.Option(help="Rows of a chunk. Default: .h5 none, .zarr about 8 MB.")
    ] = None,
    compression: Annotated[str, typer.Option(help="none; .h5: gzip, lzf; .zarr: zstd, gzip.")] = "none",
    force: Force = False,
    json: Json = False,
) -> Output:
    """Write a file of made-up rows. The true coefficients go beside it, to OUT.json.

    For example:

    \b
      streamreg generate million.h5 --rows 1000000 --columns 100
      streamreg generate big.zarr --rows 4000000 --columns 50 --correlation 0.9 --compression zstd
      streamreg generate clicks.npy --rows 100000 --columns 20 --kind logistic --dtype float32
    """
    from streamreg.tools.generate import generate

    truth = generate(
        out,
        rows=rows,
        columns=columns,
        kind=kind,  # type: ignore[arg-type]  # checked there
        seed=seed,
        noise=noise,
        correlation=correlation,
        dtype=dtype,  # type: ignore[arg-type]  # checked there
        chunk_rows=chunk_rows,
        compression=compression,  # type: ignore[arg-type]  # checked there
        force=force,
    )
    return Output(
        as_json(truth) if json else f"{out}: {rows:,} rows x {columns:,} columns and target y; truth in {out}.json"
    )


@app.command(cls=DataCommand)
def convert(
    file: File,
    out: Annotated[
        Path, typer.Argument(help="The suffix tells the format: .parquet, .feather, .csv, .h5, .zarr, .npy.")
    ],
    columns: Annotated[str | None, typer.Option(help="Columns to write, with commas between. Default: all.")] = None,
    chunk_rows: Annotated[int | None, typer.Option(help="Rows of a row group or chunk.")] = None,
    compression: Annotated[str | None, typer.Option(help="zstd, lz4, gzip, ...: each format has its own.")] = None,
    x: X = None,
    target: Annotated[str | None, typer.Option(help="Dataset to take along, if it is not a column.")] = None,
    weights: Weights = None,
    missing_chunks: MissingChunks = "error",
    force: Force = False,
    threads: Threads = None,
    engine: OnEngine = None,
    scheduler: Scheduler = None,
    json: Json = False,
) -> Output:
    """Write the rows of a file in another format, exactly.

    Memory does not grow with them.

    For example:

    \b
      streamreg convert trips.csv.gz trips.parquet
      streamreg convert flights.parquet late.parquet --where "delay > 60" --columns delay,carrier
      streamreg convert rowwise.h5 table.zarr --target y --chunk-rows 65536
    """
    from streamreg.tools.convert import convert as converted

    source = opened(file, x=x, target=target, weights=weights, missing_chunks=missing_chunks)
    found = converted(
        source,
        out,
        names=None if columns is None else as_list(columns),
        chunk_rows=chunk_rows,
        compression=compression,
        force=force,
        threads=threads,
        engine=as_engine(engine, scheduler),
    )
    return Output(as_json(found._asdict()) if json else str(found))


@app.command(cls=DataCommand)
def seal(
    file: File,
    x: X = None,
    target: Annotated[str | None, typer.Option(help="Dataset to explain, if it is not a column.")] = None,
    weights: Weights = None,
    threads: Threads = None,
    engine: OnEngine = None,
    scheduler: Scheduler = None,
    json: Json = False,
) -> Output:
    """Write checksums of all rows to FILE.seal. Later scans compare what they read with it.

    For example:

    \b
      streamreg seal million.h5 --target y
      streamreg verify million.h5 --target y
    """
    from streamreg.engines.choose import choose
    from streamreg.scans import seal as seals
    from streamreg.tools.inspect import inspect

    source = opened(file, x=x, target=target, weights=weights)
    found = seals.read(source, choose(as_engine(engine, scheduler), threads))
    out = seals.write(source, found)
    rows, columns = sum(count for count, _ in found.stretches.values()), len(found.names)
    if json:
        return Output(as_json({"out": str(out), "rows": rows, "columns": columns}))
    named = {target, weights, None}
    apart = [d.name for d in inspect(file, x=x).datasets if d.shape in ((rows,), (rows, 1)) and d.name not in named]
    left = f"; not those of {', '.join(apart)}, which --target or --weights would name" if apart else ""
    return Output(f"{out}: seals {rows:,} rows x {columns:,} columns{left}")


@app.command(cls=DataCommand)
def verify(
    file: File,
    x: X = None,
    target: Annotated[str | None, typer.Option(help="Dataset to explain, if it is not a column.")] = None,
    weights: Weights = None,
    threads: Threads = None,
    engine: OnEngine = None,
    scheduler: Scheduler = None,
    json: Json = False,
) -> Output:
    """Read all rows without fitting, and compare them with FILE.seal. Says what is proven and what is not.

    For example:

    \b
      streamreg verify million.h5 --target y
    """
    from dataclasses import asdict

    from streamreg.engines.choose import choose
    from streamreg.scans.seal import verify as verified

    source = opened(file, x=x, target=target, weights=weights)
    found = verified(source, choose(as_engine(engine, scheduler), threads))
    return Output(as_json(asdict(found)) if json else str(found))
