"""Between the native grid and the training grid: values worked out by hand."""

import pytest
import torch

from labelmend.errors import ConfigError
from labelmend.geometry.resample import crop_to, normalise, pad_to_multiple, per_axis, resample


def test_a_number_means_the_same_size_along_every_axis():
    assert per_axis(8, 3, "resize") == (8, 8, 8)


def test_a_list_gives_each_axis_its_own_size():
    assert per_axis([8, 6], 2, "resize") == (8, 6)


def test_no_size_stays_no_size():
    assert per_axis(None, 2, "patch") is None


@pytest.mark.parametrize("value", [[8, 8], 0, [8, 8, -1]])
def test_sizes_that_do_not_fit_the_images_are_refused_by_name(value):
    with pytest.raises(ConfigError, match="patch needs 3 positive sizes"):
        per_axis(value, 3, "patch")


def test_an_axis_that_shrinks_takes_the_mean_of_the_area():
    image = torch.tensor([[[1.0, 3.0, 10.0, 20.0], [5.0, 7.0, 30.0, 40.0]]])
    # (1 + 3 + 5 + 7) / 4 = 4 and (10 + 20 + 30 + 40) / 4 = 25
    assert resample(image, (1, 2)).tolist() == [[[4.0, 25.0]]]


def test_an_axis_that_grows_is_filled_linearly_between_pixel_centres():
    # new centres lie at -0.25, 0.25, 0.75 and 1.25 old pixels; beyond the last old centre: its value
    assert resample(torch.tensor([[[0.0, 4.0]]]), (1, 4)).tolist() == [[[0.0, 1.0, 3.0, 4.0]]]


def test_one_axis_may_shrink_while_another_grows():
    image = torch.tensor([[[0.0, 4.0], [2.0, 6.0]]])
    assert resample(image, (1, 4)).tolist() == [[[1.0, 2.0, 4.0, 5.0]]]


def test_the_same_grid_gives_the_same_values():
    image = torch.rand(2, 5, 7, 3)
    assert torch.equal(resample(image, (5, 7, 3)), image)


def test_a_ramp_survives_the_round_trip_over_a_finer_grid():
    ramp = torch.arange(6.0).expand(1, 4, 6)
    back = resample(resample(ramp, (4, 12)), (4, 6))
    assert torch.allclose(back[..., 1:-1], ramp[..., 1:-1])


def test_a_coarser_mask_holds_the_share_of_each_pixel_in_3d():
    mask = torch.zeros(1, 2, 2, 4)
    mask[0, 0, :, :2] = 1
    assert resample(mask, (1, 1, 2)).tolist() == [[[[0.5, 0.0]]]]


def test_padding_fills_up_to_the_next_multiple_at_the_end_of_each_axis():
    padded = pad_to_multiple(torch.ones(1, 3, 4), 4)
    assert padded.shape == (1, 4, 4)
    assert padded[0].sum(1).tolist() == [4.0, 4.0, 4.0, 0.0]


def test_a_grid_that_fits_is_not_padded():
    volume = torch.rand(1, 8, 4, 12)
    assert pad_to_multiple(volume, 4) is volume


def test_cropping_undoes_padding():
    volume = torch.rand(2, 3, 5, 7)
    assert torch.equal(crop_to(pad_to_multiple(volume, 4), (3, 5, 7)), volume)


def test_a_normalised_channel_has_mean_0_and_spread_1():
    # mean 4, deviations -3, -1, 1, 3, mean square 5
    image = normalise(torch.tensor([[[1.0, 3.0], [5.0, 7.0]]]))
    assert torch.allclose(image * 5**0.5, torch.tensor([[[-3.0, -1.0], [1.0, 3.0]]]))


def test_channels_are_normalised_each_on_its_own():
    image = normalise(torch.stack([torch.rand(4, 4), 1000 * torch.rand(4, 4)]))
    assert torch.allclose(image.mean((1, 2)), torch.zeros(2), atol=1e-5)


def test_a_constant_channel_becomes_zero():
    assert normalise(torch.full((1, 3, 3), 7.0)).tolist() == [[[0.0] * 3] * 3]
