"""Arrays of any runtime are in a dump bit for bit, as the taps, inputs and weights that their keys say they are."""

import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from probe.capture.selection import Selection
from probe.dump.detail import chosen_detail
from probe.errors import ProbeError

RANDOM = np.random.default_rng(0)


def numbers(*shape, dtype="f4"):
    return RANDOM.standard_normal(shape).astype(dtype)


def names(dump):
    return [(tap.step, tap.name) for tap in dump.taps]


@pytest.fixture(params=["npz", "deflated npz", "folder of npy", "folder of npz", "safetensors", "safetensors folder"])
def form(request, tmp_path):
    """`form(arrays)`: the kind and the path of the arrays written in one of the forms that are read."""

    def write(arrays):
        path = tmp_path / "arrays"
        match request.param:
            case "npz":
                np.savez(path, **arrays)
            case "deflated npz":
                np.savez_compressed(path, **arrays)
            case "safetensors":
                save_file({key: torch.from_numpy(array.copy()) for key, array in arrays.items()}, path)
                return "safetensors", path
            case "folder of npy":
                for key, array in arrays.items():
                    (path / key).parent.mkdir(parents=True, exist_ok=True)
                    np.save(path / f"{key}.npy", array)
                return "npz", path
            case _:
                path.mkdir()
                for step in {key.partition("/")[0] for key in arrays}:
                    inside = {key.removeprefix(f"{step}/"): x for key, x in arrays.items() if key.startswith(step)}
                    if request.param == "folder of npz":
                        np.savez(path / f"{step}.npz", **inside)
                    else:
                        inside = {key: torch.from_numpy(array.copy()) for key, array in inside.items()}
                        save_file(inside, path / f"{step}.safetensors")
                return request.param.split()[-1].replace("folder", "safetensors"), path
        return "npz", path.with_suffix(".npz")

    return write


def test_large_arrays_among_small_ones_are_what_they_were(form, imported):
    """Each is read, measured and written beside others, into memory that is used again and again."""
    arrays = {
        f"step0/{number:02d}_m{number}": numbers(300, 200) if number % 3 else numbers(number + 1)
        for number in range(24)
    }
    dump = imported(*form(arrays))
    for number, array in enumerate(arrays.values()):
        assert np.array_equal(dump.read(dump.tap(f"m{number}:out")), array)


def test_every_form_gives_the_same_dump(form, imported):
    arrays = {
        "step0/1_b": numbers(2, 3),
        "step0/0_a": numbers(4, dtype="f8"),
        "step1/0_a:in": np.arange(6).reshape(1, 6),
        "step1/1_a": np.full((), 2.5, "f2"),
        "step0/2_c": np.zeros((0, 4), "f4"),
        "step0/inputs/input_ids": np.array([[5, 6]]),
        "step0/weights/a.weight": numbers(3, 4),
    }
    dump = imported(*form(arrays))
    assert names(dump) == [(0, "a:out"), (0, "b:out"), (0, "c:out"), (1, "a:in"), (1, "a:out")]
    for key, place in {"step0/1_b": ("b:out", 0), "step1/0_a:in": ("a:in", 1), "step1/1_a": ("a:out", 1)}.items():
        tap = dump.tap(*place)
        assert dump.read(tap).astype(arrays[key].dtype).tobytes() == arrays[key].tobytes()
        assert (tap.dtype, tap.shape) == (arrays[key].dtype.name, arrays[key].shape)
    assert [array.tolist() for array, _ in dump.inputs().values()] == [[[5, 6]]]
    assert [(weight.name, weight.shape) for weight in dump.weights] == [("a.weight", (3, 4))]
    assert dump.environment["imported"]["arrays"] == 5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2, torch.float16, torch.bool])
def test_small_floats_of_safetensors_keep_their_bits(dtype, tmp_path, imported):
    x = torch.randn(300, 400).to(dtype)
    save_file({"a": x}, tmp_path / "x.safetensors")
    dump = imported("safetensors", tmp_path / "x.safetensors")
    assert dump.tap("a:out").dtype == str(dtype).removeprefix("torch.")
    assert dump.bits(dump.tap("a:out")).tobytes() == x.view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize(
    ("raw", "declared", "meant"),
    [
        (ml_dtypes.bfloat16, "bf16", "bfloat16"),
        (ml_dtypes.float8_e4m3fn, "fp8", "float8_e4m3fn"),
        (ml_dtypes.float8_e4m3fnuz, "float8_e4m3fnuz", "float8_e4m3fnuz"),
    ],
)
def test_raw_bits_are_what_they_are_said_to_be(raw, declared, meant, tmp_path, imported):
    """numpy writes the types of ml_dtypes as void; others keep such bits as whole numbers without a sign."""
    x = numbers(5, 6).astype(raw)
    bits = x.view(f"u{x.itemsize}")
    np.savez(tmp_path / "x.npz", void=x, unsigned=bits, whole=np.arange(3), **{"inputs/ids": np.ones(4, bits.dtype)})
    with pytest.raises(ProbeError, match="raw numbers") as refusal:
        imported("npz", tmp_path / "x.npz")
    assert "--dtype" in refusal.value.hint
    dump = imported("npz", tmp_path / "x.npz", dtype=declared)
    for name in ("void:out", "unsigned:out"):
        assert dump.tap(name).dtype == meant
        assert dump.bits(dump.tap(name)).tobytes() == bits.tobytes()
    assert dump.tap("whole:out").dtype == "int64"
    assert dump.inputs()["ids"][1] == bits.dtype.name  # token ids stay what they are


