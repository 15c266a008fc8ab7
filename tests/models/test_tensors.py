"""The format of the arrays in bundles, against the library of safetensors."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import barproof as bp
from barproof._tensors import read_tensors, write_tensors

ARRAYS = st.dictionaries(
    st.text(min_size=1, max_size=12).filter(lambda name: name != "__metadata__"),
    hnp.arrays(
        st.sampled_from(["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?"]),
        hnp.array_shapes(min_dims=0, max_side=4, min_side=0),
    ),
    max_size=5,
)


@given(ARRAYS)
def test_arrays_are_those_of_the_library(arrays: dict[str, Any]) -> None:
    import safetensors.numpy as library

    for data in (write_tensors(arrays), library.save(arrays)):
        for found in (read_tensors(data, "it"), library.load(data)):
            assert set(found) == set(arrays)
            for name, array in arrays.items():
                assert found[name].dtype == array.dtype
                assert found[name].shape == array.shape
                assert found[name].tobytes() == array.tobytes()


@given(ARRAYS, st.integers(0, 200), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_read_as_the_library_does(
    arrays: dict[str, Any], at: int, flip: int
) -> None:
    import safetensors.numpy as library
    from safetensors import SafetensorError

    data = bytearray(write_tensors(arrays))
    data[at % len(data)] ^= flip
    try:
        found = read_tensors(bytes(data), "it")
    except bp.BundleError:
        return
    try:
        theirs = library.load(bytes(data))
    except (SafetensorError, UnicodeDecodeError):
        # A repeated name or key is the one thing that only theirs refuses; nothing is read beyond the file.
        return
    assert {n: a.tobytes() for n, a in found.items()} == {n: a.tobytes() for n, a in theirs.items()}
