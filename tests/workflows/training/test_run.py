from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from labelmend.errors import ConfigError, OutputError
from labelmend.methods.plain import Plain
from labelmend.runtime.progress import no_progress
from labelmend.workflows.training.checkpoint import load_checkpoint
from labelmend.workflows.training.config import TrainConfig
from labelmend.workflows.training.run import (
    Plan,
    RunState,
    _check_machine,
    _machine,
    restore_round,
    save_run,
    seed_of,
    split_cases,
    weights_of,
)


def plan_of(tmp_path, *, process=0, clean=None, **settings) -> Plan:
    """A plan without data: only what the functions under test look at."""
    accelerator = SimpleNamespace(
        process_index=process,
        is_main_process=process == 0,
        scaler=None,
        num_processes=1,
        device=torch.device("cpu"),
    )
    training = SimpleNamespace(cases=tuple(f"c{i}" for i in range(20)))
    data = SimpleNamespace(training=training, clean=clean)
    config = TrainConfig(out=str(tmp_path), **settings)
    return Plan(config, Plain(), data, None, accelerator, None, None, no_progress)


def test_a_seed_tells_places_apart_and_stays_for_the_same_place(tmp_path):
    places = [(seed, r, e, b) for seed in (0, 1) for r in (0, 1) for e in (-1, 0, 1) for b in (0, 1)]
    seeds = [seed_of(plan_of(tmp_path, seed=s), r, e, b) for s, r, e, b in places]
    assert len(set(seeds)) == len(places)
    assert seeds == [seed_of(plan_of(tmp_path, seed=s), r, e, b) for s, r, e, b in places]


def test_processes_draw_differently_in_an_epoch_but_start_from_the_same_network(tmp_path):
    first, second = plan_of(tmp_path, process=0), plan_of(tmp_path, process=1)
    assert seed_of(first, 0, 3) != seed_of(second, 0, 3)
    assert seed_of(first, 0, -1) == seed_of(second, 0, -1)


def test_without_early_stopping_nothing_is_held_out(tmp_path):
    plan = plan_of(tmp_path)
    assert split_cases(plan, 0) == (plan.data.training.cases, ())


def test_early_stopping_holds_out_its_share_once_and_for_all(tmp_path):
    plan = plan_of(tmp_path, early_stop=3, validation_share=0.2)
    cases, held_out = split_cases(plan, 0)
    assert len(held_out) == 4
    assert sorted(cases + held_out) == sorted(plan.data.training.cases)
    assert split_cases(plan, 1) == (cases, held_out)


def test_early_stopping_needs_more_cases_than_it_holds_out(tmp_path):
    plan = plan_of(tmp_path, early_stop=3, validation_share=0.99)
    with pytest.raises(ConfigError, match="only 20 cases"):
        split_cases(plan, 0)


def test_trusted_cases_join_from_the_second_round_on(tmp_path):
    clean = SimpleNamespace(cases=("t0", "t1"))
    plan = plan_of(tmp_path, clean=clean, clean_repeat=3)
    assert "t0" not in split_cases(plan, 0)[0]
    assert split_cases(plan, 1)[0].count("t1") == 3


def test_a_saved_round_is_taken_up_at_its_epoch(tmp_path):
    plan, net = plan_of(tmp_path), nn.Linear(2, 1)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    save_run(plan, RunState(), [net], optimizer, 5, {"loss": 0.5, "epoch": 3, "networks": []})
    other = nn.Linear(2, 1)
    fresh = torch.optim.AdamW(other.parameters(), lr=0.1)
    assert restore_round(plan, 0, [other], fresh) == (5, {"loss": 0.5, "epoch": 3, "networks": []})
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))
    assert str(fresh.state_dict()["state"]) == str(optimizer.state_dict()["state"])


def test_a_checkpoint_of_another_round_is_not_taken_up(tmp_path):
    plan, net = plan_of(tmp_path), nn.Linear(2, 1)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
    save_run(plan, RunState(), [net], optimizer, 5, {})
    epoch, best = restore_round(plan, 1, [nn.Linear(2, 1)], optimizer)
    assert (epoch, best["loss"]) == (0, np.inf)


def test_helper_processes_write_no_checkpoint(tmp_path):
    plan = plan_of(tmp_path, process=1)
    save_run(plan, RunState(), [nn.Linear(2, 1)], None, None, {})
    assert load_checkpoint(plan.checkpoint) is None


def test_saved_weights_are_a_copy(tmp_path):
    net = nn.Linear(2, 1)
    kept = weights_of(net)
    with torch.no_grad():
        net.weight += 1
    assert not torch.equal(kept["weight"], net.weight)


def test_a_run_that_goes_on_with_other_threads_says_so_once(tmp_path):
    plan, state = plan_of(tmp_path), RunState()
    before = _machine(plan) | {"threads": torch.get_num_threads() + 3}
    for _ in range(2):
        state = _check_machine(plan, state, before)
    (note,) = state.notes
    assert f"went on elsewhere (threads {before['threads']} -> {torch.get_num_threads()})" in note


def test_a_run_does_not_go_on_with_another_number_of_processes(tmp_path):
    plan = plan_of(tmp_path)
    with pytest.raises(OutputError, match="a run on 2 processes, and this start has 1"):
        _check_machine(plan, RunState(), _machine(plan) | {"processes": 2})
    finished = RunState(round=1)  # of one: nothing is left to train
    assert _check_machine(plan, finished, _machine(plan) | {"processes": 2}) == finished


def test_the_same_machine_says_nothing(tmp_path):
    plan = plan_of(tmp_path)
    assert _check_machine(plan, RunState(), _machine(plan)).notes == ()


def test_a_state_is_never_changed_in_place():
    first = RunState()
    second = first.noting("one", "two", "one")
    assert (first.notes, second.notes) == ((), ("one", "two"))
