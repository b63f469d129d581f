"""What lets a page with foreign names in it be opened without worry."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from labelmend.io.files.atomic import plain


def templates(package: str, **filters: Callable[..., Any]) -> Environment:
    """The templates beside the code of a package; names are escaped, a missing value is an error.

    Args:
        package: dotted name, such as "labelmend.workflows.training".
        filters: functions that the templates may use, by name.
    """
    environment = Environment(
        loader=PackageLoader(package, ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    return environment


def csp_hash(text: str) -> str:
    """What a Content-Security-Policy calls one inline script or style, so that no other is used.

    >>> csp_hash("alert(1)")
    'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='
    """
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def json_block(content: Any) -> Markup:
    """JSON that may stand inside a script element: nothing in it ends that element or begins a comment.

    >>> str(json_block({"case": "</script>&"}))
    '{"case":"\\\\u003c/script\\\\u003e\\\\u0026"}'
    """
    text = json.dumps(plain(content), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)
