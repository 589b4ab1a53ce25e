"""What the transforms share: printing their options and checking them."""
from __future__ import annotations

import inspect

from mmcv.transforms import BaseTransform

from mmseg.utils.errors import InputError


class Transform(BaseTransform):
    """A transform that keeps each argument in an attribute of its name, and prints them.

    `shown` names the attributes to print where they are not simply all the arguments, in their order.
    """

    shown: tuple[str, ...] | None = None

    def __repr__(self) -> str:
        names = self.shown or [name for name in inspect.signature(type(self).__init__).parameters if name != 'self']
        return f'{type(self).__name__}({", ".join(f"{name}={getattr(self, name)!r}" for name in names)})'


def check(condition: bool, owner: object, found: str, expected: str) -> None:
    """Refuse an option of a transform.

    >>> check(0 <= prob <= 1, self, f'prob={prob}', 'a probability from 0 to 1')
    """
    if not condition:
        raise InputError(f'{type(owner).__name__}: found {found}, expected {expected}')


def check_probability(owner: object, **named: float) -> None:
    for name, value in named.items():
        check(isinstance(value, (int, float)) and 0 <= value <= 1, owner, f'{name}={value!r}',
              'a probability from 0 to 1')


def degree_range(owner: object, degree: float | tuple[float, float]) -> tuple[float, float]:
    """Return the range of angles that `degree` stands for: d means from -d to d."""
    if isinstance(degree, (int, float)):
        check(degree > 0, owner, f'degree={degree}', 'a positive angle, or a range of two')
        return -degree, degree
    check(len(degree) == 2, owner, f'degree={degree}', 'one angle or a range of two')
    return tuple(degree)
