"""Whole cases through a network and back on their own grid, with networks worked out by hand."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from labelmend.errors import ConfigError, GeometryError, UnreadableFileError
from labelmend.io import Image
from labelmend.methods.registry import METHODS
from labelmend.model.config import NetworkConfig
from labelmend.model.files import save_model
from labelmend.model.predictor import ModelCard, Predictor, card_to_json, load_predictor
from labelmend.types import Grid, LabelMap, Predicted

CPU = torch.device("cpu")
CARD = ModelCard(
    network=None,
    ndim=2,
    in_channels=1,
    classes=("a",),
    values=None,
    overlapping=True,
    resize=None,
    patch=None,
)


class Fixed(nn.Module):
    """The same logit for every pixel, one number a channel."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.tensor(logits))

    def forward(self, image):
        return image[:, :1] * 0 + self.values.reshape(1, -1, *(1,) * (image.ndim - 2))


class Counted(nn.Module):
    """Gives back what comes in, and counts how often."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, image):
        self.calls += 1
        return image


def undoing(*moves, name="spatial_correction", **parameters) -> ModelCard:
    """A card of `CARD` whose run measured per class (logit, shift in mm), or None."""
    found = {"method": name, "parameters": parameters, "settings": {"undo": list(moves)}}
    return dataclasses.replace(CARD, correction=found)


def image_of(*shape: int, seed: int = 0, spacing: tuple[float, ...] | None = None) -> Image:
    pixels = np.random.default_rng(seed).normal(size=(1, *shape)).astype(np.float32)
    return Image(pixels, Grid(shape, spacing or (1.0,) * len(shape)))


def square(predicted_from: int, predicted_to: int) -> Image:
    """16 x 16, bright in a square: with a network that gives back its image, that is what is predicted."""
    pixels = np.zeros((1, 16, 16), np.float32)
    pixels[0, predicted_from:predicted_to, predicted_from:predicted_to] = 1
    return Image(pixels, Grid((16, 16), (1.0, 1.0)))


@pytest.mark.parametrize("shape", [(20, 30), (16, 16), (5, 7)])
@pytest.mark.parametrize("resize", [None, (8, 12), (64, 64)])
def test_logits_come_back_on_the_grid_of_the_image(shape, resize):
    predictor = Predictor(dataclasses.replace(CARD, resize=resize), nn.Identity(), CPU)
    assert predictor.logits(image_of(*shape)).shape == (1, *shape)


def test_without_a_training_grid_the_network_sees_the_normalised_image():
    image = image_of(20, 30)
    expected = (image.array - image.array.mean()) / image.array.std()
    np.testing.assert_allclose(Predictor(CARD, nn.Identity(), CPU).logits(image), expected, atol=1e-5)


def test_padding_does_not_reach_the_result():
    edge = np.zeros((1, 10, 10), np.float32)
    edge[0, :, 5:] = 2.0
    logits = Predictor(CARD, nn.Identity(), CPU).logits(Image(edge, Grid((10, 10), (1, 1))))
    assert logits.unique().tolist() == [-1.0, 1.0]


def test_probabilities_of_overlapping_classes_are_sigmoids():
    card = dataclasses.replace(CARD, classes=("a", "b"))
    probs = Predictor(card, Fixed(0.0, np.log(3.0)), CPU).probs(image_of(4, 4))
    np.testing.assert_allclose(probs[:, 0, 0], [0.5, 0.75], rtol=1e-6)


def test_probabilities_of_exclusive_classes_add_up_to_one_with_background_first():
    card = dataclasses.replace(CARD, classes=("a", "b"), overlapping=False)
    probs = Predictor(card, Fixed(0.0, np.log(2.0), 0.0), CPU).probs(image_of(4, 4))
    np.testing.assert_allclose(probs[:, 3, 3], [0.25, 0.5, 0.25], rtol=1e-6)


@pytest.mark.parametrize(("logits", "expected"), [((0.1, 0.0, 0.0), [0, 0]), ((0.0, 0.1, 0.2), [0, 1])])
def test_the_largest_probability_wins_among_exclusive_classes(logits, expected):
    card = dataclasses.replace(CARD, classes=("a", "b"), overlapping=False)
    assert Predictor(card, Fixed(*logits), CPU).masks(image_of(4, 4))[:, 0, 0].tolist() == expected


def test_overlapping_classes_are_decided_each_on_its_own():
    card = dataclasses.replace(CARD, classes=("a", "b", "c"))
    assert Predictor(card, Fixed(0.3, 0.2, -0.1), CPU).masks(image_of(4, 4))[:, 0, 0].tolist() == [1, 1, 0]


def test_patches_of_a_volume_agree_with_the_whole_where_the_network_sees_single_voxels():
    volume = image_of(20, 24, 13)
    card = dataclasses.replace(CARD, ndim=3)
    patched = Predictor(dataclasses.replace(card, patch=(8, 8, 8)), nn.Identity(), CPU).logits(volume)
    np.testing.assert_allclose(patched, Predictor(card, nn.Identity(), CPU).logits(volume), atol=1e-5)


def test_a_volume_smaller_than_the_patch_is_predicted_too():
    card = dataclasses.replace(CARD, ndim=3, patch=(32, 32, 32))
    assert Predictor(card, nn.Identity(), CPU).logits(image_of(6, 7, 8)).shape == (1, 6, 7, 8)


def test_an_average_over_shifts_takes_nine_passes():
    network = Counted()
    Predictor(CARD, network, CPU, shift_vox=2).logits(image_of(20, 30))
    assert network.calls == 9


@pytest.mark.parametrize("shape", [(20, 30), (9, 20, 30)])
def test_an_average_over_shifts_puts_every_pass_back_in_its_place(shape):
    image, card = image_of(*shape), dataclasses.replace(CARD, ndim=len(shape))
    once = Predictor(card, nn.Identity(), CPU).logits(image)
    nine = Predictor(card, nn.Identity(), CPU, shift_vox=2).logits(image)
    assert nine.shape == once.shape
    np.testing.assert_allclose(nine[..., 2:-2, 2:-2], once[..., 2:-2, 2:-2], atol=1e-5)


def test_an_average_over_shifts_repeats_the_rim_by_hand():
    # 0 1 2 3 seen at three shifts and put back: 0 0 1, 1 1 1, 2 2 2, 2 3 3
    rows = torch.tensor([0.0, 1.0, 2.0, 3.0]).expand(1, 3, 4)
    found = Predictor(CARD, nn.Identity(), CPU, shift_vox=1)._averaged(rows)
    np.testing.assert_allclose(found[0], [[1 / 3, 1, 2, 8 / 3]] * 3, rtol=1e-6)


@pytest.mark.parametrize(("overlapping", "channels"), [(True, 2), (False, 3)])
def test_exclusive_classes_have_a_channel_more_for_the_background(overlapping, channels):
    assert dataclasses.replace(CARD, classes=("a", "b"), overlapping=overlapping).out_channels == channels


def test_without_an_orientation_no_axis_is_turned():
    turn = Predictor(CARD, nn.Identity(), CPU).turn(Grid((4, 3), (1.0, 1.0)))
    assert (turn.axes, turn.back) == ((0, 1), (False, False))


@pytest.mark.parametrize("wrong", [(3, 16, 16), (1, 4, 16, 16)])
def test_an_image_of_another_kind_is_refused(wrong):
    image = Image(np.zeros(wrong, np.float32), Grid(wrong[1:], (1.0,) * len(wrong[1:])))
    with pytest.raises(GeometryError, match=r"2-D images of 1 channel\(s\), this one has shape"):
        Predictor(CARD, nn.Identity(), CPU).logits(image)


def test_the_network_predicts_in_evaluation_mode_and_without_gradients():
    network = nn.Sequential(nn.Dropout(0.9), nn.Conv2d(1, 1, 1))
    predictor = Predictor(CARD, network.train(), CPU)
    one, two = predictor.logits(image_of(8, 8)), predictor.logits(image_of(8, 8))
    assert torch.equal(one, two)
    assert not one.requires_grad


def test_a_prediction_that_was_too_large_is_moved_inward_by_its_bias():
    card = undoing([0.0, -2.0])
    masks = Predictor(card, nn.Identity(), CPU).masks(square(3, 13), correct=True)
    assert np.array_equal(masks, square(5, 11).array > 0)


def test_the_level_set_that_was_measured_is_the_one_that_moves():
    card = undoing([2.0, 1.0])

    class Ridge(nn.Module):
        """Logits along a row: above 0 in columns 4..11, above 2 in columns 6..9."""

        def forward(self, image):
            return torch.zeros_like(image) + 4.0 - (torch.arange(16) - 7.5).abs()

    masks = Predictor(card, Ridge(), CPU).masks(square(3, 13), correct=True)
    assert np.flatnonzero(masks[0, 8]).tolist() == [5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize("move", [[0.0, 0.0], None])
def test_a_class_without_measured_bias_stays_as_predicted(move):
    card = undoing(move)
    masks = Predictor(card, nn.Identity(), CPU).masks(square(3, 13), correct=True)
    assert np.array_equal(masks, square(3, 13).array > 0)


MOVES = {
    "by distance": {"upsample": 1},
    "by distance, on a finer grid": {"upsample": 3},
    "as published": {"move": "logit", "level": 0.0, "trim": 0.0},
    "as the official code": {"name": "official_spatial_correction"},
}


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (2.5, 0.6, 0.8)], ids=["2-D", "3-D, anisotropic"])
@pytest.mark.parametrize("overlapping", [True, False])
@pytest.mark.parametrize("parameters", MOVES.values(), ids=MOVES)
def test_a_prediction_is_corrected_exactly_as_the_method_of_the_run_would(parameters, overlapping, spacing):
    """What the method makes of a case with the same probabilities whose labels are what is predicted."""
    shape = (24, 30) if len(spacing) == 2 else (8, 20, 18)
    rng, grid = np.random.default_rng(3), Grid(shape, spacing)
    smooth = np.stack([gaussian_filter(rng.normal(size=shape), 3) for _ in range(3 + (not overlapping))])
    logits = torch.from_numpy((smooth * 60).astype(np.float32))
    name = parameters.get("name", "spatial_correction")
    parameters = {key: value for key, value in parameters.items() if key != "name"}
    undo, method = [[1.0, -1.3], None, [0.0, 1.7]], METHODS[name](**parameters)
    card = dataclasses.replace(
        undoing(*undo, name=name, **parameters),
        ndim=len(shape),
        classes=tuple("abc"),
        overlapping=overlapping,
    )

    class Given(nn.Module):
        def forward(self, image):
            return logits[None]

    predictor = Predictor(dataclasses.replace(card, resize=shape), Given(), CPU)
    image = Image(rng.normal(size=(1, *shape)).astype(np.float32), grid)
    probs, predicted = predictor.probs(image), predictor.masks(image)
    array = (
        predicted if overlapping else sum(j * mask.astype(np.uint8) for j, mask in enumerate(predicted, 1))
    )
    labels = LabelMap(array, grid, tuple("abc"))
    rows = {
        name: {"level": move[0], "shift_mm": move[1], "clean_dice": 1.0, "moved": True, "why": ""}
        for name, move in zip("abc", undo)
        if move is not None
    }
    expected = method.revised(Predicted("x", labels, labels, probs), rows).labels.masks()
    found = predictor.masks(image, correct=True)
    np.testing.assert_array_equal(found, expected)
    assert (found != predicted).any()


def test_settings_of_the_method_change_what_is_corrected():
    moved = [{"upsample": 2}, {"move": "logit", "level": 0.0, "trim": 0.0}]
    one, two = (
        Predictor(undoing([0.0, -2.0], **more), nn.Identity(), CPU).masks(square(3, 13), correct=True)
        for more in moved
    )
    assert (one != two).any()


def test_a_run_of_a_version_that_saved_no_settings_says_what_to_do():
    card = dataclasses.replace(CARD, correction=((0.0, -2.0),), labelmend_version="0.1")
    with pytest.raises(ConfigError, match=r"finished by labelmend 0\.1, .* delete its summary\.json"):
        Predictor(card, nn.Identity(), CPU).masks(square(3, 13), correct=True)


def test_a_run_that_measured_no_bias_corrects_nothing_and_says_so():
    with pytest.raises(ConfigError, match="no bias"):
        Predictor(CARD, nn.Identity(), CPU).masks(square(3, 13), correct=True)


# ---- features

SMALL = {
    "UNet": {"channels": [8, 16], "strides": [2]},
    "BasicUNet": {"features": [8, 8, 8, 16, 16, 8]},
    "DynUNet": {
        "kernel_size": [3, 3, 3],
        "strides": [1, 2, 2],
        "upsample_kernel_size": [2, 2],
        "filters": [8, 16, 16],
    },
    "SegResNet": {"init_filters": 8, "blocks_down": [1, 1], "blocks_up": [1]},
}
LAST_WIDTH = {"UNet": 24, "BasicUNet": 8, "DynUNet": 8, "SegResNet": 8}
"""Channels of the last layer wider than twice the logits: in the UNet what the outermost skip hands over."""


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("name", SMALL)
def test_features_of_pixels_come_from_the_last_wide_layer_of_any_network(name, ndim):
    torch.manual_seed(0)
    card = dataclasses.replace(
        CARD, ndim=ndim, network=NetworkConfig(name, SMALL[name]), resize=(16, 32, 16)[:ndim]
    )
    predictor, image = Predictor(card, card.build(), CPU, shift_vox=2), image_of(*(20, 24, 9)[:ndim])
    pixels = np.array([0, 5, image.array.size - 1])
    found = predictor.features(image, pixels)
    assert found.shape == (3, LAST_WIDTH[name])
    assert found.dtype == np.float32
    assert np.ptp(found, axis=0).any()
    np.testing.assert_array_equal(predictor.features(image, pixels[::-1]), found[::-1])
    assert not any(module._forward_hooks for module in predictor.network.modules())


class Wide(nn.Module):
    """Three layers of one pixel each: the image four times, then its negative three times, then once."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Conv2d(4, 3, 1), nn.Conv2d(3, 1, 1))
        for layer, sign in zip(self.layers, (1, -1, 1)):
            nn.init.zeros_(layer.bias)
            nn.init.constant_(layer.weight, sign / layer.in_channels)

    def forward(self, image):
        return self.layers(image)


