"""Formulas of derived sensors: a small language of arithmetic, compiled once and evaluated a batch at a time.

A formula has numbers, names of sensors, + - * / ** and brackets, and the functions abs, min, max, sqrt, exp and log. It
is parsed by Python's own parser and compiled from the syntax tree: everything else is refused, and nothing is executed
as Python.
"""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from core.arrays import Floats
from core.plant.rules import broken

Columns = Mapping[str, Floats]
_Part = Callable[[Columns], Any]  # an array, (n,), or a number

_LONGEST: Final = 300  # characters
_MOST_PARTS: Final = 100
_OPERATORS: Final[dict[type[ast.operator], Callable[..., Any]]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
}
_SIGNS: Final[dict[type[ast.unaryop], Callable[..., Any]]] = {ast.USub: np.negative, ast.UAdd: np.positive}
_FUNCTIONS: Final[dict[str, tuple[int, Callable[..., Any]]]] = {
    "abs": (1, np.abs),
    "sqrt": (1, np.sqrt),
    "exp": (1, np.exp),
    "log": (1, np.log),
    "min": (2, np.minimum),
    "max": (2, np.maximum),
}
_ALLOWED: Final = f"numbers, sensors, + - * / **, brackets, and {', '.join(_FUNCTIONS)}"


@dataclass(frozen=True, slots=True)
class Formula:
    """A compiled formula. names: the sensors that it reads."""

    text: str
    names: frozenset[str]
    _part: _Part

    def __call__(self, columns: Columns) -> Floats:
        """Return its value for each row of `columns`, (n,); NaN where an input is missing or no value exists."""
        with np.errstate(all="ignore"):
            found = np.asarray(self._part(columns), dtype=np.float64)
        return np.where(np.isfinite(found), found, np.nan)


def compile_formula(text: str) -> Formula:
    """Return the compiled formula.

    Raises:
        PydanticCustomError: `text` is too long, or not in the language.
    """
    if len(text) > _LONGEST:
        raise broken(f"a formula has at most {_LONGEST} characters, this one {len(text)}", "derive a sensor in between")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise broken("is no formula", f"write it with {_ALLOWED}") from None
    if sum(1 for _ in ast.walk(tree)) > _MOST_PARTS:
        raise broken(f"a formula has at most {_MOST_PARTS} parts", "derive a sensor in between")
    names: set[str] = set()
    part = _compiled(tree.body, names)
    if not names:
        raise broken("a formula must read a sensor", "name one")
    return Formula(text, frozenset(names), part)


def _compiled(node: ast.expr, names: set[str]) -> _Part:
    match node:
        case ast.Constant(value=bool() | complex()):
            pass
        case ast.Constant(value=int() | float() as number) if abs(number) < 1e30:  # noqa: PLR2004  no quantity is larger
            constant = float(number)
            return lambda _: constant
        case ast.Name(id=name):
            names.add(name)
            return lambda columns: columns[name]
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _SIGNS:
            return _applied(_SIGNS[type(sign)], [_compiled(operand, names)])
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
            return _applied(_OPERATORS[type(operator)], [_compiled(left, names), _compiled(right, names)])
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            wanted, function = _FUNCTIONS[name]
            if len(arguments) != wanted:
                raise broken(f"{name} takes {wanted} values, not {len(arguments)}", f"give it {wanted}")
            return _applied(function, [_compiled(argument, names) for argument in arguments])
    raise broken(f"{ast.unparse(node)[:40]!r} is not part of a formula", f"write it with {_ALLOWED}")


def _applied(function: Callable[..., Any], parts: list[_Part]) -> _Part:
    if len(parts) == 1:
        (only,) = parts
        return lambda columns: function(only(columns))
    left, right = parts
    return lambda columns: function(left(columns), right(columns))
