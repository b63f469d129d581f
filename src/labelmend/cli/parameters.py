"""Settings of a function or a dataclass as flags: types and defaults of its signature, help of its docstring.

`batch_size: int = 8` becomes `--batch-size N`, and `calibrate: bool = False` becomes `--calibrate` and
`--no-calibrate`. Names with underscores are taken as well.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import sys
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import docstring_parser
from jsonargparse import ActionYesNo, Namespace

from labelmend.cli.values import class_values, names, names_or_file, numbers
from labelmend.errors import ConfigError

Container = Any
"""A parser, or a group of one."""

Source = Callable[..., Any]
"""A function, or a dataclass."""


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One keyword of a function or one field of a dataclass.

    Args:
        name: as in Python.
        annotation: its type.
        default: `...` where it must be given.
        help: what the docstring says of it.
    """

    name: str
    annotation: Any
    default: Any
    help: str

    @property
    def required(self) -> bool:
        return self.default is ...


def parameters(source: Source, skip: Collection[str] = ()) -> Iterator[Parameter]:
    """The keywords of a function, or the fields of a dataclass, as flags."""
    help = {
        item.arg_name: item.description or "" for item in docstring_parser.parse(source.__doc__ or "").params
    }
    scope = vars(sys.modules[source.__module__])
    for given in inspect.signature(source).parameters.values():
        if given.name in skip or given.kind is given.VAR_KEYWORD:
            continue
        annotation = given.annotation
        kind = eval(annotation, dict(scope)) if isinstance(annotation, str) else annotation
        yield Parameter(given.name, kind, _default(source, given), " ".join(help.get(given.name, "").split()))


def add_flags(
    parser: Container,
    source: Source,
    *,
    prefix: str = "",
    skip: Collection[str] = (),
    required: Collection[str] = (),
    given: Any = ...,
) -> list[argparse.Action]:
    """Add a flag for each setting of a function or dataclass; nested dataclasses become `--name.field`.

    Args:
        parser: a parser or a group of one.
        source: the function or dataclass.
        prefix: written before each name, such as "noise.".
        skip: names that are no flags.
        required: names that must be given, whatever their default.
        given: an instance of the dataclass whose values are the defaults.
    """
    added: list[argparse.Action] = []
    for each in parameters(source, skip):
        if given is not ...:
            each = dataclasses.replace(each, default=getattr(given, each.name))
        each = dataclasses.replace(each, default=...) if each.name in required else each
        if dataclasses.is_dataclass(each.annotation):
            nested = f"{prefix}{each.name}."
            added += add_flags(
                parser, typing.cast(Source, each.annotation), prefix=nested, given=each.default
            )
        else:
            added.append(add_flag(parser, f"{prefix}{each.name}", each))
    return added


def add_flag(parser: Container, dest: str, each: Parameter) -> argparse.Action:
    """Add `--some-name` for one setting; `--some_name` is understood too, and not shown."""
    flag, given = f"--{dest.replace('_', '-')}", {"help": each.help or None, **_reader(each.annotation)}
    given |= {"required": True} if each.required else {"default": each.default}
    if isinstance(given.get("type"), types.FunctionType):
        given["type"] = _naming(flag, given["type"])
    action = parser.add_argument(*dict.fromkeys((flag, f"--{dest}")), **given)
    shown = [flag, f"--no-{flag[2:]}"] if isinstance(action, ActionYesNo) else [flag]
    if isinstance(action, ActionYesNo):
        owner: Any = getattr(parser, "parser", parser)
        for spelt in (f"--no_{dest}", f"--no-{dest}"):
            owner._option_string_actions[spelt] = action
    action.option_strings[:] = shown
    action.must_be_given = each.required  # argparse's own mark is taken away
    return action


def settings(arguments: Namespace, source: Source, skip: Collection[str] = ()) -> dict[str, Any]:
    """Parsed flags of `add_flags` as the keyword arguments of the function or dataclass."""
    return {each.name: _built(each.annotation, arguments[each.name]) for each in parameters(source, skip)}


def _default(source: Source, given: inspect.Parameter) -> Any:
    """The default of a setting; of a dataclass field with a factory, what the factory makes."""
    if dataclasses.is_dataclass(source):
        field = next(field for field in dataclasses.fields(source) if field.name == given.name)
        if field.default_factory is not dataclasses.MISSING:
            return field.default_factory()
    return ... if given.default is given.empty else given.default


def _built(annotation: Any, value: Any) -> Any:
    """A value as its type wants it: nested settings as a dataclass, lists as tuples."""
    if dataclasses.is_dataclass(annotation):
        fields = value.as_dict() if isinstance(value, Namespace) else dict(value)
        kinds = {each.name: each.annotation for each in parameters(typing.cast(Source, annotation))}
        return typing.cast(Source, annotation)(
            **{name: _built(kinds[name], item) for name, item in fields.items()}
        )
    if typing.get_origin(annotation) is tuple and isinstance(value, list):
        return tuple(value)
    return value.as_dict() if isinstance(value, Namespace) else value


def _reader(annotation: Any) -> dict[str, Any]:
    """How a value of a type is read and shown: keywords of `add_argument`."""
    kinds = [kind for kind in _members(annotation) if kind is not type(None)]
    if kinds == [bool]:
        return {"action": ActionYesNo(no_prefix="no-")}
    if any(
        typing.get_origin(kind) in (Mapping, dict) and typing.get_args(kind) == (str, int) for kind in kinds
    ):
        return {"type": class_values, "metavar": "NAME=VALUE,..."}
    for kind in kinds:
        origin, items = typing.get_origin(kind), typing.get_args(kind)
        if origin in (Sequence, list, tuple) and items[0] is str:
            return {"type": names_or_file if {str, Path} & set(kinds) else names, "metavar": "A,B,..."}
        if origin in (Sequence, list, tuple) and items[0] in (int, float):
            single = bool({int, float} & set(kinds))
            return {
                "type": numbers(items[0], single=single),
                "metavar": "N or N,N,..." if single else "N,N,...",
            }
    if Path in kinds or kinds == [str]:
        optional = type(None) in _members(annotation)
        return {"type": str | None if optional else str, "metavar": "PATH" if Path in kinds else "NAME"}
    if len(kinds) == 1 and typing.get_origin(kinds[0]) is Literal:
        return {"type": annotation, "metavar": "|".join(map(str, typing.get_args(kinds[0])))}
    return {"type": annotation} | ({"metavar": "N"} if kinds in ([int], [float]) else {})


def _naming(flag: str, read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A reader whose errors name the flag."""

    def named(given: Any) -> Any:
        try:
            return None if given in (None, "null", "none") else read(given)
        except ConfigError as error:
            raise ConfigError(f"{flag}: {error}") from error

    return named


def _members(annotation: Any) -> tuple[Any, ...]:
    """The types of a union, or the type alone."""
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return typing.get_args(annotation) if union else (annotation,)
