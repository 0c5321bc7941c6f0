"""Known vulnerabilities of what the locks pin, asked of pip-audit: `make audit`.

pip-audit says "No known vulnerabilities found" also when it could look up nothing, so its report is counted here. Exit codes: 0 nothing
known, or SKIPPED with the reason where nothing could be looked up; 1 a vulnerability; 2 the lock cannot be read.
"""
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def pinned(lock: Path) -> list[str]:
    "Every `name==version` of a lock, those of other platforms too; a local label such as +cpu is unknown to the service and left out"
    found = re.findall(r"^([\w.-]+)(?:\[.+?\])?==([^\s;+]+)", lock.read_text(encoding="utf-8"), re.MULTILINE)
    return sorted({f"{name}=={version}" for name, version in found})


def looked_up(pins: list[str]) -> tuple[list[dict], str]:
    "What pip-audit says about each pin, or an empty list and why it could say nothing"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pins.txt"
        file.write_text("\n".join(pins) + "\n", encoding="utf-8")
        done = subprocess.run([sys.executable, "-m", "pip_audit", "--requirement", str(file), "--no-deps", "--disable-pip", "--format", "json",
                               "--progress-spinner", "off"], capture_output=True, text=True)
    try:
        return json.loads(done.stdout)["dependencies"], ""
    except (json.JSONDecodeError, KeyError):
        lines = done.stderr.strip().splitlines() or ["pip-audit gave no report"]
        return [], lines[-1][:300]


def judged(packages: list[dict], why: str) -> tuple[int, list[str]]:
    "The exit code and the lines to print"
    skipped = {item["name"]: item["skip_reason"] for item in packages if "skip_reason" in item}
    checked = [item for item in packages if "skip_reason" not in item]
    if not checked:
        why = why or next(iter(skipped.values()), "the lock is empty")
        return 0, [f"pip-audit: SKIPPED, none of {len(packages)} packages could be looked up: {why}"]
    lines = [f"{item['name']} {item['version']}: {found['id']}, mended in {', '.join(found['fix_versions']) or 'no version yet'}"
             for item in checked for found in item["vulns"]]
    lines.append(f"pip-audit: {len(checked)} packages looked up, {len(lines)} vulnerabilities known")
    if skipped:
        lines.append(f"pip-audit: not looked up: {', '.join(sorted(skipped))}")
    return int(len(lines) > 1 + bool(skipped)), lines


def main(lock: Path = ROOT / "requirements.lock") -> int:
    pins = pinned(lock) if lock.is_file() else []
    if not pins:
        print(f"pip-audit: {lock} pins nothing")
        return 2
    code, lines = judged(*looked_up(pins))
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:2])))
