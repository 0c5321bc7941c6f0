"""Every framework of the kit keeps to the contract: write one notebook in frameworks/, get these tests."""
from epochkit.models.frameworks.base import TASKS, NetworkModel, frameworks_for
from epochkit.testing.framework_contract import FrameworkContract

ALL = {cls.name: cls for task in TASKS for cls in frameworks_for(task).values()}


def case(cls: type) -> type:
    "The inherited tests of one framework; networks, which start slowly, are trained once less"
    return type(f"Test{cls.__name__}", (FrameworkContract,), {"framework": cls, "slow": issubclass(cls, NetworkModel)})


globals().update({f"Test{cls.__name__}": case(cls) for cls in ALL.values()})


def test_every_framework_has_its_tests():
    cases = [value for name, value in globals().items() if name.startswith("Test") and issubclass(value, FrameworkContract)]
    assert {one.framework for one in cases} == set(ALL.values()) and "dummy" in ALL
