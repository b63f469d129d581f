"""The probabilities of a case come out on the grid of its labels, whatever file they lie in."""

import pickle

import numpy as np
import pytest
from PIL import Image as Pillow

from drawing import volume
from labelmend.errors import DataError, GeometryError, LabelValueError, MissingDataError
from labelmend.io.probabilities.probability_folder import ProbabilityFolder, copy_floats
from labelmend.types import Grid, LabelMap

PICTURE = Grid((2, 3), (1.0, 1.0))
AFFINE = np.diag([-1.0, 2.0, 3.0, 1.0])
VOLUME = Grid((2, 3, 4), (1.0, 2.0, 3.0), AFFINE)


def labels_on(grid, k=2, overlapping=False):
    names = tuple("abcdef"[:k])
    array = np.zeros((k, *grid.shape), bool) if overlapping else np.zeros(grid.shape, np.uint8)
    return LabelMap(array, grid, names)


def softmax_on(shape, k=2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(k + 1), shape).transpose(-1, *range(len(shape))).astype(np.float32)


def folder_of(path, k=2, overlapping=False, **fields):
    names = tuple("abcdef"[:k])
    return ProbabilityFolder(path.parent, "arrays", names, overlapping, {"x": (path,)}, **fields)


def test_nnunet_arrays_of_nifti_are_turned_from_z_y_x_to_x_y_z(tmp_path):
    probs = softmax_on(VOLUME.shape)
    np.savez_compressed(tmp_path / "x.npz", probabilities=probs.transpose(0, 3, 2, 1))
    read = folder_of(tmp_path / "x.npz").read("x", labels_on(VOLUME))
    np.testing.assert_allclose(read, probs, atol=1e-6)
    assert (read.dtype, read.flags.c_contiguous, read.flags.writeable) == (np.float32, True, True)


def test_a_cube_is_turned_too_since_the_name_tells_and_not_the_shape(tmp_path):
    grid = Grid((3, 3, 3), (1.0, 1.0, 1.0), np.eye(4))
    probs = softmax_on(grid.shape)
    np.savez(tmp_path / "x.npz", probabilities=probs)
    np.savez(tmp_path / "y.npz", mine=probs)
    np.save(tmp_path / "z.npy", probs)
    turned = probs.transpose(0, 3, 2, 1)
    for name, expected in (("x.npz", turned), ("y.npz", probs), ("z.npy", probs)):
        read = folder_of(tmp_path / name).read("x", labels_on(grid))
        np.testing.assert_allclose(read, expected, atol=1e-6)


def test_the_order_of_axes_can_be_said(tmp_path):
    probs = softmax_on(VOLUME.shape)
    np.save(tmp_path / "x.npy", probs.transpose(0, 3, 2, 1))
    np.savez(tmp_path / "y.npz", probabilities=probs)
    for name, order in (("x.npy", "sitk"), ("y.npz", "array")):
        read = folder_of(tmp_path / name, order=order).read("x", labels_on(VOLUME))
        np.testing.assert_allclose(read, probs, atol=1e-6)


def test_flat_nnunet_arrays_have_an_axis_of_length_one(tmp_path):
    probs = softmax_on(PICTURE.shape)
    np.savez(tmp_path / "x.npz", probabilities=probs[:, None])
    np.testing.assert_allclose(folder_of(tmp_path / "x.npz").read("x", labels_on(PICTURE)), probs, atol=1e-6)
    slice_ = Grid((2, 3), (1.0, 2.0), AFFINE)
    np.savez(tmp_path / "x.npz", probabilities=probs.transpose(0, 2, 1)[:, None])
    np.testing.assert_allclose(folder_of(tmp_path / "x.npz").read("x", labels_on(slice_)), probs, atol=1e-6)


def test_reoriented_nnunet_arrays_are_turned_back(tmp_path):
    probs = softmax_on(VOLUME.shape)
    right_to_left = probs[:, ::-1]  # the affine has x to the left; RAS has it to the right
    np.savez(tmp_path / "x.npz", probabilities=right_to_left.transpose(0, 3, 2, 1))
    read = folder_of(tmp_path / "x.npz", ras=True).read("x", labels_on(VOLUME))
    np.testing.assert_allclose(read, probs, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_all_floats_become_float32_that_sums_up_to_one(tmp_path, dtype, order):
    probs = softmax_on(PICTURE.shape)
    np.save(tmp_path / "x.npy", np.asarray(probs, dtype, order=order))
    read = folder_of(tmp_path / "x.npy").read("x", labels_on(PICTURE))
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, probs, atol=1e-3)
    np.testing.assert_allclose(read.sum(axis=0), 1, rtol=1e-6)


