"""VS Code's notebooks as a front end: clicks under the headers that its Jupyter extension sends, links without a server."""
import uuid
from datetime import UTC, datetime

import pytest

from epochkit.review import click_origin
from epochkit.tests.test_review_click_origin import KernelClient, seen, show_button

# The extension starts the kernel itself and speaks to it over ZMQ with the classes of @jupyterlab/services. The page that
# shows the widgets has a stand-in kernel with the client's id and user name of the real connection, and its messages are
# passed on as they are: so a click has the session of the cells' requests, a msg_id with dashes, no parent, and a channel.


@pytest.fixture(scope="module")
def vscode():
    patch = pytest.MonkeyPatch()
    patch.setenv("VSCODE_PID", "4242")
    patch.setenv("VSCODE_CWD", "/somewhere")
    patch.delenv("JPY_PARENT_PID", raising=False)
    kernel = KernelClient()
    patch.undo()
    kernel.client.session.username = ""
    show_button(kernel)
    yield kernel
    kernel.close()


def click(kernel, **header):
    "The message of @jupyterlab/services' createMessage for a click on the button"
    header = {"msg_id": str(uuid.uuid4()), "msg_type": "comm_msg", "session": kernel.client.session.session, "username": "",
              "date": datetime.now(UTC), "version": "5.2", **header}
    return {"header": header, "msg_id": header["msg_id"], "msg_type": "comm_msg", "parent_header": {}, "metadata": {}, "buffers": [],
            "channel": "shell", "content": {"comm_id": kernel.button, "data": {"method": "custom", "content": {"event": "click"}}}}


@pytest.mark.parametrize("header", [{}, {"username": "vscode"}, {"session": "another-session"}, {"version": "5.4"}], ids=str)
def test_a_click_in_vscode_is_genuine(vscode, header):
    for _ in range(2):
        vscode.click(vscode.button, message=click(vscode, **header))
    assert seen(vscode) == ["", ""]


def test_what_a_cell_makes_is_refused_there_too(vscode):
    for code in ("button.click()", "button._handle_msg(crafted())", "await kernel.dispatch_shell(signed())"):
        vscode.run(code)
    reasons = seen(vscode)
    assert len(reasons) == 3 and all(reasons)
    used = str(uuid.uuid4())  # the same message again would be dropped by the kernel itself, as its signature is known
    for _ in range(2):
        vscode.click(vscode.button, message=click(vscode, msg_id=used))
    assert seen(vscode) == ["", "a message that was used before"]


def test_a_link_is_relative_where_no_server_says_its_root(tmp_path, monkeypatch):
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    monkeypatch.setenv("VSCODE_PID", "4242")
    assert click_origin.served_path(tmp_path / "artifacts" / "a b.html", tmp_path / "nbs") == "../artifacts/a%20b.html"


def test_tables_and_bars_are_html_with_a_text_beside_it():
    from IPython import get_ipython  # noqa: F401 (the formatter below needs no shell)
    from IPython.core.formatters import DisplayFormatter

    from epochkit.report.theme import Html
    bundle = DisplayFormatter().format(Html("<p>Gate 001</p>"))[0]
    assert "Gate 001" in bundle["text/html"] and bundle["text/plain"]
