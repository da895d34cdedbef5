"""Reading a published checkpoint: tensors only, no code in the file is run, and every entry must fit."""

import re
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from ..errors import ModelError, first_line
from .published import PublishedNetwork

_WRAPPERS = ("state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "model.", "_orig_mod.")
_SHOWN = 8  # names in a message; the counts say how many there are
_SAVE_STATE = "save the state alone: torch.save(network.state_dict(), 'checkpoint.pth')"


def load_checkpoint(path: Path) -> PublishedNetwork:
    """The published network with the weights of a .pth or .safetensors file, in evaluation mode, bases not yet frozen.

    Accepts a bare state, one under the usual keys (`state_dict`, ...), and names with the usual prefixes
    (`module.`, ...). Raises ModelError for a file that cannot be read, that holds anything but tensors, or whose
    entries are not exactly the 883 of the published network.
    """
    if not path.is_file():
        raise ModelError(f"checkpoint {path} does not exist; check the path")
    state = _strip_prefixes(_unwrap(_read(path), path))
    network = PublishedNetwork()
    _check_entries(state, network.state_dict(), path)
    network.load_state_dict(state)
    return network.eval()


def _read(path: Path) -> Any:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except Exception as error:  # the library's errors share no other base
            raise ModelError(
                f"checkpoint {path} is damaged or no safetensors file: {first_line(error)}"
            ) from error
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise ModelError(f"checkpoint {path} {_reason(error)}") from error


def _reason(error: Exception) -> str:
    foreign = re.search(r"GLOBAL ([\w.]+)", str(error))  # how torch names what it refuses to import
    if foreign:
        return (
            f"holds code or objects other than tensors ({foreign[1]}); nothing of it was run; {_SAVE_STATE}"
        )
    # torch's own advice on a bad pickle is to load it without protection: not passed on.
    known = "" if isinstance(error, UnpicklingError) else f": {first_line(error)}"
    return f"is damaged or no PyTorch file{known}; download or copy it again"


def _unwrap(content: Any, path: Path) -> dict[str, Tensor]:
    while isinstance(content, Mapping):
        wrapped = [content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)]
        if not wrapped:
            break
        content = wrapped[0]
    if not isinstance(content, Mapping):
        raise ModelError(f"checkpoint {path} holds a {type(content).__name__}, not a state; {_SAVE_STATE}")
    strange = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if strange:
        raise ModelError(
            f"checkpoint {path} holds entries that are no tensors: {_names(strange)}; {_SAVE_STATE}"
        )
    return {str(name): value for name, value in content.items()}


def _strip_prefixes(state: dict[str, Tensor]) -> dict[str, Tensor]:
    while True:
        shared = [prefix for prefix in _PREFIXES if state and all(name.startswith(prefix) for name in state)]
        if not shared:
            return state
        state = {name.removeprefix(shared[0]): value for name, value in state.items()}


def _check_entries(state: dict[str, Tensor], expected: Mapping[str, Tensor], path: Path) -> None:
    missing = [name for name in expected if name not in state]
    unexpected = [name for name in state if name not in expected]
    if missing or unexpected:
        raise ModelError(
            f"checkpoint {path} is not of the published network: "
            f"missing {_names(missing)}; unexpected {_names(unexpected)}; only this architecture converts"
        )
    misshapen = [
        f"{name} {list(state[name].shape)} instead of {list(expected[name].shape)}"
        for name in expected
        if state[name].shape != expected[name].shape
    ]
    if misshapen:
        raise ModelError(f"checkpoint {path} has entries of another shape: {_names(misshapen)}")
    broken = [name for name, value in state.items() if not value.isfinite().all()]
    if broken:
        raise ModelError(
            f"checkpoint {path} holds NaN or infinity in {_names(broken)}; use an intact checkpoint"
        )


def _names(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{len(names)} ({', '.join(names[:_SHOWN])}{more})" if names else "none"
