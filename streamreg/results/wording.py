"""Formulas as other programs write them: only terms that all of them have."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from streamreg.errors import UsageError

_TOKEN = re.compile(r"\s*(?:`(?P<quoted>[^`]+)`|(?P<word>[^\W\d]\w*)|(?P<number>\d+(?:\.\d+)?)|(?P<sign>[-+*:()^]))")
FUNCTIONS = ("C", "log", "exp", "sqrt")


@dataclass(frozen=True, slots=True)
class Language:
    """How a program writes the parts of a formula.

    Attributes
    ----------
    name : str
    quoted : callable
        What stands for a column whose name is no word; raises `UsageError` if there is nothing.
    functions : dict of str to str
        What stands for each of `FUNCTIONS`, with ``{}`` for the argument; one that lacks has no counterpart.
    power : str
        What stands for a power of a column: ``"I({}**{})"``.
    """

    name: str
    quoted: Callable[[str], str]
    functions: dict[str, str]
    power: str

    def column(self, name: str) -> str:
        """Return a column as a formula has it."""
        return name if re.fullmatch(r"[^\W\d]\w*", name) and name.isascii() else self.quoted(name)


@dataclass(frozen=True, slots=True)
class Model:
    """The parts of a model: as its formula, or its options, say them.

    Attributes
    ----------
    target : str
    terms : str
        In the words of a `Language`, without the constant.
    absorbed : tuple of str
        Factors; ``f^g`` for levels of two together.
    plain : tuple of str
        The columns, if each term is one; else empty.
    """

    target: str
    terms: str
    absorbed: tuple[str, ...]
    plain: tuple[str, ...]


def model(fit: Any, language: Language) -> Model:
    """Return the model of a fit in the words of a language.

    Raises
    ------
    UsageError
        A term has no counterpart there.
    """
    options = fit.model
    formula = options.get("formula")
    if formula is None:
        target = language.column(fit.target)
        powers = options.get("powers") or {}
        names = [name for name in fit.terms_of if name in fit.names]
        said = [language.column(name) for name in names]
        for name, degree in powers.items():
            said += [language.power.format(language.column(name), k) for k in range(2, int(degree) + 1)]
        return Model(target, " + ".join(said), tuple(options.get("absorb") or ()), () if powers else tuple(names))
    left, _, right = formula.partition("~")
    right, _, absorbed = right.partition("|")
    if "." in re.sub(r"`[^`]*`|\d+\.\d+", "", right):
        raise UsageError("code: a formula with a dot names no columns; write them out")
    terms = _terms(right, language)
    plain = [part.strip() for part in right.split("+")]
    simple = all(re.fullmatch(r"[^\W\d]\w*", part) and part in fit.names for part in plain)
    factors = tuple(part.strip() for part in absorbed.split("+") if part.strip())
    return Model(_terms(left, language), terms, factors, tuple(plain) if simple else ())


def _terms(text: str, language: Language) -> str:
    """Return a side of a formula in the words of a language."""
    out: list[str] = []
    place, text = 0, text.strip()
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise _unknown(text[place:].strip(), language)
        place = found.end()
        if found["word"] and text[place : place + 1] == "(":
            word = found["word"]
            if word not in FUNCTIONS or word not in language.functions:
                raise _unknown(f"{word}(...)", language)
            close = text.find(")", place)
            inner = text[place + 1 : close].strip()
            if not re.fullmatch(r"`[^`]+`|[^\W\d]\w*", inner):
                raise _unknown(f"{word}({inner})", language)
            out.append(language.functions[word].format(language.column(inner.strip("`"))))
            place = close + 1
        elif found["word"] or found["quoted"]:
            out.append(language.column(found["word"] or found["quoted"]))
        else:
            out.append(found["number"] or found["sign"])
    return re.sub(r"\( | \)", lambda m: m[0].strip(), " ".join(out)).replace(" : ", ":")


def _unknown(term: str, language: Language) -> UsageError:
    return UsageError(f"code: {term!r} is not said in the same words by {language.name}; make a column of it first")
