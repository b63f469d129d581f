import inspect

from labelmend import errors


def kinds() -> list[type]:
    return [item for item in vars(errors).values() if inspect.isclass(item)]


def test_one_name_catches_every_error_raised_on_purpose():
    assert len(kinds()) > 5
    assert all(issubclass(kind, errors.LabelmendError) for kind in kinds())
    assert not any(issubclass(kind, OSError | ValueError) for kind in kinds())


def test_the_drawn_tree_names_every_error_below_its_parent():
    tree = errors.__doc__.splitlines()
    depth = {_name(line): _depth(line) for line in tree if _name(line)}
    assert set(depth) == {kind.__name__ for kind in kinds()}
    for kind in kinds():
        assert depth[kind.__name__] == len(kind.__mro__) - len(errors.LabelmendError.__mro__)


def test_every_error_says_what_it_means():
    assert all(kind.__doc__ and kind.__doc__.count("\n") == 0 for kind in kinds())


def _name(line: str) -> str:
    """The error that a line of the drawing names, if any."""
    words = [word for word in line.replace("│", " ").split() if word not in ("├──", "└──")]
    return words[0] if words and words[0].endswith("Error") else ""


def _depth(line: str) -> int:
    """How deep in the tree a line of the drawing stands: four columns a level, after its indent."""
    return (len(line) - len(line.lstrip(" │├└─")) - 4) // 4