def test_every_number_of_16_bits_is_looked_up_as_it_would_be_converted():
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16).reshape(16, -1)
    for array in (halves, halves.T, halves.astype(halves.dtype.newbyteorder())):
        out = np.empty(array.shape, np.float32)
        copy_floats(array, out)
        assert out.tobytes() == array.astype(np.float32).tobytes()


def test_integers_are_shares_of_their_full_scale(tmp_path):
    probs = softmax_on(PICTURE.shape)
    np.save(tmp_path / "x.npy", np.rint(probs * 255).astype(np.uint8))
    np.testing.assert_allclose(folder_of(tmp_path / "x.npy").read("x", labels_on(PICTURE)), probs, atol=0.01)
    np.save(tmp_path / "x.npy", probs > 0.5)
    with pytest.raises(LabelValueError, match=r"case x: .*x.npy: it holds masks, not probabilities"):
        folder_of(tmp_path / "x.npy").read("x", labels_on(PICTURE))


def test_overlapping_classes_need_no_sum_and_no_background(tmp_path):
    probs = np.array([[[0.9, 0.8, 0.1]] * 2, [[0.9, 0.0, 1.0]] * 2], np.float32)
    np.savez(tmp_path / "x.npz", probabilities=probs[:, None])
    read = folder_of(tmp_path / "x.npz", overlapping=True).read("x", labels_on(PICTURE, overlapping=True))
    np.testing.assert_array_equal(read, probs)


def test_one_class_alone_needs_neither_background_nor_a_channel(tmp_path):
    probs = np.array([[0.0, 0.25, 1.0]] * 2, np.float32)
    for saved in (probs, probs[None], np.stack([1 - probs, probs])):
        np.save(tmp_path / "x.npy", saved)
        read = folder_of(tmp_path / "x.npy", k=1).read("x", labels_on(PICTURE, k=1))
        np.testing.assert_array_equal(read, np.stack([1 - probs, probs]))


def test_pixels_that_earlier_versions_of_nnunet_left_at_zero_are_background(tmp_path):
    probs = softmax_on(PICTURE.shape)
    probs[:, 0] = 0
    np.savez(tmp_path / "x.npz", probabilities=probs[:, None])
    read = folder_of(tmp_path / "x.npz").read("x", labels_on(PICTURE))
    assert read[:, 0].tolist() == [[1] * 3, [0] * 3, [0] * 3]
    np.save(tmp_path / "x.npy", probs)
    with pytest.raises(LabelValueError, match=r"50.0% of the pixels do not sum to one \(such as 0\)"):
        folder_of(tmp_path / "x.npy").read("x", labels_on(PICTURE))


@pytest.mark.parametrize(
    ("saved", "told"),
    [
        ({"mine": (3, 4, 3, 2)}, r"\(3, 4, 3, 2\), the labels have \(2, 3, 4\).*axis order \"sitk\""),
        ({"probabilities": (3, 2, 3, 4)}, r"as nnU-Net saves it; .* axis order \"array\""),
        ({"mine": (2, 3, 4, 3)}, r"in the order \(3, 0, 1, 2\), as by array.transpose"),
        ({"mine": (3, 9, 9, 9)}, "no order of its axes would fit"),
        ({"softmax": (3, 3, 2, 2)}, "version 1 saved arrays cropped"),
        ({"mine": (2, 3, 4)}, r"has shape \(2, 3, 4\), the labels have"),
        ({"mine": (2, 2, 3, 4)}, r"2 channels, expected 3 \(background, a, b\): save the background too"),
        ({"mine": (5, 2, 3, 4)}, "5 channels, expected 3 .*: predict with a model of the same classes"),
    ],
)
def test_a_shape_that_does_not_fit_is_told_with_one_that_would(tmp_path, saved, told):
    np.savez(tmp_path / "x.npz", **{key: np.full(shape, 0.5) for key, shape in saved.items()})
    with pytest.raises(GeometryError, match=f"case x: .*{told}"):
        folder_of(tmp_path / "x.npz").read("x", labels_on(VOLUME))


def test_a_channel_too_many_for_overlapping_classes_is_told(tmp_path):
    np.save(tmp_path / "x.npy", softmax_on(PICTURE.shape))
    with pytest.raises(GeometryError, match=r"3 channels, expected 2 \(a, b\): leave out the background"):
        folder_of(tmp_path / "x.npy", overlapping=True).read("x", labels_on(PICTURE, overlapping=True))


