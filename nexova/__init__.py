"""Public names for other Python programs; `python -m nexova` is the command line.

Everything is imported on first use, so that `import nexova` stays cheap:

    from nexova import IndustrialDataGenerator, MLModelTrainer, ModelInference
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from producer.generator import IndustrialDataGenerator
    from runtime.models.model_inference import ModelInference
    from trainer.trainer import MLModelTrainer

__all__ = ["IndustrialDataGenerator", "MLModelTrainer", "ModelInference"]

_MODULES: Final = {
    "IndustrialDataGenerator": "producer.generator",
    "MLModelTrainer": "trainer.trainer",
    "ModelInference": "runtime.models.model_inference",
}


def __getattr__(name: str) -> Any:
    """Return a public name, imported on first use (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module 'nexova' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names and the module's own."""
    return sorted({*globals(), *__all__})
