"""A Dask cluster on this machine for tests, in a process of its own: its workers are started anew from that process's script, and not from whatever a test made `__main__`."""
import contextlib
import subprocess
import sys
from collections.abc import Iterator

SCRIPT = '''
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    with LocalCluster(n_workers=int(sys.argv[1]), threads_per_worker=int(sys.argv[2]), dashboard_address=None,
                      silence_logs=50) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
'''


@contextlib.contextmanager
def dask_cluster(folder, workers: int = 2, threads: int = 1) -> Iterator[tuple[str, subprocess.Popen]]:
    "The scheduler's address, and the process that the cluster goes with"
    script = folder / "cluster.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen([sys.executable, script, str(workers), str(threads)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().strip(), process
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired, BrokenPipeError):
            process.communicate(timeout=30)
        process.kill()
        process.wait()
