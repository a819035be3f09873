"""What to install where a command needs a package that the base leaves out."""

from collections.abc import Iterable, Sequence
from importlib.util import find_spec

from sepcore.errors import StemworksError

EXTRAS = {
    "train": ("tensorflow", "keras", "mlflow", "musdb", "google", "matplotlib"),
    "evaluate": ("museval", "pandas", "threadpoolctl", "matplotlib"),
    "orchestrate": ("prefect", "fastapi", "sqlalchemy", "uvicorn", "dotenv"),
    "export": ("onnx", "onnxruntime", "tf2onnx", "tensorflow", "keras"),
    "cluster": ("prefect_dask", "dask", "distributed"),
    "jax": ("jax",),
}
"""Modules that an extra of pyproject.toml brings and the base does not."""

PIPELINE = ("train", "evaluate", "orchestrate")
"""The extras of a command whose flow makes models: its modules import each other's tasks."""

_OF_ALL = (*PIPELINE, "export")


class ExtraMissing(StemworksError):
    """A package is not installed that comes with an extra."""


def check_extras(extras: Iterable[str]) -> None:
    """Raise ExtraMissing, which names all that is missing, unless all modules of these extras are installed."""
    missing = {extra: [module for module in EXTRAS[extra] if not find_spec(module)] for extra in extras}
    wanted = [extra for extra, modules in missing.items() if modules]
    if wanted:
        packages = list(dict.fromkeys(missing[extra][0] for extra in wanted))
        raise _missing(packages, f"'stemworks[{','.join(wanted)}]'", wanted)


def missing_extra(error: BaseException) -> ExtraMissing | None:
    """What to tell the user if an error is the failed import of such a module; None for any other error.

    Not for what was raised while a library handled the lack of one: that is another fault, to be seen whole.
    """
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    extras = [extra for extra, modules in EXTRAS.items() if missing in modules]
    if missing is None or not extras:
        return None
    return _missing([missing], " or ".join(f"'stemworks[{extra}]'" for extra in extras), extras)


def _missing(packages: Sequence[str], what: str, extras: Iterable[str]) -> ExtraMissing:
    *others, last = packages
    named, are, them = (f"{', '.join(others)} and {last}", "are", "them") if others else (last, "is", "it")
    hint = f"Install {them} with: pip install {what}"
    hint += "; 'stemworks[all]' serves every command." if set(extras) <= set(_OF_ALL) else "."
    return ExtraMissing(f"this command needs {named}, which {are} not installed", hint=hint)
