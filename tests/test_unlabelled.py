"""What masks have where a pixel has no label: one number, said once."""

import ast
from pathlib import Path

import convnets
from convnets.unlabelled import IGNORED


def test_one_module_says_what_has_no_label():
    package = Path(convnets.__file__).parent
    said = [
        file.relative_to(package).as_posix()
        for file in sorted(package.rglob("*.py"))
        for line in ast.parse(file.read_text()).body
        if isinstance(line, ast.Assign) and any(getattr(name, "id", "").startswith("IGNOR") for name in line.targets)
    ]
    assert said == ["unlabelled.py"] and IGNORED == 255, "as PASCAL VOC marks the borders of objects"