@pytest.mark.parametrize("patch", [None, (16, 16)])
def test_the_last_layer_with_more_than_twice_the_channels_of_the_logits_counts(patch):
    image = image_of(20, 30)
    pixels = np.array([0, 31, 599])
    shown = (image.array - image.array.mean()) / image.array.std()
    predictor = Predictor(dataclasses.replace(CARD, patch=patch), Wide(), CPU)
    expected = np.repeat(-shown.reshape(-1, 1)[pixels], 3, axis=1)
    np.testing.assert_allclose(predictor.features(image, pixels), expected, atol=1e-4)
    two = dataclasses.replace(CARD, patch=patch, classes=("a", "b"))
    assert Predictor(two, Wide(), CPU).features(image, pixels).shape == (3, 1)  # none is wide enough: logits


def test_features_lie_where_the_logits_do_on_another_grid():
    image, card = square(3, 13), dataclasses.replace(CARD, resize=(8, 8))
    pixels = np.arange(256)
    predictor = Predictor(card, nn.Identity(), CPU)
    np.testing.assert_array_equal(
        predictor.features(image, pixels)[:, 0], predictor.logits(image).flatten().numpy()
    )


# ---- from disk

UNET = {"channels": [4, 8], "strides": [2]}


def save(run, card: ModelCard, network: nn.Module, correction=None) -> None:
    run.mkdir(exist_ok=True)
    save_model(run, network, card_to_json(card, correction))


