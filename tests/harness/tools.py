"""Where the programs are that the suite runs. What is missing fails, it is never skipped."""

import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("SEALGATE_CACHE") or Path.home() / ".cache" / "sealgate")
PYTHON = sys.executable


def sealgate() -> Path:
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    path = Path(os.environ.get("SEALGATE_BIN") or target / "debug" / "sealgate")
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there: `cargo build` first, or set SEALGATE_BIN")
    return path


def tool(name: str) -> str:
    """A program from the cache folder, its virtual environment, or the system."""
    for folder in (CACHE / "bin", CACHE / "venv" / "bin"):
        if (folder / name).exists():
            return str(folder / name)
    found = shutil.which(name)
    if not found:
        raise FileNotFoundError(f"{name} is missing: run scripts/tools")
    return found
