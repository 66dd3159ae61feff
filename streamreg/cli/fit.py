"""Commands about one fit: make it, and use it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from streamreg.cli.base import (
    Checkpoint,
    Fittable,
    Force,
    Json,
    MissingChunks,
    OnEngine,
    OnFault,
    Output,
    Scheduler,
    Shown,
    Threads,
    Weights,
    X,
    app,
    as_chunks,
    as_engine,
    as_fault,
    as_json,
    as_list,
    exit_code,
    wanted_target,
)
from streamreg.cli.options import ModelCommand, chosen
from streamreg.cli.sources import DataCommand, opened, refuse
from streamreg.design.policy import drops
from streamreg.errors import UsageError
from streamreg.models.registry import KINDS

_SAVED = {"coefficients": ".npz", "network": ".keras", "classes": ".npz", "instruments": ".npz"}
"""Suffixes of saved fits, by which other commands know them."""


@app.command(cls=ModelCommand)
def fit(
    context: typer.Context,
    file: Fittable,
    kind: Annotated[
        str,
        typer.Option(help=f"Model: {', '.join(KINDS)}. The options below are its own; --kind glm --help shows those."),
    ] = next(iter(KINDS)),
    target: Annotated[str | None, typer.Option(help="Column or dataset to explain.", show_default=False)] = None,
    x: X = None,
    weights: Weights = None,
    missing_chunks: MissingChunks = "error",
    save: Annotated[Path | None, typer.Option(help="Save the fit to this .npz file, a network to .keras.")] = None,
    force: Force = False,
    rows: Shown = 20,
    threads: Threads = None,
    engine: OnEngine = None,
    scheduler: Scheduler = None,
    checkpoint: Checkpoint = None,
    on_fault: OnFault = None,
    json: Json = False,
) -> Output:
    """Fit a model: a line by least squares, or what --kind says.

    One pass over the rows for a line, or two if the digits need it.

    For example:

    \b
      streamreg fit million.h5 --target y
      streamreg fit flights.zarr --x group/X --target group/delay --features x1,x7
      streamreg fit trips.parquet --formula "tip ~ log(fare) * zone"
      streamreg fit million.npy --target y --json --save million.fit.npz
      streamreg fit loans.h5 --target rate --features x1,x7 --errors cluster:firm,year
      streamreg fit loans.h5 --target rate --features x1,x7 --by country
      streamreg fit million.moments --target y --features x1,x7
      streamreg fit visits.h5 --target number --kind glm --family poisson
      streamreg fit million.h5 --target y --kind penalised --rule bic
    """
    from streamreg.models.flat import build
    from streamreg.persist.table_writer import require_replaceable
    from streamreg.scans.run import Run

    options = chosen(context)
    if save is not None and save.suffix not in _SAVED.values():
        raise UsageError(f"--save is {str(save)!r}; it must end in .npz, by which other commands know a fit")
    if save is not None:
        require_replaceable(save, force)
    data: Any = file
    if file.suffix == ".moments":
        if x is not None or weights is not None:
            raise UsageError(
                f"{file}: holds moments, whose weights were chosen by the scan; leave --x and --weights out"
            )
        if drops(options.get("missing")) or missing_chunks != "error":
            raise UsageError(f"{file}: holds moments, and what is missing was decided by the scan; say it there")
        refuse(f"{file} holds moments, whose rows were chosen by the scan")
        options["target"] = target
    else:
        if target is None and not options.get("formula"):
            target = wanted_target(opened(file, x=x, missing_chunks=missing_chunks).schema.names, file)
        chunks = as_chunks(missing_chunks, on_fault)
        data = opened(file, x=x, target=target, weights=weights, missing_chunks=chunks)
    model: Any = build(kind, options)
    if save is not None and model.gives == "groups":
        raise UsageError("--save keeps one fit, and --by makes many; streamreg scan FILE --by COLUMN keeps them all")
    if save is not None and save.suffix != _SAVED[model.gives]:
        raise UsageError(f"--save is {str(save)!r}; a {model.gives} file ends in {_SAVED[model.gives]}")
    trained = {"checkpoint": checkpoint, "resume": True} if model.needs().trains and checkpoint is not None else {}
    asked = Run.of(threads, as_engine(engine, scheduler), on_fault=as_fault(on_fault))
    with asked.saved_in(None if trained else checkpoint) as run:
        result = model.fit(data, engine=run, **trained)
    statuses = [one.status for one in result.values()] if model.gives == "groups" else [result.status]
    if save is not None:
        result.save(save)
    if json:
        return Output(as_json(result.to_dict()), exit_code(*statuses))
    return Output(result.summary() if model.gives == "network" else result.summary(rows), exit_code(*statuses))


@app.command(cls=DataCommand)
def predict(
    fit: Annotated[Path, typer.Argument(help="A saved fit (.npz) or network (.keras).", show_default=False)],
    file: Annotated[
        Path,
        typer.Argument(help="Rows with the fit's columns: .h5, .zarr, .npy, .parquet, .csv, ...", show_default=False),
    ],
    out: Annotated[
        Path,
        typer.Argument(help="Where predictions go: .parquet, .feather, .csv, .h5, .zarr or .npy.", show_default=False),
    ],
    x: X = None,
    id: Annotated[
        str | None, typer.Option("--id", help="Columns to write before the predictions: order_id, or a,b.")
    ] = None,
    append: Annotated[
        bool, typer.Option("--append", help="Write all columns of the data before the predictions.")
    ] = False,
    kind: Annotated[
        str, typer.Option(help="What is predicted: mean or link; of classes probability, class or link.")
    ] = "mean",
    interval: Annotated[
        str | None, typer.Option(help="Also std_error, lower and upper: confidence, or prediction.")
    ] = None,
    level: Annotated[float, typer.Option(help="Of the intervals.")] = 0.95,
    missing: Annotated[
        str, typer.Option(help="Rows with a missing value: drop (they have no prediction), or error.")
    ] = "drop",
    unseen: Annotated[
        str, typer.Option(help="Levels that the fit has not seen: error, reference, own or missing.")
    ] = "error",
    missing_chunks: MissingChunks = "error",
    force: Force = False,
    threads: Threads = None,
    engine: OnEngine = None,
    scheduler: Scheduler = None,
    json: Json = False,
) -> Output:
    """Write what a fit or a network predicts for every row. Memory does not grow with the rows.

    The suffix of OUT tells the format. A table has a column prediction; HDF5 and Zarr have a dataset of that name; an
    .npy file is one vector. Of a fit of classes there is a column for the probability of each class.

    For example:

    \b
      streamreg predict trips.fit.npz fresh.parquet predictions.csv --id order_id
      streamreg predict trips.fit.npz fresh.csv with.parquet --append --interval prediction
      streamreg predict million.fit.npz fresh.zarr --x group/X predictions.npy --force
      streamreg predict classes.fit.npz fresh.parquet classes.csv --kind class
      streamreg predict network.keras fresh.h5 predictions.h5
    """
    from streamreg.persist.kinds import load
    from streamreg.results.base import FitResult
    from streamreg.results.classes import ClassFit
    from streamreg.results.predict import predict_to

    if missing not in ("error", "drop"):
        raise UsageError(f"--missing is {missing!r}; it can be 'error' or 'drop'")
    model: Any
    if fit.suffix == ".keras":
        from streamreg.neural.result import NetworkResult

        model = NetworkResult.load(fit)
    else:
        model = load(fit)
        if not isinstance(model, FitResult | ClassFit):
            raise UsageError(f"{fit}: holds no fit that predicts rows; pass one that streamreg fit --save wrote")
    source = opened(file, x=x, missing_chunks=missing_chunks)
    asked: dict[str, Any] = {"kind": kind, "interval": interval, "level": level, "missing": missing, "unseen": unseen}
    asked |= {"id": as_list(id) or (), "append": append}
    workers: dict[str, Any] = {"threads": threads, "engine": as_engine(engine, scheduler)}
    found = predict_to(out, model, source, force=force, **asked, **workers)
    told = {"out": found.path, "rows": found.rows, "missing": found.missing}
    return Output(as_json(told) if json else str(found))