def test_a_saved_network_predicts_as_before(tmp_path):
    card = dataclasses.replace(CARD, network=NetworkConfig("UNet", UNET), resize=(16, 16))
    network = card.build()
    save(tmp_path, card, network)
    loaded = load_predictor(tmp_path)
    assert loaded.card == dataclasses.replace(card, network=NetworkConfig("UNet", UNET))
    image = image_of(20, 24)
    assert torch.equal(loaded.logits(image), Predictor(card, network, CPU).logits(image))


@pytest.mark.parametrize(
    "correction",
    [
        {"method": "spatial_correction", "parameters": {"upsample": 3}, "settings": {"undo": [[1.0, -1.5]]}},
        None,
    ],
)
def test_what_a_run_measured_is_saved_with_its_network(tmp_path, correction):
    save(tmp_path, CARD, Fixed(0.0), correction)
    assert load_predictor(tmp_path, network=Fixed(1.0)).card.correction == correction


def test_a_network_of_ones_own_is_to_be_passed_again(tmp_path):
    save(tmp_path, CARD, Fixed(0.25))
    with pytest.raises(ConfigError, match="network="):
        load_predictor(tmp_path)
    predictor = load_predictor(tmp_path, network=Fixed(0.0))
    assert predictor.logits(image_of(2, 2)).unique().tolist() == [0.25]


def test_weights_that_do_not_fit_the_network_are_refused(tmp_path):
    save(tmp_path, CARD, Fixed(0.25))
    with pytest.raises(ConfigError, match="do not fit"):
        load_predictor(tmp_path, network=nn.Conv2d(1, 1, 1))


def test_a_folder_without_a_finished_model_is_refused(tmp_path):
    with pytest.raises(UnreadableFileError, match="no finished model"):
        load_predictor(tmp_path)
