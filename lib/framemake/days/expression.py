"""Expressions over channels, as 'V1:META_ITF_LOCK_index >= 130 and not V1:FLAG == 0': read safely, never run as code.

A channel's name stands as it is and ends before a space or one of ( ) < > = ! & | , ~ * / ^ or a quote; a name with
one of these in it stands in backticks.  So a minus behind a name needs a space before it.  There are numbers, + - * /
% **, comparisons, also chained, abs(), and, or, not and parentheses; & and | are of the bits of whole numbers.
"""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..errors import BadInput

_CHANNEL = re.compile(r"`([^`]+)`|([A-Za-z][A-Za-z0-9]*:[^\s()<>=!&|,~*/^'\"`]+)")
_OPERATORS: dict[type, Callable] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_BITS = {ast.BitAnd: np.bitwise_and, ast.BitOr: np.bitwise_or}
_LOGIC = {ast.And: np.logical_and, ast.Or: np.logical_or}
# No expression of a person is longer; a deep one would use up Python's stack.
_LONGEST = 2000


class Expression:
    """An expression that is true or false of each sample of some channels; BadInput for a text that is none.

    channels: their names, in the order in which they stand.
    """

    def __init__(self, text: str):
        self.text, self.channels = text, list[str]()
        if len(text) > _LONGEST:
            raise BadInput(f"an expression has at most {_LONGEST} characters: {text[:60]!r}")
        marked = _CHANNEL.sub(self._marked, text)
        try:
            self._tree = ast.parse(marked.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise BadInput(f"not an expression, see list-segments --help: {text!r}") from None
        if not self.channels:
            raise BadInput(f"no channel in the expression, as V1:NAME or in backticks: {text!r}")
        if not self._check(self._tree):
            raise BadInput(f"neither true nor false, want a comparison: {text!r}")

    def _marked(self, match):
        """The name of Python's that stands for a channel while the text is parsed."""
        name = match[1] or match[2]
        if name not in self.channels:
            self.channels.append(name)
        return f" _{self.channels.index(name)}_ "

    def _refuse(self, node):
        text = getattr(node, "id", None) or type(node).__name__
        raise BadInput(f"not in an expression, see list-segments --help: {text!r} in {self.text!r}")

    def _check(self, node):
        """Whether what a node gives is true or false, not a number; BadInput for what is not allowed."""
        if isinstance(node, ast.BoolOp):
            self._want(node.values, True)
            return True
        if isinstance(node, ast.UnaryOp):
            logical = isinstance(node.op, ast.Not)
            if not logical and not isinstance(node.op, (ast.USub, ast.UAdd)):
                self._refuse(node.op)
            self._want([node.operand], logical)
            return logical
        if isinstance(node, ast.Compare):
            for op in node.ops:
                if type(op) not in _OPERATORS:
                    self._refuse(op)
            sides = [node.left, *node.comparators]
            self._want(sides, False)
            if len(sides) > 2 and any(isinstance(side, ast.BinOp) and type(side.op) in _BITS for side in sides):
                # A > 1 & B > 2 is A > (1 & B) > 2 to Python.
                raise BadInput(f"& and | bind before comparisons, write 'and', 'or' or parentheses: {self.text!r}")
            return True
        if isinstance(node, ast.BinOp):
            if type(node.op) not in _OPERATORS and type(node.op) not in _BITS:
                self._refuse(node.op)
            self._want([node.left, node.right], False)
            return False
        if isinstance(node, ast.Call):
            if not isinstance(node.func, ast.Name) or node.func.id != "abs" or len(node.args) != 1 or node.keywords:
                self._refuse(node.func)
            self._want(node.args, False)
            return False
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            return False
        if isinstance(node, ast.Name) and re.fullmatch(r"_\d+_", node.id):
            return False
        self._refuse(node)
        raise AssertionError

    def _want(self, nodes, logical):
        for node in nodes:
            if self._check(node) != logical:
                what = "true or false, want a comparison" if logical else "a number"
                raise BadInput(f"a part of the expression is not {what}: {self.text!r}")

    def of(self, samples: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """(where it is known, where it holds), bool arrays: it is known where no channel's sample is NaN.

        samples: by channel, arrays of one length.
        """
        held = [samples[name].astype(np.float64) for name in self.channels]
        known = np.asarray(~np.isnan(np.array(held)).any(axis=0))
        with np.errstate(all="ignore"):
            holds = np.broadcast_to(self._value(self._tree, held), known.shape)
        return known, np.asarray(known & holds)

    def _value(self, node: Any, held: list[np.ndarray]) -> Any:
        if isinstance(node, ast.BoolOp):
            return _LOGIC[type(node.op)].reduce([self._value(value, held) for value in node.values])
        if isinstance(node, ast.UnaryOp):
            value = self._value(node.operand, held)
            return np.logical_not(value) if isinstance(node.op, ast.Not) else -value if _minus(node) else value
        if isinstance(node, ast.Compare):
            sides = [self._value(side, held) for side in (node.left, *node.comparators)]
            pairs = zip(node.ops, sides, sides[1:])  # noqa: B905
            return np.logical_and.reduce([_OPERATORS[type(op)](a, b) for op, a, b in pairs])
        if isinstance(node, ast.BinOp):
            a, b = self._value(node.left, held), self._value(node.right, held)
            if type(node.op) in _BITS:
                return _BITS[type(node.op)](_whole(a), _whole(b))
            return _OPERATORS[type(node.op)](a, b)
        if isinstance(node, ast.Call):
            return np.abs(self._value(node.args[0], held))
        if isinstance(node, ast.Constant):
            return np.float64(node.value)  # type: ignore[arg-type]
        return held[int(node.id.strip("_"))]


def _minus(node):
    return isinstance(node.op, ast.USub)


def _whole(value):
    """Samples as integers, for their bits; one that is missing as 0, as it counts for nothing."""
    return np.nan_to_num(value, nan=0.0, posinf=0.0, neginf=0.0).astype(np.int64)
