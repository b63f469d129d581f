"""The main job as one call from Python."""

import dataclasses
from pathlib import Path

import pytest
from torch import nn

import drawn_data
import labelmend
from drawn_data import QUICK, contents
from labelmend.errors import CleanCasesError, ConfigError
from labelmend.methods.plain import Plain
from labelmend.model.config import NetworkConfig
from labelmend.model.predictor import load_predictor
from labelmend.workflows.training.config import AugmentConfig, TrainConfig
from labelmend.workflows.training.results import RunResult
from labelmend.workflows.training.train import train


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return drawn_data.overlapping(tmp_path_factory.mktemp("data"), size=16)


def go(data: Path, out: Path, **more) -> RunResult:
    return train(data, out=out, **{**QUICK, "labels": "given", "method": "plain", "epochs": 1, **more})


def network_of(run: Path) -> NetworkConfig | None:
    return load_predictor(run).card.network


def test_the_call_is_the_one_that_the_package_offers():
    assert labelmend.train is train


def test_paths_may_be_texts_or_paths(data, tmp_path):
    one = go(data, tmp_path / "one", reference=data / "clean")
    two = go(str(data), str(tmp_path / "two"), reference=str(data / "clean"))  # type: ignore[arg-type]
    assert contents(one.labels) == contents(two.labels)


def test_a_method_is_a_name_or_a_value(data, tmp_path):
    assert go(data, tmp_path / "one", method="plain").summary["method"] == "plain"
    assert go(data, tmp_path / "two", method=Plain()).summary["method"] == "plain"


def test_an_unknown_method_is_named_with_those_there_are():
    with pytest.raises(ConfigError, match=r"'spacial'; there are .*plain.*spatial_correction"):
        train("data", out="out", method="spacial")


def test_spatial_correction_is_the_method_that_comes_without_asking(data, tmp_path):
    with pytest.raises(CleanCasesError, match="SpatialCorrection needs trusted cases"):
        train(data, out=tmp_path / "run", labels="given")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "network",
    [NetworkConfig("UNet", {"channels": [2, 4], "strides": [2]}), "AttentionUnet"],
    ids=["with arguments", "by name"],
)
def test_a_network_of_monai_may_be_chosen_in_the_call(data, tmp_path, network):
    go(data, tmp_path / "run", network=network)
    expected = network if isinstance(network, NetworkConfig) else NetworkConfig(network)
    assert network_of(tmp_path / "run") == expected


def test_a_network_of_ones_own_may_be_handed_in(data, tmp_path):
    go(data, tmp_path / "run", network=nn.Conv2d(1, 2, 3, padding=1))
    assert load_predictor(tmp_path / "run", network=nn.Conv2d(1, 2, 3, padding=1)).card.network is None


def test_settings_of_the_call_win_over_a_config(data, tmp_path):
    config = TrainConfig(data="nowhere", out="nowhere", labels="given", epochs=9, device="cpu")
    result = train(
        data, out=tmp_path / "run", config=config, epochs=2, method="plain", network=QUICK["network"]
    )
    assert result.folder == tmp_path / "run"
    assert len((result.folder / "metrics.jsonl").read_text().splitlines()) == 2


def test_a_config_alone_is_enough(data, tmp_path):
    quick = dataclasses.replace(
        TrainConfig(**QUICK), epochs=1, labels="given", augment=AugmentConfig(scale=0.0)
    )
    config = dataclasses.replace(quick, data=str(data), out=str(tmp_path / "run"))
    assert train(config=config, method="plain").folder == tmp_path / "run"


def test_an_unknown_setting_is_named_with_a_near_one():
    with pytest.raises(ConfigError, match=r"'epoch': did you mean epochs\?"):
        train("data", out="out", epoch=3)


def test_a_setting_like_no_other_points_to_the_list():
    with pytest.raises(ConfigError, match="'qqqq': see labelmend"):
        train("data", out="out", qqqq=3)


def test_the_result_knows_where_everything_lies(data, tmp_path):
    result = go(data, tmp_path / "run")
    assert (result.folder, result.labels, result.is_main) == (
        tmp_path / "run",
        tmp_path / "run" / "labels",
        True,
    )
    assert result.summary["cases"][0]["reason"] == "kept as given"


def test_a_report_that_is_there_is_left_alone_and_a_missing_one_is_written(data, tmp_path):
    page = go(data, tmp_path / "run").folder / "report.html"
    page.write_text("read and annotated")
    go(data, tmp_path / "run")
    assert page.read_text() == "read and annotated"
    page.unlink()
    go(data, tmp_path / "run")
    assert page.read_text().startswith("<!")
