"""The style sheet of Semantic UI for the app, from its npm package: the rules that the app's templates ask for, and no others.

    make semantic

npm fetches the package at the version below, its archive is compared with the hash, and the rules go into
`src/epochkit/templates/semantic.css`, which is committed: whoever installs the kit needs no npm and no network.
"""
import base64
import hashlib
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "semantic-ui-css@2.5.0"
SHA512 = "jIWn3WXXE2uSaWCcB+gVJVRG3masIKtTMNEP2X8Aw909H2rHpXGneYOxzO3hT8TpyvB5/dEEo9mBFCitGwoj1A=="
COMPONENTS = ("header", "segment", "label", "list", "statistic", "message", "progress", "table", "card")
TEMPLATES = Path(__file__).parents[1] / "src" / "epochkit" / "templates"
DYNAMIC = {"info", "success", "warning", "error", "positive", "negative"}  # classes that a template gets from Python


def archive(folder: Path) -> Path:
    "The package as npm brings it; SystemExit when it is not what the hash says"
    subprocess.run(["npm", "pack", PACKAGE, "--silent"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    path = next(folder.glob("*.tgz"))
    found = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    if found != SHA512:
        raise SystemExit(f"{path.name} is not the package that was chosen: its sha512 is {found}, expected {SHA512}")
    return path


def rules(css: str) -> Iterator[tuple[str, str]]:
    "Selector and body of each rule of a minified style sheet; the body of @media holds rules itself"
    place = 0
    while (start := css.find("{", place)) >= 0:
        depth, end = 1, start + 1
        while depth:
            depth += {"{": 1, "}": -1}.get(css[end], 0)
            end += 1
        yield css[place:start].strip(), css[start + 1:end - 1]
        place = end


def _asked(selector: str) -> set[str]:
    "Classes that a selector names, those of [class*=\"two words\"] too"
    words = " ".join(re.findall(r'\[class\*="([^"]*)"\]', selector)).split()
    return {*re.findall(r"\.(-?[a-zA-Z_][\w-]*)", selector), *words}


def kept(css: str, used: set[str]) -> list[str]:
    "The rules whose selectors ask for classes in `used` only, one a line"
    found = []
    for selector, body in rules(css):
        if selector.startswith("@media"):
            inside = kept(body, used)
            found += [f"{selector} {{", *inside, "}"] if inside else []
        elif not selector.startswith("@"):
            wanted = [one for one in selector.split(",") if _asked(one) <= used]
            found += [f"{', '.join(wanted)} {{ {body.replace(';', '; ')} }}"] if wanted else []
    return found


def used_classes() -> set[str]:
    "Class names in the app's templates, and those that come from Python"
    text = (TEMPLATES / "app.html.j2").read_text(encoding="utf-8")
    literal = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", " ", text, flags=re.DOTALL)
    return {name for found in re.findall(r'class="([^"]*)"', literal) for name in found.split()} | DYNAMIC


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, tarfile.open(archive(Path(folder))) as files:
        read = lambda name: files.extractfile(f"package/{name}").read().decode("utf-8")
        sheets = {name: re.sub(r"/\*.*?\*/", "", read(f"components/{name}.min.css"), flags=re.DOTALL) for name in COMPONENTS}
        licence = read("LICENSE").strip()
    lines = [line for css in sheets.values() for line in kept(css, used_classes())]
    head = f"/* {PACKAGE}, made by tools/semantic.py (make semantic): do not edit.\n\n{licence}\n*/"
    (TEMPLATES / "semantic.css").write_text("\n".join([head, *lines, ""]), encoding="utf-8")
    print(f"semantic.css: {len(lines)} lines of {PACKAGE}")


if __name__ == "__main__":
    main()
