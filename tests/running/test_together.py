"""What is changed alike under the same conditions is one write, and nothing else goes with it."""

from pymongo import UpdateMany

from backend.core.together import Change, alike


def test_only_the_same_change_under_the_same_conditions_is_one_write() -> None:
    first, other = {"$set": {"a": 1}}, {"$set": {"a": 2}}
    changes = [
        Change(1, {"moves": 0}, first),
        Change(2, {"moves": 0}, first),
        Change(3, {"moves": 1}, first),
        Change(4, {"moves": 0}, other),
    ]
    assert alike(changes) == [
        UpdateMany({"_id": {"$in": [1, 2]}, "moves": 0}, first),
        UpdateMany({"_id": {"$in": [3]}, "moves": 1}, first),
        UpdateMany({"_id": {"$in": [4]}, "moves": 0}, other),
    ]
