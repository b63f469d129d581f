"""One generator a case."""

from __future__ import annotations

from labelmend.noise import case_generator


def first(*names: str, seed: int = 0) -> int:
    return int(case_generator(seed, *names).integers(2**62))


def test_the_same_seed_and_case_give_the_same_numbers() -> None:
    assert first("a") == first("a")


def test_seed_and_case_both_matter() -> None:
    assert len({first("a"), first("b"), first("a", seed=1), first(), first("a", "b"), first("ab")}) == 6


def test_the_numbers_are_pinned_so_that_old_manifests_can_be_drawn_again() -> None:
    assert first("JPCLN001", "lung", seed=7) == 809416196587752800
