"""A registered dataclass chosen by name, its fields as flags, in help and in config files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import pytest
import yaml

from labelmend.cli.choice import chosen
from labelmend.cli.parser import VerbParser


@dataclass(frozen=True)
class Walk:
    """A walk.

    Args:
        steps: how many steps are walked.
        move: how a step is made.
    """

    needs: ClassVar[int] = 1
    steps: int = 3
    move: Literal["left", "right"] = "left"


@dataclass(frozen=True)
class Jump:
    """A jump.

    Args:
        height: how high, in metres.
        steps: how many jumps, another type than that of Walk.
    """

    height: float = 0.5
    steps: float = 1.5


REGISTRY: dict[str, type] = {"walk": Walk, "jump": Jump}


def build(default: str | None = "walk") -> VerbParser:
    parser = VerbParser("x", "Draw.")
    parser.add_input("data", "what to read")
    parser.add_flag("seed", int, 0, "a seed")
    parser.add_choice("noise", REGISTRY, default=default, help="the noise to draw")
    return parser


def parse(*words: str, default: str | None = "walk") -> object:
    return chosen(build(default).parse_args(["DATA", *words]).noise, REGISTRY)


def test_the_default_is_taken_when_nothing_is_said() -> None:
    assert parse() == Walk()


def test_without_default_nothing_is_chosen() -> None:
    assert parse(default=None) is None


@pytest.mark.parametrize("words", [("--noise", "jump"), ("--noise=jump",), ("--noise.name", "jump")])
def test_a_name_chooses_the_class(words: tuple[str, ...]) -> None:
    assert parse(*words) == Jump()


def test_fields_are_flags_before_and_after_the_name() -> None:
    assert parse("--noise.height", "2", "--noise", "jump", "--noise.steps=2.5") == Jump(2.0, 2.5)


def test_a_wrong_name_lists_the_right_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse("--noise", "wolk")
    assert "no noise called 'wolk': choose from jump, walk; did you mean walk?" in capsys.readouterr().err


def test_a_field_of_another_class_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse("--noise", "walk", "--noise.height", "2")
    assert "noise.height" in capsys.readouterr().err


def test_a_field_without_a_choice_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse("--noise.steps", "2", default=None)
    assert "--noise.steps was given without --noise NAME" in capsys.readouterr().err


def test_a_field_of_the_wrong_type_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse("--noise.steps", "many")
    assert "noise.steps" in capsys.readouterr().err


def test_help_describes_the_fields_of_the_chosen_class(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        parse("--noise", "jump", "--help-all")
    text = capsys.readouterr().out
    assert "how high, in metres" in text
    assert "how a step is made" not in text


@pytest.mark.parametrize(
    "text", ["noise: jump", "noise: {name: jump}", "noise:\n  name: jump\n  height: 0.5\nseed: 4"]
)
def test_a_config_file_chooses(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    assert parse("--config", str(tmp_path / "c.yaml")) == Jump()


def test_flags_after_a_config_win_over_it(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("noise: {name: jump, height: 3}\nseed: 4")
    arguments = build().parse_args(["DATA", f"--config={tmp_path / 'c.yaml'}", "--noise.height", "7"])
    assert chosen(arguments.noise, REGISTRY) == Jump(height=7.0)
    assert arguments.seed == 4


def test_another_name_after_a_config_drops_the_fields_of_the_first_and_keeps_the_rest(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("noise: {name: jump, height: 3}\nseed: 4")
    arguments = build().parse_args(["DATA", "--config", str(tmp_path / "c.yaml"), "--noise", "walk"])
    assert chosen(arguments.noise, REGISTRY) == Walk()
    assert arguments.seed == 4


def test_a_config_with_fields_alone_sets_the_default_class(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("noise: {steps: 9}")
    assert parse("--config", str(tmp_path / "c.yaml")) == Walk(steps=9)


def test_an_unreadable_config_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse("--config", "no_such.yaml")
    assert "no_such.yaml" in capsys.readouterr().err


def test_an_unknown_field_in_a_config_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.yaml").write_text("noise: {name: walk, depth: 9}")
    with pytest.raises(SystemExit, match="2"):
        parse("--config", str(tmp_path / "c.yaml"))
    assert "depth" in capsys.readouterr().err


def test_dump_and_reload_is_the_same_run(tmp_path: Path) -> None:
    first = build()
    arguments = first.parse_args(["DATA", "--noise", "jump", "--noise.height", "2.5", "--seed", "8"])
    for parser in (first, build()):
        text = parser.dump(arguments)
        assert yaml.safe_load(text)["noise"] == {"name": "jump", "height": 2.5, "steps": 1.5}
        (tmp_path / "run.yaml").write_text(text)
        again = build().parse_args(["--config", str(tmp_path / "run.yaml")])
        assert (again.data, again.seed, again.noise) == (arguments.data, arguments.seed, arguments.noise)


def test_a_dumped_run_without_choice_reloads(tmp_path: Path) -> None:
    text = build(None).dump(build(None).parse_args(["DATA"]))
    (tmp_path / "run.yaml").write_text(text)
    assert build(None).parse_args(["--config", str(tmp_path / "run.yaml")]).noise.name is None


def test_print_config_reloads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        parse("--noise", "jump", "--noise.height", "2", "--print-config")
    (tmp_path / "p.yaml").write_text(capsys.readouterr().out)
    assert chosen(build().parse_args(["--config", str(tmp_path / "p.yaml")]).noise, REGISTRY) == Jump(
        height=2.0
    )


def test_one_parser_cannot_change_its_choice() -> None:
    parser = build()
    parser.parse_args(["DATA", "--noise", "jump"])
    parser.parse_args(["DATA", "--noise", "jump", "--noise.height", "1"])
    with pytest.raises(RuntimeError, match="build a new one"):
        parser.parse_args(["DATA", "--noise", "walk"])
