"""Loops in machine code: checksums beside those of libraries, and a machine that keeps no compiled code."""

import zlib

import numba
import numpy as np
import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from ganmodel.compiled import compiled, crc, crc_tables


@given(data=st.binary(max_size=70), skipped=st.integers(0, 9))
def test_checksums_are_those_of_the_libraries(data, skipped):
    start = min(skipped, len(data))
    array = np.frombuffer(data, np.uint8)
    assert crc(crc_tables(0xEDB88320), array, start, len(data)) == zlib.crc32(data[start:])
    assert crc(crc_tables(0x82F63B78), array, start, len(data)) == crc32c(data[start:])


def test_a_loop_is_compiled_where_no_cache_can_be_kept(monkeypatch):
    real = numba.njit

    def without_place(function, *, cache=False, **settings):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return real(function, **settings)

    monkeypatch.setattr(numba, "njit", without_place)
    assert compiled(lambda number: number + 1)(np.int64(1)) == 2


def test_other_faults_of_numba_are_not_hidden(monkeypatch):
    def broken(*_, **__):
        raise ValueError("broken")

    monkeypatch.setattr(numba, "njit", broken)
    with pytest.raises(ValueError, match="broken"):
        compiled(lambda number: number)
