"""HTML and SVG from functions: text is escaped, and what is markup already says so by its type."""
from __future__ import annotations

from base64 import b64encode
from html import escape


class Markup(str):
    """Text that is markup."""

    __slots__ = ()


def join(*parts) -> Markup:
    """Put parts behind each other: markup as it is, text escaped, lists flat, None left out."""
    pieces = []
    for part in parts:
        if isinstance(part, (list, tuple)):
            pieces.append(join(*part))
        elif part is not None:
            pieces.append(part if isinstance(part, Markup) else escape(str(part), quote=False))
    return Markup(''.join(pieces))


def tag(name: str, /, *content, **attributes) -> Markup:
    """An element; `_` in the name of an attribute stands for `-`, and a last one is dropped (`class_`, `for_`)."""
    written = ''.join(f' {key.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
                      for key, value in attributes.items() if value is not None)
    return Markup(f'<{name}{written}>{join(*content)}</{name}>')


def void(name: str, /, **attributes) -> Markup:
    """An element without content or end."""
    return Markup(tag(name, **attributes).removesuffix(f'</{name}>'))


def _number(value) -> str:
    return f'{value:.2f}'.rstrip('0').rstrip('.') if isinstance(value, float) else str(value)


def data_address(content: bytes, kind: str = 'image/jpeg') -> str:
    """The address that holds a file itself."""
    return f'data:{kind};base64,{b64encode(content).decode()}'
