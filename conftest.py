"""Notebooks are tested side by side, each in a kernel of its own."""
from contextlib import suppress


def pytest_configure(config):
    if config.getoption("nbval", None) or config.getoption("nbval_lax", None):
        import nbval.kernel as kernels
        kernels.start_new_kernel = _again(kernels.start_new_kernel)


def _again(start):
    "A kernel whose port another process took before it could never answers: it is started again, with other ports"
    def started(*args, **options):
        for _ in range(2):
            with suppress(RuntimeError):
                return start(*args, **options | {"startup_timeout": 20})
        return start(*args, **options)
    return started
