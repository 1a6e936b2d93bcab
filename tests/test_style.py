"""The rules of the house that a machine can check; every fault is told as file:line."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("runkit", "corpus", "selfinstruct", "train", "judge")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

# Tables of constants, which are as long as what they list.
LONG_FILES: dict[str, str] = {}
# Writing that does not go through runkit/files.py: "file" or "file::function" -> why.
OTHER_WRITERS: dict[str, str] = {
    "runkit/rundir.py::_locked": "a lock is the file itself, so it is opened in place",
    "runkit/rundir.py::_sign_lock": "replacing the lock file would let go of the lock",
    "runkit/console.py::_silence": "opens the null device",
}
WRITING_METHODS = {"write_text", "write_bytes", "touch", "symlink_to", "hardlink_to", "rename"}
WRITING_CALLS = {
    *(
        "os.replace",
        "os.rename",
        "os.renames",
        "os.link",
        "os.symlink",
        "os.truncate",
        "os.mkfifo",
        "os.write",
    ),
    *("shutil.copy", "shutil.copy2", "shutil.copyfile", "shutil.copytree", "shutil.move", "tempfile.mkstemp"),
    *(
        "tempfile.NamedTemporaryFile",
        "numpy.save",
        "np.save",
        "np.savez",
        "np.savez_compressed",
        "torch.save",
    ),
}
OPENERS = {
    "open",
    "io.open",
    "gzip.open",
    "bz2.open",
    "lzma.open",
    "zstandard.open",
    "os.fdopen",
    "codecs.open",
}
# Spelt in two halves, so that this file does not hold them itself.
PRIVATE = re.compile("|".join("/" + name + "/" for name in ("work", "root", "home")))


def tracked(*suffixes: str) -> list[Path]:
    """What git would commit; ignored and deleted files are nobody's business."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    names = [name for name in done.stdout.decode().split("\0") if name.endswith(suffixes or "")]
    return [ROOT / name for name in sorted(set(names)) if (ROOT / name).is_file()]


def sources() -> list[Path]:
    return [path for path in tracked(".py") if path.relative_to(ROOT).parts[0] in PACKAGES]


def place(path: Path, line: int = 1) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def told(faults: list[str]) -> str:
    return "\n" + "\n".join(faults)


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function with its dotted name, nested ones too."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name, node
            yield from functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")
        else:
            yield from functions(node, prefix)


def test_imports_point_one_way() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_files_are_short() -> None:
    faults = []
    for path in tracked(".py"):
        lines = len(path.read_text("utf-8").splitlines())
        if lines > MAX_FILE_LINES and str(path.relative_to(ROOT)) not in LONG_FILES:
            faults.append(f"{place(path, MAX_FILE_LINES + 1)}: {lines} lines, at most {MAX_FILE_LINES}")
    assert not faults, told(faults)


def test_functions_are_short() -> None:
    faults = []
    for path in tracked(".py"):
        for name, node in functions(parsed(path)):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                faults.append(f"{place(path, node.lineno)}: {name} has {lines} lines, at most {MAX_FUNCTION_LINES}")
    assert not faults, told(faults)


def test_modules_say_what_they_do() -> None:
    faults = [f"{place(path)}: no docstring" for path in sources() if not ast.get_docstring(parsed(path))]
    assert not faults, told(faults)


def test_first_party_imports_stand_at_the_top() -> None:
    """A hidden import hides an arrow of the picture; only the cli files parse first and import then."""
    faults = []
    for path in sources():
        if path.name.startswith("cli"):
            continue
        for name, function in functions(parsed(path)):
            for node in ast.walk(function):
                modules = []
                if isinstance(node, ast.Import):
                    modules = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    modules = ["." * node.level + (node.module or "")]
                for module in modules:
                    if module.startswith(".") or module.split(".")[0] in PACKAGES:
                        faults.append(f"{place(path, node.lineno)}: {name} imports {module}")
    assert not faults, told(sorted(set(faults)))


