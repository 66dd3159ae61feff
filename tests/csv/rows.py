"""Rows of a CSV source as lists, and how they are written."""

import csv
import io
from pathlib import Path
from typing import Any

import streamreg as sr
from streamreg.sources import Source
from streamreg.sources.csv.open import open_csv


def written(path: Path, rows: list[list[Any]], header: list[str], **options: Any) -> Path:
    text = io.StringIO()
    writer = csv.writer(text, **options)
    writer.writerow(header)
    writer.writerows(rows)
    path.write_bytes(text.getvalue().encode())
    return path


def columns(source: Source, block: int = 8, names: list[str] | None = None) -> dict[str, list[Any]]:
    """Return all values, having checked that partitions and chunks follow one another without a gap."""
    out: dict[str, list[Any]] = {}
    at = 0
    for part in source.partitions(block, names):
        assert part.start == at
        for chunk in part.chunks(block):
            assert chunk.start == at
            assert len(chunk) > 0
            at += len(chunk)
            for name, values in chunk.vectors.items():
                assert len(values) == len(chunk)
                out.setdefault(name, []).extend(values.texts() if hasattr(values, "texts") else values.tolist())
        assert part.stop == at
    assert source.schema.n_rows == at
    return out


def of_text(folder: Path, text: str | bytes, name: str = "a.csv", piece: int | None = None, **options: Any) -> Source:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return sr.open(path, options=options or None) if piece is None else open_csv(path, piece=piece, **options)
