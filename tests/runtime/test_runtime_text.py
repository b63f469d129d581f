from labelmend.runtime.text import listed


def test_of_many_names_the_first_are_listed_and_the_others_counted():
    assert listed([]) == ""
    assert listed(["a", "b"], most=2) == "a, b"
    assert listed(["a", "b", "c", "d"], most=2) == "a, b and 2 more"
