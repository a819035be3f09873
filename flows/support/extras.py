"""What to install where a command needs a package that the base leaves out."""

from sepcore.errors import StemworksError

EXTRAS = {
    "train": ("tensorflow", "keras", "mlflow", "musdb", "yaml", "google", "matplotlib"),
    "evaluate": ("museval", "pandas", "threadpoolctl", "matplotlib"),
    "orchestrate": ("prefect", "fastapi", "sqlalchemy", "uvicorn", "dotenv", "yaml"),
    "export": ("onnx", "onnxruntime", "tf2onnx", "tensorflow", "keras"),
    "cluster": ("prefect_dask", "dask", "distributed"),
    "jax": ("jax",),
}
"""Modules that an extra of pyproject.toml brings and the base does not."""


class ExtraMissing(StemworksError):
    """A package is not installed that comes with an extra."""


def missing_extra(error: BaseException) -> ExtraMissing | None:
    """What to tell the user if an error is the failed import of such a module; None for any other error.

    Not for what was raised while a library handled the lack of one: that is another fault, to be seen whole.
    """
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    extras = [f"'stemworks[{extra}]'" for extra, modules in EXTRAS.items() if missing in modules]
    if not extras:
        return None
    hint = f"Install it with: pip install {' or '.join(extras)}; 'stemworks[all]' serves every command."
    return ExtraMissing(f"this command needs {missing}, which is not installed", hint=hint)