def test_logits_are_told_with_case_and_file(tmp_path):
    np.save(tmp_path / "x.npy", np.log(softmax_on(PICTURE.shape)) + 2)
    with pytest.raises(LabelValueError, match=r"case x: .*x.npy: the values range from .*look like logits"):
        folder_of(tmp_path / "x.npy").read("x", labels_on(PICTURE))


def pictures(tmp_path, channels, arrays, **fields):
    for name, array in zip(channels, arrays, strict=True):
        (tmp_path / name).mkdir()
        Pillow.fromarray(np.rint(np.asarray(array) * 255).astype(np.uint8)).save(tmp_path / name / "x.png")
    files = {"x": tuple(tmp_path / name / "x.png" for name in channels)}
    return ProbabilityFolder(tmp_path, "pictures", ("a", "b"), channels=channels, files=files, **fields)


def test_background_of_pictures_is_what_is_left_or_what_is_there(tmp_path):
    a, b = np.full((2, 3), 0.2), np.full((2, 3), 0.6)
    folder = pictures(tmp_path, ("a", "b"), (a, b), overlapping=False)
    read = folder.read("x", labels_on(PICTURE))
    np.testing.assert_allclose(read[:, 0, 0], [0.2, 0.2, 0.6], rtol=1e-6)


def test_background_of_pictures_may_have_its_own(tmp_path):
    values = np.full((2, 3), 0.2), np.full((2, 3), 0.2), np.full((2, 3), 0.6)
    folder = pictures(tmp_path, ("background", "a", "b"), values, overlapping=False)
    np.testing.assert_allclose(folder.read("x", labels_on(PICTURE))[:, 0, 0], [0.2, 0.2, 0.6], rtol=1e-6)


def test_pictures_of_overlapping_classes_and_their_errors(tmp_path):
    ones = np.ones((2, 3))
    folder = pictures(tmp_path, ("a", "b"), (ones, ones), overlapping=True)
    assert folder.read("x", labels_on(PICTURE, overlapping=True)).tolist() == np.ones((2, 2, 3)).tolist()
    exclusive = ProbabilityFolder(tmp_path, "pictures", ("a", "b"), False, folder.files, ("a", "b"))
    with pytest.raises(LabelValueError, match=r"case x: .*x.png: the classes sum to more than one"):
        exclusive.read("x", labels_on(PICTURE))


def test_pictures_in_nifti_lie_on_the_axes_of_the_labels(tmp_path):
    probs = softmax_on(VOLUME.shape, k=2)
    for name, channel in zip("ab", probs[1:], strict=True):
        (tmp_path / name).mkdir()
        volume(tmp_path / name / "x.nii.gz", channel, AFFINE)
    files = {"x": tuple(tmp_path / name / "x.nii.gz" for name in "ab")}
    folder = ProbabilityFolder(tmp_path, "pictures", ("a", "b"), False, files, ("a", "b"))
    np.testing.assert_allclose(folder.read("x", labels_on(VOLUME)), probs, atol=1e-6)


def test_a_folder_of_one_case_goes_to_a_worker_and_reads_the_same(tmp_path):
    np.save(tmp_path / "x.npy", softmax_on(PICTURE.shape))
    whole = folder_of(tmp_path / "x.npy")
    sent = pickle.loads(pickle.dumps(whole.only("x")))
    np.testing.assert_array_equal(sent.read("x", labels_on(PICTURE)), whole.read("x", labels_on(PICTURE)))
    assert (sent.cases, sent.checksum_files("x")) == (("x",), (tmp_path / "x.npy",))
    with pytest.raises(MissingDataError, match="case y has no probabilities"):
        whole.only("y")


def test_a_file_that_is_gone_or_torn_is_named_with_its_case(tmp_path):
    np.savez(tmp_path / "x.npz", probabilities=softmax_on(PICTURE.shape))
    whole = (tmp_path / "x.npz").read_bytes()
    folder = folder_of(tmp_path / "x.npz")
    (tmp_path / "x.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"case x: .*x.npz cannot be read"):
        folder.read("x", labels_on(PICTURE))
    (tmp_path / "x.npz").unlink()
    with pytest.raises(MissingDataError, match=r"case x: .*x\.npz does not exist"):
        folder.read("x", labels_on(PICTURE))
