"""The TorchFunctionModes that are on in this thread: one may have to leave their row for a while, and come back."""

from collections.abc import Sequence

from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack, _pop_mode, _push_mode


def modes() -> list[TorchFunctionMode]:
    """Of this thread, the outermost first."""
    return list(_get_current_function_mode_stack())  # type: ignore[no-untyped-call]


def exchange(place: int, others: Sequence[TorchFunctionMode]) -> None:
    """Put others in the place of all modes from there on."""
    for _ in modes()[place:]:
        _pop_mode()  # type: ignore[no-untyped-call]
    for mode in others:
        _push_mode(mode)  # type: ignore[no-untyped-call]
