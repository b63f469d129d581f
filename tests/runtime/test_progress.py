import dataclasses

import pytest

from labelmend.runtime.progress import Tick


def test_a_tick_needs_no_words_and_does_not_change():
    tick = Tick("checking data", 3, 0)
    assert (tick.stage, tick.done, tick.total, tick.text) == ("checking data", 3, 0, "")
    with pytest.raises(dataclasses.FrozenInstanceError):
        tick.done = 4
