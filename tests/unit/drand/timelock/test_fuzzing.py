"""A small run of fuzz/fuzz_age.py; `python -m fuzz.fuzz_age` makes the large one."""

import pytest
from fuzz import fuzz_age


def test_two_thousand_changed_files_crash_nothing_and_give_no_wrong_plaintext():
    ends = fuzz_age.fuzz(2000, seed=20)
    assert sum(ends.values()) == 2000
    assert {"DamagedHeader", "DamagedPayload", "DamagedArmor", "ForgedHeader", "NotAnAgeFile"} <= set(ends)


def test_the_judge_sees_wrong_plaintext():
    good = fuzz_age.good_files()[6]
    lying = fuzz_age.Good(good.data, b"something else", good.identity, good.armored)
    with pytest.raises(fuzz_age.FoundAProblem, match="other content"):
        fuzz_age.judge(lying, good.data)
