"""State of a run on disk: comes back as it went, runs no code, and says so when it is damaged."""

import pickle

import numpy as np
import pytest
import torch
from torch import nn

from labelmend.errors import UnreadableFileError
from labelmend.workflows.training.checkpoint import load_checkpoint, save_checkpoint


def test_numbers_strings_lists_and_tensors_come_back(tmp_path):
    values = {"epoch": 3, "none": None, "rows": [{"loss": 0.5, "name": "x"}], "w": torch.arange(3)}
    save_checkpoint(tmp_path / "state.pt", values)
    loaded = load_checkpoint(tmp_path / "state.pt")
    assert loaded.pop("w").tolist() == [0, 1, 2]
    assert loaded == {"epoch": 3, "none": None, "rows": [{"loss": 0.5, "name": "x"}]}


def test_equal_values_leave_equal_bytes_whichever_objects_they_are(tmp_path):
    name, other = ("".join(["a long", " name"]) for _ in range(2))
    assert name is not other
    save_checkpoint(tmp_path / "one" / "state.pt", {"rows": [{name: name}, {name: name}]})
    save_checkpoint(tmp_path / "two" / "state.pt", {"rows": [{name: other}, {other: name}]})
    one, two = ((tmp_path / folder / "state.pt").read_bytes() for folder in ("one", "two"))
    assert one == two


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.int64).reshape(2, 3),
        np.array([True, False]),
        np.float32([np.nan, np.inf, -0.0]),
        np.array(2.5),
        np.zeros((0, 4)),
        np.arange(6.0).reshape(2, 3).T,
    ],
    ids=["integers", "booleans", "not a number", "no axis", "empty", "transposed"],
)
def test_numpy_arrays_of_a_state_come_back_with_shape_and_dtype(tmp_path, array):
    save_checkpoint(tmp_path / "state.pt", {"state": {"deep": [array]}})
    back = load_checkpoint(tmp_path / "state.pt")["state"]["deep"][0]
    assert isinstance(back, np.ndarray)
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    np.testing.assert_array_equal(back, array)


def test_a_read_only_array_is_saved_without_a_warning(tmp_path):
    array = np.arange(3)
    array.flags.writeable = False
    save_checkpoint(tmp_path / "state.pt", {"a": array})
    assert load_checkpoint(tmp_path / "state.pt")["a"].tolist() == [0, 1, 2]


def test_numpy_scalars_become_numbers_and_tuples_lists(tmp_path):
    save_checkpoint(tmp_path / "state.pt", {"n": np.int64(4), "t": (1, np.float32(0.5))})
    assert load_checkpoint(tmp_path / "state.pt") == {"n": 4, "t": [1, 0.5]}


def test_an_optimizer_goes_on_from_its_saved_state(tmp_path):
    def stepped(start=None):
        weight = nn.Parameter(torch.tensor([1.0, -2.0]) if start is None else start["w"].clone())
        optimizer = torch.optim.AdamW([weight], lr=0.1)
        if start is not None:
            optimizer.load_state_dict(start["optimizer"])
        (weight**2).sum().backward()
        optimizer.step()
        return {"w": weight.detach(), "optimizer": optimizer.state_dict()}

    save_checkpoint(tmp_path / "state.pt", stepped())
    resumed = stepped(load_checkpoint(tmp_path / "state.pt"))["w"]
    assert torch.equal(resumed, stepped(stepped())["w"])


def test_no_checkpoint_yet_is_none(tmp_path):
    assert load_checkpoint(tmp_path / "state.pt") is None


def test_a_checkpoint_that_holds_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (pytest.fail, ("code was run",))

    (tmp_path / "state.pt").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UnreadableFileError, match=r"state\.pt"):
        load_checkpoint(tmp_path / "state.pt")


@pytest.mark.parametrize("keep", [0, 100, -1])
def test_a_truncated_checkpoint_is_named_in_one_line(tmp_path, keep):
    save_checkpoint(tmp_path / "state.pt", {"w": torch.rand(200)})
    data = (tmp_path / "state.pt").read_bytes()
    (tmp_path / "state.pt").write_bytes(data[:keep])
    with pytest.raises(
        UnreadableFileError, match=r"state\.pt cannot be read .*: delete the run folder"
    ) as info:
        load_checkpoint(tmp_path / "state.pt")
    assert "\n" not in str(info.value)


def test_saving_again_replaces_the_checkpoint_and_leaves_nothing_else(tmp_path):
    for epoch in (1, 2):
        save_checkpoint(tmp_path / "state.pt", {"epoch": epoch})
    assert load_checkpoint(tmp_path / "state.pt") == {"epoch": 2}
    assert [p.name for p in tmp_path.iterdir()] == ["state.pt"]
