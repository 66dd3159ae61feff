"""Make the small data files that the examples read: collinear.npy, balloons.npy, answers.npy and ols.npy."""

import json
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


def collinear() -> dict[str, np.ndarray]:
    """Five rows in which x2 is x1 + 1, and y is x1 + x2."""
    x1 = np.arange(1.0, 6.0)
    return {"x1": x1, "x2": x1 + 1, "y": 2 * x1 + 1}


def ols() -> dict[str, np.ndarray]:
    """Five rows whose line is 2.2 + 0.6 x."""
    return {"x": np.arange(1.0, 6.0), "y": np.array([2.0, 4.0, 5.0, 4.0, 5.0])}


def balloons(rows: int = 5000) -> dict[str, np.ndarray]:
    """People of whom some have a partner (relationship above zero): two rules, and no line through both."""
    rng = np.random.default_rng(1)
    # In steps of a thousandth, which float32 holds to seven digits.
    age, relationship, children = np.round(rng.uniform(-0.5, 0.5, (3, rows)), 3)
    partnered = relationship > 0
    return {
        "age": age,
        "relationship": relationship,
        "children": children,
        "balloons": np.where(partnered, 1.0 * children - 0.2 * age, 0.8 * children + 0.5 * age),
        "red": np.where(partnered, 0.8 * children + 0.2 * age, 0.5 * children + 0.5 * age) > 0,
    }


def answers(rows: int = 3000) -> dict[str, np.ndarray]:
    """People who were asked which of three parties they prefer, and how content they are, from 1 to 4."""
    rng = np.random.default_rng(2)
    age, income = np.round(rng.uniform(20, 70, rows)), np.round(rng.gamma(4, 10, rows), 1)
    old, rich = (age - 45) / 15, (income - 40) / 20
    likes = np.column_stack([np.zeros(rows), 0.5 * old, 0.8 * rich - 0.3 * old]) + rng.gumbel(size=(rows, 3))
    content = np.digitize(0.6 * rich + 0.2 * old + rng.logistic(size=rows), [-1.5, 0.0, 1.5])
    return {"age": age, "income": income, "party": likes.argmax(axis=1) + 1, "content": content + 1}


def main() -> None:
    """Write each table beside this file, with the names of its columns."""
    for make, dtype in ((collinear, np.float64), (ols, np.float64), (balloons, np.float32), (answers, np.float32)):
        table = make()
        path = HERE / f"{make.__name__}.npy"
        np.save(path, np.column_stack(list(table.values())).astype(dtype))
        Path(f"{path}.json").write_text(json.dumps({"columns": list(table)}, indent=1) + "\n")


if __name__ == "__main__":
    main()
