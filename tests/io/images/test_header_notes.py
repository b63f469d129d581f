"""Sentences on headers that disagree with themselves, with their user, or with each other."""

import nibabel
import numpy as np

from labelmend.io.images.header_notes import common_orientation, spacing_notes

RAS, LAS = np.diag([0.5, 0.5, 3.0, 1.0]), np.diag([-0.5, 0.5, 3.0, 1.0])


def volume(path, affine=RAS, pixdim=None):
    image = nibabel.Nifti1Image(np.zeros((4, 3, 2), np.uint8), affine)
    if pixdim is not None:
        image.header["pixdim"][1:4] = pixdim
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(image.to_bytes())
    return path


def test_a_pixdim_unlike_the_affine_is_told_with_the_first_file_and_both_sizes(tmp_path):
    files = [volume(tmp_path / "a.nii"), *(volume(tmp_path / f"{n}.nii", pixdim=(1, 1, 1)) for n in "bc")]
    assert spacing_notes(files) == (
        f"In 2 files, first {tmp_path / 'b.nii'}, pixdim gives a voxel size of 1 x 1 x 1 mm, but the affine "
        "0.5 x 0.5 x 3 mm: the affine is used.",
    )


def test_a_spacing_that_replaces_that_of_the_header_is_told(tmp_path):
    assert spacing_notes([volume(tmp_path / "a.nii")], 2.0) == (
        "The spacing you set, 2 x 2 x 2 mm, overrides 0.5 x 0.5 x 3 mm in the header of "
        f"{tmp_path / 'a.nii'}.",
    )
    assert spacing_notes([volume(tmp_path / "a.nii")], [0.5, 0.5, 3]) == ()


def test_other_files_and_broken_ones_say_nothing(tmp_path):
    (tmp_path / "a.nii").write_bytes(b"damaged")
    (tmp_path / "b.png").write_bytes(b"")
    assert spacing_notes([tmp_path / "a.nii", tmp_path / "b.png", tmp_path / "none.nii"], 1.0) == ()
    assert common_orientation({"b": tmp_path / "b.png"}, {"b": tmp_path / "b.png"}) == (None, ())


def test_most_images_decide_and_the_others_are_told(tmp_path):
    images = {n: volume(tmp_path / "i" / f"{n}.nii", LAS if n == "b" else RAS) for n in "abc"}
    labels = {n: volume(tmp_path / "l" / f"{n}.nii") for n in "abc"}
    usual, notes = common_orientation(images, labels)
    assert usual == "RAS"
    assert notes[0].startswith(f"1 of 3 volumes are stored as LAS rather than RAS, first {images['b']}: ")
    assert notes[1].startswith(
        f"Image and labels of 1 cases are stored in different orientations, first {labels['b']}: "
    )
    assert common_orientation({"a": images["a"]}, labels) == ("RAS", ())


def test_axes_that_are_not_at_right_angles_are_told_and_turned_ones_are_not(tmp_path):
    tilted, turned = np.eye(4), np.eye(4)
    tilted[1, 2] = np.tan(np.radians(15))  # a gantry tilt of 15 degrees
    turned[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    files = [volume(tmp_path / "a.nii", turned), volume(tmp_path / "b.nii", tilted)]
    assert spacing_notes(files) == (
        f"The axes of {files[1]} are 15 degrees off orthogonal: distances are computed as if they "
        "were orthogonal.",
    )
