"""Where a model has its experts, known by their shapes and not by names."""

from torch import nn


def num_experts(module: nn.Module) -> int:
    """How many experts a module holds by itself: stacked weights of three axes, or a list of alike modules; or 0."""
    stacked = [p.shape[0] for p in module.parameters(recurse=False) if p.dim() == 3]
    if stacked and len(set(stacked)) == 1:
        return int(stacked[0])
    if isinstance(module, nn.ModuleList) and len(module) > 1 and len({type(child) for child in module}) == 1:
        return len(module)
    return 0


def is_mixture(model: nn.Module, name: str) -> bool:
    """Whether a module is a mixture of experts, or the experts of one."""
    try:
        module = model.get_submodule(name)
    except AttributeError:
        return False
    return num_experts(module) > 1 or any(
        num_experts(child) > 1 and holds_experts(child) for child in module.children()
    )


def holds_experts(experts: nn.Module) -> bool:
    """Whether alike parts are experts: layers are a list of alike modules too, but of modules that hold modules."""
    if not isinstance(experts, nn.ModuleList):
        return True
    return all(not list(child.children()) for child in experts[0].children())
