from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from labelmend.errors import ConfigError, OutputError
from labelmend.methods.plain import Plain
from labelmend.runtime.progress import Tick
from labelmend.workflows.training.checkpoint import load_checkpoint
from labelmend.workflows.training.config import TrainConfig
from labelmend.workflows.training.run import (
    Run,
    _check_machine,
    _machine,
    restore_round,
    save_run,
    seed_of,
    split_cases,
    weights_of,
)


def run_at(tmp_path, *, round_index=0, process=0, clean=None, told=None, **settings) -> Run:
    """A run that stands somewhere, without data: only what the functions under test look at."""
    accelerator = SimpleNamespace(
        process_index=process,
        is_main_process=process == 0,
        scaler=None,
        num_processes=1,
        device=torch.device("cpu"),
    )
    training = SimpleNamespace(cases=tuple(f"c{i}" for i in range(20)))
    material = SimpleNamespace(training=training, clean=clean)
    config = TrainConfig(out=str(tmp_path), **settings)
    on_tick = (lambda tick: None) if told is None else told.append
    run = Run(config, Plain(), material, None, accelerator, None, None, on_tick)
    run.round = round_index
    return run


def test_a_seed_tells_places_apart_and_stays_for_the_same_place(tmp_path):
    places = [(seed, r, e, b) for seed in (0, 1) for r in (0, 1) for e in (-1, 0, 1) for b in (0, 1)]
    seeds = [seed_of(run_at(tmp_path, round_index=r, seed=s), e, b) for s, r, e, b in places]
    assert len(set(seeds)) == len(places)
    assert seeds == [seed_of(run_at(tmp_path, round_index=r, seed=s), e, b) for s, r, e, b in places]


def test_processes_draw_differently_in_an_epoch_but_start_from_the_same_network(tmp_path):
    first, second = run_at(tmp_path, process=0), run_at(tmp_path, process=1)
    assert seed_of(first, 3) != seed_of(second, 3)
    assert seed_of(first, -1) == seed_of(second, -1)


def test_without_early_stopping_nothing_is_held_out(tmp_path):
    run = run_at(tmp_path)
    assert split_cases(run) == (run.material.training.cases, ())


def test_early_stopping_holds_out_its_share_once_and_for_all(tmp_path):
    run = run_at(tmp_path, early_stop=3, validation_share=0.2)
    cases, held_out = split_cases(run)
    assert len(held_out) == 4
    assert sorted(cases + held_out) == sorted(run.material.training.cases)
    run.round = 1
    assert split_cases(run) == (cases, held_out)


def test_early_stopping_needs_more_cases_than_it_holds_out(tmp_path):
    run = run_at(tmp_path, early_stop=3, validation_share=0.99)
    with pytest.raises(ConfigError, match="only 20 cases"):
        split_cases(run)


def test_trusted_cases_join_from_the_second_round_on(tmp_path):
    clean = SimpleNamespace(cases=("t0", "t1"))
    first = run_at(tmp_path, clean=clean, clean_repeat=3)
    assert "t0" not in split_cases(first)[0]
    second = run_at(tmp_path, round_index=1, clean=clean, clean_repeat=3)
    assert split_cases(second)[0].count("t1") == 3


def test_a_saved_round_is_taken_up_at_its_epoch(tmp_path):
    run, net = run_at(tmp_path), nn.Linear(2, 1)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    save_run(run, [net], optimizer, 5, {"loss": 0.5, "epoch": 3, "networks": []})
    other = nn.Linear(2, 1)
    fresh = torch.optim.AdamW(other.parameters(), lr=0.1)
    assert restore_round(run, [other], fresh) == (5, {"loss": 0.5, "epoch": 3, "networks": []})
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))
    assert str(fresh.state_dict()["state"]) == str(optimizer.state_dict()["state"])


def test_a_checkpoint_of_another_round_is_not_taken_up(tmp_path):
    run, net = run_at(tmp_path), nn.Linear(2, 1)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
    save_run(run, [net], optimizer, 5, {})
    run.round = 1
    epoch, best = restore_round(run, [nn.Linear(2, 1)], optimizer)
    assert (epoch, best["loss"]) == (0, np.inf)


def test_helper_processes_write_no_checkpoint(tmp_path):
    run = run_at(tmp_path, process=1)
    save_run(run, [nn.Linear(2, 1)], None, None, {})
    assert load_checkpoint(run.checkpoint) is None


def test_saved_weights_are_a_copy(tmp_path):
    net = nn.Linear(2, 1)
    kept = weights_of(net)
    with torch.no_grad():
        net.weight += 1
    assert not torch.equal(kept["weight"], net.weight)


def test_a_run_that_goes_on_with_other_threads_says_so_once(tmp_path):
    run = run_at(tmp_path)
    before = _machine(run) | {"threads": torch.get_num_threads() + 3}
    for _ in range(2):
        _check_machine(run, before)
    (note,) = run.notes
    assert f"went on elsewhere (threads {before['threads']} -> {torch.get_num_threads()})" in note


def test_a_run_does_not_go_on_with_another_number_of_processes(tmp_path):
    run = run_at(tmp_path)
    with pytest.raises(OutputError, match="a run on 2 processes, and this start has 1"):
        _check_machine(run, _machine(run) | {"processes": 2})
    run.round = 1  # of one: nothing is left to train
    _check_machine(run, _machine(run) | {"processes": 2})


def test_the_same_machine_says_nothing(tmp_path):
    run = run_at(tmp_path)
    _check_machine(run, _machine(run))
    assert run.notes == []


def test_only_the_main_process_tells_of_progress(tmp_path):
    told: list[Tick] = []
    run_at(tmp_path, process=1, told=told).tick("round 1", 1, 2)
    assert told == []
    run_at(tmp_path, told=told).tick("round 1", 1, 2, "loss 0.5")
    assert told == [Tick("round 1", 1, 2, "loss 0.5")]