def test_the_one_fp8_that_a_header_of_numpys_names_needs_no_word(tmp_path, imported):
    x = numbers(5, 6).astype(ml_dtypes.float8_e5m2)
    np.savez(tmp_path / "x.npz", x=x, fortran=np.asfortranarray(x))
    np.savez_compressed(tmp_path / "small.npz", x=x)
    for file, declared in (("x.npz", None), ("x.npz", "fp8"), ("small.npz", None)):
        dump = imported("npz", tmp_path / file, dtype=declared, force=True)
        for tap in dump.taps:
            assert (tap.dtype, tap.shape) == ("float8_e5m2", (5, 6))
            assert dump.bits(tap).tobytes() == x.tobytes()


def test_fortran_order_and_the_other_byte_order_are_undone(tmp_path, imported):
    x = numbers(3, 4, 5)
    np.savez(tmp_path / "x.npz", fortran=np.asfortranarray(x), swapped=x.astype(">f4"), both=x.astype(">f4", order="F"))
    dump = imported("npz", tmp_path / "x.npz")
    for tap in dump.taps:
        assert dump.read(tap).tobytes() == x.tobytes()


def test_numbers_give_the_order_and_a_file_of_names_overrides_it(tmp_path, imported):
    np.savez(tmp_path / "x.npz", **{"2_a": numbers(2), "10_b": numbers(3), "1_c": numbers(4)})
    assert [tap.name for tap in imported("npz", tmp_path / "x.npz").taps] == ["c:out", "a:out", "b:out"]
    order = tmp_path / "order.txt"
    order.write_text("# as it ran\nb\n\na:out\nc\nnever_ran\n")
    dump = imported("npz", tmp_path / "x.npz", order=order, force=True)
    assert [tap.name for tap in dump.taps] == ["b:out", "a:out", "c:out"]
    order.write_text("a\n")
    with pytest.raises(ProbeError, match="no line for b:out"):
        imported("npz", tmp_path / "x.npz", order=order, force=True)


def test_some_numbers_are_no_order(tmp_path, imported):
    np.savez(tmp_path / "x.npz", **{"2_a": numbers(2), "b": numbers(3)})
    with pytest.raises(ProbeError, match="'b' has no number"):
        imported("npz", tmp_path / "x.npz")


def test_two_arrays_of_one_tap_are_refused_by_both_names(tmp_path, imported):
    np.savez(tmp_path / "x.npz", **{"a": numbers(2), "a:out": numbers(3)})
    with pytest.raises(ProbeError, match=r"'a' of .*x\.npz and 'a:out' of .*x\.npz"):
        imported("npz", tmp_path / "x.npz")
    assert not (tmp_path / "imported.h5").exists()


def test_steps_go_on_from_what_the_cache_held(tmp_path, imported):
    np.savez(
        tmp_path / "x.npz",
        **{
            "a-step0": numbers(1, 4, 3),
            "a-step1": numbers(1, 1, 3),
            "tokens-step0": np.ones((1, 4), "i8"),
            "tokens-step1": np.ones((1, 1), "i8"),
            "step1/inputs/past": np.int64(4),
        },
    )
    dump = imported("npz", tmp_path / "x.npz", inputs={"input_ids": "tokens"})
    assert names(dump) == [(0, "a:out"), (1, "a:out")]
    assert [dump.inputs(step)["input_ids"][0].shape for step in (0, 1)] == [(1, 4), (1, 1)]
    assert dump.past == {0: 0, 1: 4}


def test_weights_come_from_a_checkpoint_too(tmp_path, imported):
    np.savez(tmp_path / "x.npz", a=numbers(2))
    for part in (1, 2):
        save_file({f"layers.{part}.weight": torch.randn(3, 4).bfloat16()}, tmp_path / f"model-{part}-of-2.safetensors")
    one = imported("npz", tmp_path / "x.npz", weights=tmp_path / "model-1-of-2.safetensors")
    assert [(weight.name, weight.dtype) for weight in one.weights] == [("layers.1.weight", "bfloat16")]
    all_parts = imported("npz", tmp_path / "x.npz", weights=tmp_path, force=True)
    assert [weight.name for weight in all_parts.weights] == ["layers.1.weight", "layers.2.weight"]


def test_what_is_asked_for_alone_is_imported(tmp_path, imported):
    """And looked at: what is left out may be of any kind."""
    np.savez(tmp_path / "x.npz", **{"a": numbers(2), "b": np.array([None]), "b:in": numbers(3)})
    dump = imported("npz", tmp_path / "x.npz", selection=Selection(["?"], ["b:out"]))
    assert [tap.name for tap in dump.taps] == ["a:out", "b:in"]
    with pytest.raises(ProbeError, match="no array's name matches 'c'"):
        imported("npz", tmp_path / "x.npz", selection=Selection(["c"], []))
    less = chosen_detail(None, stats_only=True, tokens_slice=None)
    dump = imported("npz", tmp_path / "x.npz", selection=Selection(["a"], []), detail=less, force=True)
    assert not dump.has_values(dump.tap("a:out"))
