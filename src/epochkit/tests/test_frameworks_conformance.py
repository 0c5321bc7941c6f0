"""Every framework of kit and project keeps to the contract: write one notebook in frameworks/, or a class in the room `model_utils`, and get these tests."""
from epochkit.models.frameworks.base import NetworkModel, known_frameworks
from epochkit.testing.framework_contract import FrameworkContract

ALL = known_frameworks()


def case(cls: type) -> type:
    "The inherited tests of one framework; networks, which start slowly, are trained once less"
    return type(f"Test{cls.__name__}", (FrameworkContract,), {"framework": cls, "slow": issubclass(cls, NetworkModel)})


globals().update({f"Test{cls.__name__}": case(cls) for cls in ALL.values()})


def test_every_framework_has_its_tests():
    cases = [value for name, value in globals().items() if name.startswith("Test") and issubclass(value, FrameworkContract)]
    assert {one.framework for one in cases} == set(ALL.values()) and "dummy" in ALL
