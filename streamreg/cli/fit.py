"""Commands about one fit: make it, and use it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from streamreg.cli.base import (
    Fittable,
    Force,
    Json,
    MissingChunks,
    OnDevice,
    OnEngine,
    Output,
    Scheduler,
    Shown,
    Threads,
    Weights,
    X,
    app,
    as_engine,
    as_errors,
    as_json,
    as_list,
    as_pairs,
    exit_code,
)
from streamreg.errors import UsageError


@app.command()
def fit(
    file: Fittable,
    target: Annotated[str | None, typer.Option(help="Column or dataset to explain.", show_default=False)] = None,
    x: X = None,
    weights: Weights = None,
    features: Annotated[
        str | None, typer.Option(help="Columns to use: x1,x7, or 'x1,\"a, b\"'. Default: all others.")
    ] = None,
    power: Annotated[
        list[str] | None, typer.Option(help="NAME=DEGREE: also the powers of a column; repeatable.")
    ] = None,
    ridge: Annotated[float, typer.Option(help="Penalty on the squared coefficients.")] = 0.0,
    intercept: Annotated[bool, typer.Option(help="Whether the line has a constant.")] = True,
    precision: Annotated[str, typer.Option(help="auto, float64 or exact.")] = "auto",
    digits: Annotated[int, typer.Option(help="Digits of every coefficient that precision auto aims for.")] = 10,
    singular: Annotated[str, typer.Option(help="Dependent columns: minimum-norm, drop or error.")] = "minimum-norm",
    missing: Annotated[str, typer.Option(help="Rows that hold NaN: error, or drop.")] = "error",
    missing_chunks: MissingChunks = "error",
    weights_mean: Annotated[str, typer.Option(help="What weights are: analytic, or frequency.")] = "analytic",
    errors: Annotated[
        str, typer.Option(help="classical, HC0 to HC3, cluster:COLUMN, cluster:COLUMN,COLUMN or newey_west:LAGS.")
    ] = "classical",
    by: Annotated[str | None, typer.Option(help="Column of whole numbers: a fit for each, and a Chow test.")] = None,
    save: Annotated[Path | None, typer.Option(help="Save the fit to this .npz file.")] = None,
    rows: Shown = 20,
    threads: Threads = None,
    engine: OnEngine = None,
    scheduler: Scheduler = None,
    device: OnDevice = None,
    json: Json = False,
) -> Output:
    """Fit a line by least squares. One pass over the rows, or two if the digits need it.

    For example:

    \b
      streamreg fit million.h5 --target y
      streamreg fit flights.zarr --x group/X --target group/delay --features x1,x7
      streamreg fit million.npy --target y --json --save million.fit.npz
      streamreg fit loans.h5 --target rate --features x1,x7 --errors cluster:firm,year
      streamreg fit loans.h5 --target rate --features x1,x7 --by country
      streamreg fit million.moments --target y --features x1,x7
    """
    from streamreg import sources
    from streamreg.models.linear import Linear
    from streamreg.models.validation import validated

    options = {
        "features": as_list(features),
        "powers": as_pairs(power),
        "ridge": ridge,
        "intercept": intercept,
        "precision": precision,
        "digits": digits,
        "singular": singular,
        "missing": missing,
        "weights": weights_mean,
        "errors": as_errors(errors),
        "device": device,
    }
    if save is not None and save.suffix != ".npz":
        raise UsageError(f"--save is {str(save)!r}; it must end in .npz, by which other commands know a fit")
    data: Any = file
    if file.suffix == ".moments":
        if x is not None or weights is not None:
            raise UsageError(
                f"{file}: holds moments, whose weights were chosen by the scan; leave --x and --weights out"
            )
        if missing != "error" or missing_chunks != "error":
            raise UsageError(f"{file}: holds moments, and what is missing was decided by the scan; say it there")
        options["target"] = target
    elif target is None:
        raise UsageError("--target is missing; say which column or dataset to explain")
    else:
        data = sources.open(file, x=x, target=target, weights=weights, missing_chunks=missing_chunks)  # type: ignore[arg-type]  # checked there
    model = validated(Linear, options)
    if by is not None:
        from streamreg.models.by_group import fit_by

        if save is not None:
            raise UsageError(
                "--save keeps one fit, and --by makes many; streamreg scan FILE --by COLUMN keeps them all"
            )
        fits = fit_by(model, data, by, threads=threads, engine=as_engine(engine, scheduler))
        statuses = [one.status for one in fits.values()]
        return Output(as_json(fits.to_dict()) if json else fits.summary(rows), exit_code(*statuses))
    result = model.fit(data, threads=threads, engine=as_engine(engine, scheduler))
    if save is not None:
        result.save(save)
    return Output(as_json(result.to_dict()) if json else result.summary(rows), exit_code(result.status))


@app.command()
def predict(
    fit: Annotated[Path, typer.Argument(help="A saved fit (.npz) or network (.keras).", show_default=False)],
    file: Annotated[Path, typer.Argument(help="Rows with the fit's columns: .h5, .zarr or .npy.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="Where predictions go: .h5, .zarr or .npy.", show_default=False)],
    x: X = None,
    missing: Annotated[
        str, typer.Option(help="Rows that hold NaN: error, or drop (their prediction is NaN).")
    ] = "error",
    missing_chunks: MissingChunks = "error",
    force: Force = False,
    threads: Threads = None,
    engine: OnEngine = None,
    scheduler: Scheduler = None,
    json: Json = False,
) -> Output:
    """Write what a fit or a network predicts for every row. Memory does not grow with the rows.

    HDF5 and Zarr hold them in dataset prediction; an .npy file is one vector.

    For example:

    \b
      streamreg predict million.fit.npz fresh.h5 predictions.h5
      streamreg predict million.fit.npz fresh.zarr --x group/X predictions.npy --force
      streamreg predict network.keras fresh.h5 predictions.h5
    """
    from streamreg import sources
    from streamreg.results.base import FitResult
    from streamreg.results.predict import predict_to

    if missing not in ("error", "drop"):
        raise UsageError(f"--missing is {missing!r}; it can be 'error' or 'drop'")
    model: Any
    if fit.suffix == ".keras":
        from streamreg.neural.result import NetworkResult

        model = NetworkResult.load(fit)
    else:
        model = FitResult.load(fit)
    source = sources.open(file, x=x, missing_chunks=missing_chunks)  # type: ignore[arg-type]  # checked there
    kept: Any = missing  # checked above
    workers: dict[str, Any] = {"threads": threads, "engine": as_engine(engine, scheduler)}
    rows = predict_to(out, model, source, missing=kept, force=force, **workers)
    return Output(as_json({"out": str(out), "rows": rows}) if json else f"{out}: {rows:,} predictions")
