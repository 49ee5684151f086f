"""A model in memory, and its runs: tokens in, every tensor of the graph handed over as soon as it is computed."""

import ctypes
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from probe.targets.apart import Refused
from probe.targets.gguf.layout import check_model_defaults, context_layout, repacking, tensors_are_flagged
from probe.targets.gguf.native import ABORTED, EVALUATED, library
from probe.targets.gguf.node import Node, node_at

KINDS = {"f32": 0, "f16": 1, "bf16": 30, "q8_0": 8, "q4_0": 2, "q5_0": 6}
"""Types that keys and values can be kept in: ggml's numbers for them."""
FAILURES = {1: "no room for the tokens in its cache", 2: "it was stopped", -1: "the tokens are none that it takes"}
Computed = Callable[[Node], object]


class Session:
    """Refused where llama.cpp does not take the file, the options or the tokens."""

    def __init__(self, path: Path, options: Mapping[str, Any], num_tokens: int, num_at_once: int) -> None:
        """`num_tokens` of room in the cache, of which `num_at_once` come in one step at most."""
        self._library = library()
        self._only_flagged = tensors_are_flagged()
        self._error: BaseException | None = None
        self._tell: Computed = _nothing
        self._nodes: dict[int, Node] = {}
        self._callback = EVALUATED(self._evaluated)
        self._context = 0
        defaults = self._library.llama_model_default_params()
        check_model_defaults(defaults)
        ctypes.c_int32.from_buffer(defaults, 16).value = 0
        repack = repacking(defaults)
        if repack is not None:
            ctypes.c_bool.from_buffer(defaults, repack).value = options["repack"]
        self._model = self._library.llama_model_load_from_file(str(path).encode(), defaults)
        if not self._model:
            raise Refused(f"llama.cpp cannot load {path}")
        self.trained_context: int = self._library.llama_model_n_ctx_train(self._model)
        self._context = self._opened(options, num_tokens, num_at_once)
        if not self._context:
            self.close()
            raise Refused(f"llama.cpp cannot run {path} so", hint="leave the options of --arg away")

    def before_it_aborts(self, rescue: Callable[[], object]) -> None:
        """Have something done when llama.cpp finds that it cannot go on; then it ends the process."""

        def aborted(words: bytes) -> None:
            _say(words)
            rescue()

        self._aborted = ABORTED(aborted)
        if hasattr(self._library, "ggml_set_abort_callback"):
            self._library.ggml_set_abort_callback(self._aborted)

    def _opened(self, options: Mapping[str, Any], num_tokens: int, num_at_once: int) -> int:
        chosen = self._library.llama_context_default_params()
        layout = context_layout(chosen)
        numbers = {0: num_tokens, 4: num_at_once, 8: num_at_once, layout.flash: int(options["flash"])}
        numbers |= dict.fromkeys((layout.threads, layout.threads + 4), options["threads"])
        numbers |= dict.fromkeys((layout.key_type, layout.key_type + 4), KINDS[options["kv"]])
        for place, number in numbers.items():
            ctypes.c_int32.from_buffer(chosen, place).value = number
        address = ctypes.cast(self._callback, ctypes.c_void_p).value
        ctypes.c_void_p.from_buffer(chosen, layout.callback).value = address
        return self._library.llama_init_from_model(self._model, chosen) or 0

    def run(self, tokens: Sequence[int], past: int, computed: Computed) -> None:
        """One step: `tokens` behind `past` others, logits for each of them. `computed` is given every tensor."""
        count = len(tokens)
        batch = self._library.llama_batch_init(count, 0, 1)
        try:
            batch.n_tokens = count
            for index, token in enumerate(tokens):
                batch.token[index], batch.pos[index], batch.logits[index] = token, past + index, 1
                batch.n_seq_id[index], batch.seq_id[index][0] = 1, 0
            self._tell, self._nodes = computed, {}
            code = self._library.llama_decode(self._context, batch)
        finally:
            self._tell = _nothing
            self._library.llama_batch_free(batch)
        if self._error is not None:
            raise self._error
        if code:
            raise Refused(f"llama.cpp cannot run {count} tokens behind {past}: {FAILURES.get(code, f'error {code}')}")

    def _evaluated(self, address: int, is_asked: bool, _: object) -> bool:
        """Called for each tensor twice. What is raised here cannot pass through llama.cpp: it is raised behind it."""
        if self._error is not None:
            return False
        try:
            if is_asked:
                node = self._nodes[address] = node_at(address)
                return not node.is_view and (node.is_computed or not self._only_flagged)
            self._tell(self._nodes[address])
        except BaseException as error:
            self._error = error
            return False
        return True

    def close(self) -> None:
        if hasattr(self._library, "ggml_set_abort_callback"):
            self._library.ggml_set_abort_callback(None)
        if self._context:
            self._library.llama_free(self._context)
        self._library.llama_model_free(self._model)
        self._context = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _say(words: bytes) -> None:
    print(words.decode(errors="replace"), file=sys.stderr, flush=True)


def _nothing(_: Node) -> None:
    """Nobody asks for this run's tensors: llama.cpp warms up."""
