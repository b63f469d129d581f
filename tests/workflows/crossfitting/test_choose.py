"""Settings chosen from the data: grid, patch, batch, network, epochs; what the user gives wins."""

import math

import pytest

from labelmend.io import DatasetFacts
from labelmend.model.network import build_network, padded_size, try_out
from labelmend.workflows.crossfitting.choose import FoldTraining, chosen_settings, unet_for


def facts(*shapes, n_cases=20, channels=1):
    by_case = {f"c{i}": shapes[i % len(shapes)] for i in range(n_cases)}
    return DatasetFacts(n_cases, channels, len(shapes[0]), (0.1,), {}, by_case)


def choose(data, device="cpu", minutes=1.0, **wanted):
    wanted = {"epochs": 3} | wanted
    return chosen_settings(
        data, FoldTraining(**wanted), out_channels=2, folds=2, minutes=minutes, device=device
    )


def test_small_images_of_one_size_are_used_as_they_are():
    settings, notes = choose(facts((96, 128)))
    assert settings["resize"] is None
    assert settings["patch"] is None
    assert notes == ()


def test_large_images_are_resized_and_keep_the_aspect_of_the_median():
    settings, (note,) = choose(facts((512, 256)))
    assert settings["resize"] == [128, 64]
    assert note == "Trained on a grid of 128 x 64 pixels: the median image has 512 x 256."
    assert choose(facts((512, 256)), device="cuda")[0]["resize"] == [256, 128]


def test_images_of_several_sizes_share_a_grid_and_are_not_enlarged():
    assert choose(facts((60, 100), (64, 90), (62, 95)))[0]["resize"] == [62, 95]


def test_small_volumes_of_several_sizes_are_resized_to_the_median():
    settings, _ = choose(facts((36, 50, 35), (34, 52, 33), (38, 48, 37)))
    assert settings["resize"] == [36, 50, 35]
    assert settings["batch_size"] == 4


def test_large_volumes_are_trained_on_patches_that_fit_the_budget():
    settings, (note,) = choose(facts((512, 512, 120)))
    assert math.prod(settings["patch"]) <= 64**3
    assert all(side % 16 == 0 for side in settings["patch"])
    assert settings["patch"][2] > 16
    assert "the median volume has 512 x 512 x 120" in note
    assert math.prod(choose(facts((512, 512, 120)), device="cuda")[0]["patch"]) > 64**3


@pytest.mark.parametrize("shape", [(36, 50, 35), (16, 16, 16), (128, 128), (20, 200), (64, 64, 16)])
def test_the_network_fits_every_grid(shape):
    spec = unet_for(shape)
    network = build_network(spec, ndim=len(shape), in_channels=1, out_channels=2, shape=shape)
    try_out(network, shape=(2, 1, *padded_size(shape)), out_channels=2)
    coarsest = min(padded_size(shape)) / math.prod(spec.args["strides"])
    assert coarsest >= 4


def test_what_the_user_gives_wins():
    network = unet_for((16, 16))
    settings, notes = choose(
        facts((512, 512)), patch=32, batch_size=5, epochs=7, learning_rate=0.1, network=network
    )
    chosen = (settings["patch"], settings["batch_size"], settings["epochs"], settings["learning_rate"])
    assert chosen == ([32, 32], 5, 7, 0.1)
    assert settings["network"] is network
    assert notes == ()


def test_a_batch_holds_at_most_half_of_the_cases():
    assert choose(facts((64, 64), n_cases=6))[0]["batch_size"] == 3


def test_more_minutes_give_more_epochs_within_bounds():
    data = facts((64, 64), n_cases=200)
    epochs = [choose(data, epochs=None, minutes=m)[0]["epochs"] for m in (1e-6, 1e6)]
    assert epochs == [10, 150]
    _, notes = choose(data, epochs=None, minutes=1e-6)
    assert notes[-1].startswith("10 epochs of 13 batches per fold, about ")
