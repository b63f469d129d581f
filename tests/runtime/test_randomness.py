from labelmend.runtime.randomness import case_generator


def drawn(*arguments):
    return case_generator(*arguments).integers(1 << 60)


def test_a_generator_depends_on_the_seed_and_on_every_name():
    assert drawn(0, "a") == drawn(0, "a")
    numbers = {drawn(0), drawn(1), drawn(0, "a"), drawn(0, "b"), drawn(0, "a", "b"), drawn(0, "b", "a")}
    assert len(numbers) == 6


def test_names_do_not_run_into_each_other():
    assert drawn(0, "ab", "c") != drawn(0, "a", "bc")
