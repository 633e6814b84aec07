"""Imports point one way (docs/architecture.md)."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "convnets"
BELOW = {
    "kernels": set(),
    "layers": {"kernels"},
    "models": {"layers"},
}
"""All that these packages may import of the others."""

NOT_ABOVE = ("augment", "data", "evaluation", "analysis", "plots", "pretrained", "tasks", "models", "layers", "kernels")


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


FILES = {path.relative_to(PACKAGE): imports_of(path) for path in PACKAGE.rglob("*.py")}
PACKAGES = {path.parts[0] for path in FILES if len(path.parts) > 1}


def packages_of(names: set[str]) -> set[str]:
    parts = (name.split(".") for name in names if name.startswith("convnets."))
    return {each[1] for each in parts} & PACKAGES


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_imports_point_down(package):
    for path, names in FILES.items():
        if path.parts[0] == package:
            found = packages_of(names) - {package}
            if package in BELOW:
                assert found <= BELOW[package], path
            if package in NOT_ABOVE:
                assert not found & {"training", "sweeps", "cli"}, path
            if package == "training":
                assert "cli" not in found, path
            if package != "layers":
                assert "kernels" not in found, path


@pytest.mark.parametrize(
    ("library", "allowed"), [("matplotlib", "plots"), ("orbax", "training/checkpoints.py"), ("cv2", "data")]
)
def test_a_library_is_used_in_one_place(library, allowed):
    users = {path.as_posix() for path, names in FILES.items() if any(n.split(".")[0] == library for n in names)}
    assert users and all(user.startswith(allowed) for user in users), users
