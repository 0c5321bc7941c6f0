"""Epochs on a web address: a server that fails midway costs one page, and after the pages are kept nobody is asked again."""
import json

from epochkit.tests.conftest import epoch
from epochkit.tests.webserver import Page, serving

BRIEF = """[data]
source = "{url}/loans?kind=consumer#records=data&page=page&size=limit:100&token=KIT_WEB_TOKEN"
target = "bad"
positive = "yes"
"""
ROWS = [{"id": n, "income": n % 97 * 10.5, "home": {"city": f"c{n % 5}"}, "bad": "yes" if n % 3 == 0 else "no"} for n in range(400)]


def test_planning_goes_on_at_the_page_that_failed_and_wrangling_needs_no_server(tmp_path, monkeypatch):
    monkeypatch.setenv("KIT_WEB_TOKEN", "hunter2")
    state = {"down": True}

    def loans(parameters):
        first = 100 * (int(parameters["page"]) - 1)
        if first == 200 and state["down"]:
            return Page(503, headers={"Retry-After": "0"})
        return Page(text=json.dumps({"data": ROWS[first:first + 100]}), kind="application/json")

    with serving({"/loans": loans}) as server:
        (tmp_path / "brief.toml").write_text(BRIEF.format(url=server.url))
        failed = epoch(tmp_path, "run", "1", "--brief", str(tmp_path / "brief.toml"), "--unattended", "test")
        lines = [line for line in failed.stderr.splitlines() if line.strip()]
        assert failed.returncode == 2 and len(lines) == 1 and "answered 503" in lines[0] and "5 attempts" in lines[0], failed.stderr[-2000:]
        assert len(server.asked) == 7 and {headers["Authorization"] for headers in server.headers} == {"Bearer hunter2"}
        state["down"] = False
        again = epoch(tmp_path, "run", "1", "--unattended", "test")
        assert again.returncode == 0, again.stderr[-2000:]
        assert [asked.split("page=")[1] for asked in server.asked[7:]] == ["3", "4", "5"]
    wrangled = epoch(tmp_path, "run", "1-2", "--unattended", "test")
    assert wrangled.returncode == 0, wrangled.stderr[-2000:]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]