def writes(call: ast.Call) -> str | None:
    """The name of what writes a file in this call; None when nothing does."""
    name = ast.unparse(call.func)
    if name in WRITING_CALLS:
        return name
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if method in WRITING_METHODS or (method == "replace" and len(call.args) == 1 and not call.keywords):
        return f".{method}"  # a str or bytes .replace takes two arguments, Path.replace takes one
    if name == "os.open" and re.search(r"O_(WRONLY|RDWR|CREAT)", ast.unparse(call)):
        return name
    if name in OPENERS or method == "open":
        position = 1 if name in OPENERS else 0
        modes = [keyword.value for keyword in call.keywords if keyword.arg == "mode"] or call.args[position:][:1]
        mode = modes[0].value if modes and isinstance(modes[0], ast.Constant) else ""
        if isinstance(mode, str) and len(mode) <= 3 and set(mode) & set("wax+"):
            return f"{name}(..., {mode!r})"
    return None


def safe_files(tree: ast.AST) -> set[str]:
    """Names that are safe to write into: files from `with atomic_write(...) as name`, or in memory."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.withitem) and node.optional_vars and "atomic_write(" in ast.unparse(node.context_expr):
            names.add(ast.unparse(node.optional_vars))
        if isinstance(node, ast.Assign) and "BytesIO(" in ast.unparse(node.value):
            names |= {ast.unparse(target) for target in node.targets}
    return names


def allowed(path: Path, function: str) -> bool:
    name = str(path.relative_to(ROOT))
    return name == "runkit/files.py" or name in OTHER_WRITERS or f"{name}::{function}" in OTHER_WRITERS


def test_one_place_writes_files() -> None:
    faults = []
    for path in sources():
        tree = parsed(path)
        owners = {
            id(inner): name for name, function in functions(tree) for inner in ast.walk(function)
        }  # a nested function comes later, so the innermost name stays
        safe = safe_files(tree)
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or allowed(path, owners.get(id(node), "")):
                continue
            into = ast.unparse(node.args[0]) if node.args else ""
            if (what := writes(node)) and into not in safe:
                faults.append(f"{place(path, node.lineno)}: {what} writes a file; use runkit.files")
    assert not faults, told(faults)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        *((code, True) for code in ("open(p, 'w')", "open(p, mode='ab')", "p.open('x')", "p.write_text('')")),
        *((code, True) for code in ("os.replace(a, b)", "a.replace(b)", "gzip.open(p, 'wb')", "np.save(p, x)")),
        *((code, True) for code in ("os.open(p, os.O_WRONLY)", "p.open(mode='r+b')", "p.write_bytes(b'')")),
        *((code, False) for code in ("open(p)", "open(p, 'rb')", "p.open('rb')", "s.replace('a', 'b')", "f.write(b)")),
        *((code, False) for code in ("os.open(p, os.O_RDONLY)", "gzip.open('wax')", "RunDir.open(path, 'clean')")),
    ],
)
def test_the_search_for_writers_finds_them(code: str, found: bool) -> None:
    call = ast.parse(code, mode="eval").body
    assert isinstance(call, ast.Call)
    assert (writes(call) is not None) == found


def test_allowances_are_used() -> None:
    """A list of exceptions may only shrink: each must name a file and function that exist."""
    known = {str(path.relative_to(ROOT)): path for path in sources()}
    for entry in [*OTHER_WRITERS, *LONG_FILES]:
        file, _, function = entry.partition("::")
        assert file in known, f"{entry} is excused, but there is no such file"
        names = {name for name, _ in functions(parsed(known[file]))}
        assert not function or function in names, f"{entry} is excused, but there is no such function"


def test_shipped_yaml_parses() -> None:
    faults = []
    for path in [path for path in tracked(".yaml", ".yml") if path.relative_to(ROOT).parts[0] == "configs"]:
        try:
            yaml.safe_load(path.read_text("utf-8"))
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            faults.append(f"{place(path, line)}: {error.problem}")
    assert not faults, told(faults)


def test_no_paths_of_somebodys_machine() -> None:
    faults = []
    for path in tracked():
        raw = path.read_bytes()
        if b"\0" in raw[:8192]:
            continue
        for number, line in enumerate(raw.decode("utf-8", "replace").splitlines(), 1):
            if found := PRIVATE.search(line):
                faults.append(f"{place(path, number)}: {found[0]}")
    assert not faults, told(faults[:50])
